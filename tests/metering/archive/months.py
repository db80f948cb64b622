"""A customer with events of three months, all of them counted, and commands on their archive."""

from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.db import connection

from customers.models import Customer
from metering.models import Meter
from metering.selectors.usage import usage_quantity
from metering.services.folding import fold_pending
from metering.services.partitions import make_partitions
from tests.factories import make_customer, make_meter
from tests.metering.ingest.reports import event, report

AT = datetime(2026, 3, 15, 12, tzinfo=UTC)
OCTOBER, NOVEMBER, DECEMBER, JANUARY = (
    datetime(2024 + month // 12, month % 12 + 1, 1, tzinfo=UTC) for month in (9, 10, 11, 12)
)
PARTITION = "metering_event_2024_11"
TIMES = (
    "2024-10-31T23:30:00Z",
    "2024-11-01T00:00:00Z",
    "2024-11-15T10:20:30.123456Z",
    "2024-11-30T23:59:59.999999Z",
    "2024-12-01T00:10:00Z",
    "2024-12-20T00:00:00Z",
)


def populate(time_zone: str = "UTC", **fields: Any) -> tuple[Customer, Meter]:
    """Store awkward properties too: what a file must give back to the letter."""
    customer = make_customer("acme", time_zone=time_zone)
    meter = make_meter("calls", group_by=["endpoint"], **fields)
    make_partitions(months=[each.date() for each in (OCTOBER, NOVEMBER, DECEMBER)])
    odd = {"endpoint": 'a,"b"\n\\N', "n": 1.50, "big": 10**29, "null": None, "": "", "é": "\t"}
    documents = [
        event(f"{number}", timestamp=at, properties=odd | {"value": number})
        for number, at in enumerate(TIMES)
    ]
    report(documents, is_backfill=True)
    fold_pending(at=AT)
    return customer, meter


def detach(folder: Path, *arguments: str, before: str = "2024-12-01") -> str:
    output = StringIO()
    options = ["--before", before, "--to", str(folder), "--at", AT.isoformat(), *arguments]
    call_command("detach_events", *options, stdout=output)
    return output.getvalue()


def restore(folder: Path, partition: str = PARTITION) -> str:
    output = StringIO()
    call_command("restore_events", str(folder / f"{partition}.json"), stdout=output)
    return output.getvalue()


def stored_rows() -> list[tuple[Any, ...]]:
    """Return every column of every event, as texts, with the partition it lies in."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT e::text, tableoid::regclass::text FROM metering_event e ORDER BY 1")
        return list(cursor.fetchall())


def tables() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relname LIKE 'metering_event_20%'")
        return {name for (name,) in cursor.fetchall() if not name.endswith(("pkey", "idx"))}


def used(meter: Meter, customer: Customer, start: datetime, end: datetime) -> Decimal:
    return usage_quantity(meter=meter, customer=customer, start=start, end=end)
