"""How the database is emptied after a test that commits."""

from functools import cache

from django.db import connection, transaction
from django.test import TransactionTestCase

# Written by `migrate`, and the same for every test.
KEPT = {"django_content_type", "auth_permission"}
# After `migrate` the events have no partition but the default one.
DROP_PARTITIONS = """
    DO $$
    DECLARE month regclass;
    BEGIN
        FOR month IN
            SELECT inhrelid FROM pg_inherits WHERE inhparent = 'metering_event'::regclass
            AND inhrelid <> 'metering_event_default'::regclass
        LOOP
            EXECUTE 'DROP TABLE ' || month;
        END LOOP;
    END $$
"""


@cache
def statements() -> str:
    names = connection.introspection.django_table_names(only_existing=True, include_views=False)
    return ";".join(f'DELETE FROM "{name}"' for name in sorted(set(names) - KEPT))  # noqa: S608


def delete_rows(test_case: TransactionTestCase) -> None:
    """Delete every row, and the partitions that the test made.

    It takes a fortieth of the time of Django's TRUNCATE, which makes new files for 300 tables,
    partitions and indexes, nearly all of them empty.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        # No foreign key is in the way, nor a trigger that keeps documents.
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(statements())
        cursor.execute(DROP_PARTITIONS)
