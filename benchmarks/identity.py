"""Forms of keeping an event's identity, filled side by side: `python -m benchmarks.identity`.

The figures of decision 0002. Each form is filled in turn with the same million rows, again and
again, through COPY in batches of 1,000, so that a slow minute of the machine hits all of them. Each
million of each is printed as a JSON object on a line.
"""

import argparse
import json
import os
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from itertools import pairwise

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.db import connection, transaction  # noqa: E402  # models need the settings

MILLION = 1_000_000
BATCH = 1_000
CUSTOMERS = 20
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
MONTHS = ["2026-01-01", "2026-02-01", "2026-03-01", "2026-04-01"]
PROPERTIES = json.dumps(
    {"bytes": 5120, "endpoint": "/v1/search", "method": "GET", "status": 200, "user_id": "u-17"}
)
EVENT = """
    customer_id bigint NOT NULL, timestamp timestamptz NOT NULL, digest uuid NOT NULL,
    batch_id bigint NOT NULL, event_id varchar(255) NOT NULL, type varchar(100) NOT NULL,
    properties jsonb NOT NULL
"""
PARTITIONS = "".join(
    f"CREATE TABLE {{event}}_{number} PARTITION OF {{event}} "
    f"FOR VALUES FROM ('{start}') TO ('{end}');"
    for number, (start, end) in enumerate(pairwise(MONTHS))
)
PARTITIONED = (
    f"CREATE TABLE {{event}} ({EVENT}, PRIMARY KEY (customer_id, timestamp, digest)) "
    "PARTITION BY RANGE (timestamp); CREATE INDEX ON {event} USING brin (batch_id);" + PARTITIONS
)
KEY = "customer_id bigint NOT NULL, timestamp timestamptz NOT NULL, content_digest uuid NOT NULL"


@dataclass
class Form:
    """A way to store events; `columns` name what goes into which table."""

    name: str
    ddl: str
    tables: dict[str, str]
    seconds: list[float] = field(default_factory=list)

    def blocks(self, rows: Sequence[dict[str, object]]) -> list[tuple[str, bytes]]:
        """Return what COPY is told for each table, and the rows as it reads them."""
        return [
            (
                f"COPY {table} ({', '.join(columns.split())}) FROM STDIN",
                "".join(
                    "\t".join(str(row[name]) for name in columns.split()) + "\n" for row in rows
                ).encode(),
            )
            for table, columns in self.tables.items()
        ]


DIGEST_ROW = "customer_id timestamp digest batch_id event_id type properties"
FORMS = (
    Form(
        "keys of digests, monthly partitions",
        PARTITIONED.format(event="bench_a")
        + f"CREATE TABLE bench_a_key ({KEY}, digest uuid, PRIMARY KEY (customer_id, digest));",
        {"bench_a_key": "customer_id timestamp content_digest digest", "bench_a": DIGEST_ROW},
    ),
    Form(
        "keys of text, monthly partitions",
        PARTITIONED.format(event="bench_b")
        + f'CREATE TABLE bench_b_key ({KEY}, event_id varchar(255) COLLATE "C", '
        "PRIMARY KEY (customer_id, event_id));",
        {"bench_b_key": "customer_id timestamp content_digest event_id", "bench_b": DIGEST_ROW},
    ),
    Form(
        "one table with the key inside",
        f"CREATE TABLE bench_c ({EVENT}, content_digest uuid NOT NULL, "
        "PRIMARY KEY (customer_id, digest)); CREATE INDEX ON bench_c (customer_id, timestamp);"
        "CREATE INDEX ON bench_c USING brin (batch_id);",
        {"bench_c": f"{DIGEST_ROW} content_digest"},
    ),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--millions", type=int, default=10)
    options = parser.parse_args()
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS bench_a, bench_a_key, bench_b, bench_b_key, bench_c")
        for form in FORMS:
            cursor.execute(form.ddl)
    for million in range(options.millions):
        for form in FORMS:
            form.seconds.append(fill(form, million, options.millions))
        for form in FORMS:
            report(form, million + 1)
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE bench_a, bench_a_key, bench_b, bench_b_key, bench_c")
    return 0


def fill(form: Form, million: int, millions: int) -> float:
    """Store a million events; return the seconds that took, without making them."""
    seconds = 0.0
    for rows in batches(million, millions):
        blocks = form.blocks(rows)
        begin = time.perf_counter()
        with transaction.atomic(), connection.cursor() as cursor:
            for statement, block in blocks:
                with cursor.copy(statement) as copy:
                    copy.write(block)
        seconds += time.perf_counter() - begin
    return seconds


def batches(million: int, millions: int) -> Iterator[list[dict[str, object]]]:
    span = timedelta(days=89) / (millions * MILLION)
    for batch in range(MILLION // BATCH):
        first = million * MILLION + batch * BATCH
        rows = [row(number, BEGIN + span * number, first) for number in range(first, first + BATCH)]
        yield sorted(rows, key=lambda each: (each["customer_id"], each["digest"]))


def row(number: int, at: datetime, batch: int) -> dict[str, object]:
    digest = blake2b(str(number).encode(), digest_size=16).digest()
    identity = uuid.UUID(bytes=digest)
    return {
        "customer_id": number % CUSTOMERS,
        "timestamp": at,
        "digest": identity,
        "content_digest": identity,
        "batch_id": batch,
        "event_id": str(identity),
        "type": "api.request",
        "properties": PROPERTIES,
    }


def report(form: Form, millions: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c "
            "WHERE c.relkind = 'r' AND c.relname LIKE %s",
            [f"{min(form.tables, key=len)}%"],
        )
        (size,) = cursor.fetchone()
    rate = f"{MILLION / form.seconds[-1]:.0f}"
    figures = {"form": form.name, "million": millions, "events/s": rate}
    sys.stdout.write(
        json.dumps(figures | {"bytes/event": f"{size / millions / MILLION:.0f}"}) + "\n"
    )
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
