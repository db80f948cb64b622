"""Lookups that Django does not have."""

from typing import Any, override

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper


class AnyOf(models.Lookup[Any]):
    """`field__any=values`: what `in` finds, with all values in one parameter.

    Django writes a placeholder for each value of `in` and looks at each of them several times,
    which for hundreds of them takes longer than the database does. Values are whole numbers: keys
    of rows, not rows.
    """

    lookup_name = "any"
    prepare_rhs = False

    @override
    def as_sql(self, compiler: Any, connection: BaseDatabaseWrapper) -> tuple[str, tuple[Any, ...]]:
        left, params = self.process_lhs(compiler, connection)
        kind = self.lhs.output_field.rel_db_type(connection)
        return f"{left} = ANY(%s::{kind}[])", (*params, f"{{{','.join(map(str, self.rhs))}}}")
