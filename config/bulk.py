"""Writing many rows at once."""
# ruff: noqa: S608  # Names of tables and columns are those of models.

from collections.abc import Collection, Iterable, Sequence
from operator import attrgetter
from typing import Any

import msgspec
from django.db import connection, models

DRAW = "SELECT nextval(pg_get_serial_sequence(%s, %s)) FROM generate_series(1, %s)"


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


def copy_rows(rows: Iterable[models.Model]) -> None:
    """Insert those rows of one model that are not stored yet, by COPY.

    It takes a fraction of what INSERT does. They are written as they are: no field is asked what it
    would make of its value. Those without a key are given one.
    """
    rows = [row for row in rows if row._state.adding]
    if not rows:
        return
    draw_keys(rows)
    options = type(rows[0])._meta
    fields = options.local_concrete_fields
    values_of = attrgetter(*(field.attname for field in fields))
    documents = [place for place, field in enumerate(fields) if isinstance(field, models.JSONField)]
    texts: dict[int, str] = {}
    listed = ", ".join(f'"{field.column}"' for field in fields)
    statement = f'COPY "{options.db_table}" ({listed}) FROM STDIN'
    with (
        connection.wrap_database_errors,
        connection.cursor() as cursor,
        cursor.copy(statement) as copy,
    ):
        for row in rows:
            values = list(values_of(row))
            for place in documents:
                values[place] = json_text(values[place], texts)
            copy.write_row(values)
    for row in rows:
        row._state.adding, row._state.db = False, connection.alias


def json_text(value: Any, texts: dict[int, str]) -> str | None:
    """Return a value as JSON. Rows often share one; `texts` has those written before, by identity."""
    if value is None:
        return None
    text = texts.get(id(value))
    if text is None:
        text = texts[id(value)] = msgspec.json.encode(value).decode()
    return text


def draw_keys(rows: Iterable[models.Model]) -> None:
    """Give rows of one model that have no key the one they will have, for others to refer to."""
    rows = [row for row in rows if row.pk is None]
    if not rows:
        return
    options = type(rows[0])._meta
    with connection.cursor() as cursor:
        cursor.execute(DRAW, [options.db_table, options.pk.column, len(rows)])
        for row, (key,) in zip(rows, cursor.fetchall(), strict=True):
            row.pk = key
