"""Writing many rows at once."""
# ruff: noqa: S608  # Names of tables and columns are those of models.

from collections.abc import Collection, Sequence
from typing import Any

from django.db import connection, models


def update_rows(rows: Sequence[models.Model], names: Collection[str]) -> None:
    """Store these fields of rows of one model in one statement.

    Django's own bulk_update builds a CASE for each value; this hands each column over as an array.
    """
    if not rows:
        return
    options = type(rows[0])._meta
    fields: list[Any] = [options.get_field(name) for name in names]
    columns = [
        [field.get_db_prep_save(getattr(row, field.attname), connection) for row in rows]
        for field in fields
    ]
    arrays = ", ".join(f"%s::{field.db_type(connection)}[]" for field in fields)
    listed = ", ".join(f'"{field.column}"' for field in fields)
    assigned = ", ".join(f'"{field.column}" = new."{field.column}"' for field in fields)
    with connection.cursor() as cursor:
        cursor.execute(
            f'UPDATE "{options.db_table}" AS old SET {assigned}'
            f" FROM unnest(%s::bigint[], {arrays}) AS new (id, {listed}) WHERE old.id = new.id",
            [[row.pk for row in rows], *columns],
        )
