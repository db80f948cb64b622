"""Locks that outlive transactions, kept by the database connection that took them."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

# PostgreSQL shows a key of 64 bits in two halves.
INSIDE = """
    SELECT EXISTS (
        SELECT FROM pg_locks JOIN pg_database ON pg_database.oid = database
        WHERE locktype = 'advisory' AND granted AND datname = current_database()
        AND objsubid = 1 AND (classid::bigint << 32) + objid::bigint = %(key)s
    )
"""


@contextmanager
def only_one(key: int) -> Iterator[bool]:
    """Say whether nobody else is inside with the same key; hold the place until the end if so.

    The database gives the place free when the connection breaks, so a killed process keeps nobody
    out. The key is a number of its own for each kind of work.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [key])
        (is_mine,) = cursor.fetchone() or (False,)
    try:
        yield is_mine
    finally:
        if is_mine:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [key])


def is_inside(key: int) -> bool:
    """Say whether somebody is inside with a key, without standing in anybody's way."""
    with connection.cursor() as cursor:
        cursor.execute(INSIDE, {"key": key})
        [(found,)] = cursor.fetchall()
    return bool(found)
