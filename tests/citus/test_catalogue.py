"""The tables that grow with events could be distributed by customer as they stand."""

import pytest
from django.db import connection

from metering.tables import EVENT_TABLES
from tests.citus.catalogue import catalogue_faults

TABLE = "customer_id bigint NOT NULL, id bigint NOT NULL, note text"
KEYED = f"{TABLE}, PRIMARY KEY (customer_id, id)"

PLANTED = [
    ("customer_id is not bigint NOT NULL", "CREATE TABLE t (customer_id int PRIMARY KEY)"),
    ("no primary key", f"CREATE TABLE t ({TABLE})"),
    (
        "customer_id does not lead the primary key",
        f"CREATE TABLE t ({TABLE}, PRIMARY KEY (id, customer_id))",
    ),
    ("unique without customer_id", f"CREATE TABLE t ({KEYED}, UNIQUE (id))"),
    (
        "identity column",
        f"CREATE TABLE t ({KEYED}, number bigint GENERATED ALWAYS AS IDENTITY)",
    ),
    ("default from a sequence", f"CREATE TABLE t ({KEYED}, number bigserial)"),
    (
        "trigger",
        f"CREATE TABLE t ({KEYED}); CREATE TRIGGER noted BEFORE UPDATE ON t "
        "FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    ),
    (
        "exclusion constraint without customer_id",
        f"CREATE TABLE t ({KEYED}, span int4range, EXCLUDE USING gist (span WITH &&))",
    ),
    (
        "foreign key to or from an ordinary table",
        f"CREATE TABLE t ({KEYED}, FOREIGN KEY (customer_id) REFERENCES customers_customer)",
    ),
    (
        "foreign key to or from an ordinary table",
        f"CREATE TABLE t ({KEYED}); CREATE TABLE ordinary (c bigint, i bigint, "
        "FOREIGN KEY (c, i) REFERENCES t)",
    ),
    (
        "foreign key without customer_id",
        f"CREATE TABLE t ({KEYED}, other bigint, UNIQUE (id), "
        "FOREIGN KEY (other) REFERENCES t (id))",
    ),
    ("no such table", "SELECT 1"),
]


def test_every_table_that_grows_with_events_keeps_the_rules(db: None) -> None:
    assert catalogue_faults(EVENT_TABLES) == []


@pytest.mark.parametrize(("fault", "definition"), PLANTED)
def test_a_breach_is_found(db: None, fault: str, definition: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(definition)

    assert fault in [what for what, _ in catalogue_faults(["t"])]


def test_an_index_of_one_partition_alone_is_found(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TABLE t ({KEYED}) PARTITION BY LIST (customer_id);"
            "CREATE TABLE t_1 PARTITION OF t FOR VALUES IN (1);"
            "CREATE UNIQUE INDEX only_here ON t_1 (id)"
        )

    assert catalogue_faults(["t"]) == [("unique without customer_id", "only_here")]


def test_a_table_that_keeps_the_rules_has_no_faults(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE t ({KEYED}, UNIQUE (customer_id, note))")

    assert catalogue_faults(["t"]) == []
