"""`invoices_per_s` and `nightly_ratio`: a night's invoices, beside COPY of the same rows.

A background worker helps the run, as on a server. Customers have paid when the next month is
billed. `nightly_memory` is the most that the process of the run needed for all customers without
help, beside what it needed for a tenth of them; `nightly_queries` the same for the statements of a
batch.
"""
# ruff: noqa: S608  # Names of tables, and ids, are our own.

import os
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import batched, count
from typing import Any

from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django_q.models import OrmQ
from django_q.tasks import async_task

from benchmarks.harness import Result, compare
from benchmarks.servers import START_SECONDS, program
from billing.models import (
    Invoice,
    InvoiceLine,
    PlanVersion,
    Subscription,
    SubscriptionChange,
    SubscriptionPhase,
)
from billing.services.catalog import create_plan
from billing.services.invoicing import bill_customers
from billing.services.nightly import run_nightly
from customers.models import Customer
from metering.models import IngestBatch, Meter
from metering.services.folding import fold_pending
from metering.services.meters import create_meter
from metering.services.partitions import make_partitions
from metering.tasks import fill_meter

CUSTOMERS = int(os.environ.get("BENCH_CUSTOMERS", "10000"))
ROUNDS = 3
PIECE = 500
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
BATCH = 2_000_000
# One event a month for each customer, which three meters read.
GENERATE = """
    INSERT INTO metering_event (customer_id, timestamp, digest, batch_id, event_id, type, properties)
    SELECT c.id, %(begin)s + make_interval(months => m) + interval '10 days',
           md5(c.id || '-' || m)::uuid, %(batch)s, 'e-' || c.id || '-' || m, 'bench.nightly',
           jsonb_build_object('bytes', c.id %% 5000 + m, 'level', c.id %% 70)
    FROM customers_customer c CROSS JOIN generate_series(0, %(months)s) AS m
    WHERE c.key LIKE %(keys)s
"""
ANNOUNCE = """
    INSERT INTO metering_pendingbatch (customer_id, batch_id, first_at, last_at, events)
    SELECT customer_id, batch_id, min(timestamp), max(timestamp), count(*)
    FROM metering_event WHERE batch_id = %(batch)s GROUP BY customer_id, batch_id
"""
TABLES = (Invoice, InvoiceLine)

_nights = count(1)


def run() -> Iterator[Result]:
    prepare_plan()
    few = prepare_customers("few", CUSTOMERS // 10)
    some, more = few[: CUSTOMERS // 100], few[CUSTOMERS // 100 :][: CUSTOMERS // 20]
    night = Night()
    at = night.prepare()
    queries = statements_for(some, at), statements_for(more, at)
    night(at)
    little = peak_memory()
    Subscription.objects.update(end_at=BEGIN + timedelta(days=31))
    prepare_customers("many", CUSTOMERS)
    night(at)
    much = peak_memory()
    with helper():
        nights = compare("nightly", "invoices/s", night, Copying(), rounds=ROUNDS)
    yield Result("invoices_per_s", nights.ours, nights.limit, nights.unit)
    yield Result("nightly_ratio", nights.limit / nights.ours, Decimal(1), "times COPY")
    yield Result("nightly_memory", much, little, f"MB, {CUSTOMERS} against {CUSTOMERS // 10}")
    yield Result(
        "nightly_queries",
        queries[1],
        queries[0],
        f"statements, {len(more)} customers against {len(some)}",
    )


@contextmanager
def helper() -> Iterator[None]:
    """Have a background worker take tasks, as on a server; wait until it takes the first."""
    OrmQ.objects.all().delete()
    with program([sys.executable, "manage.py", "qcluster"]):
        async_task("billing.tasks.help_nightly", 0)
        deadline = time.monotonic() + START_SECONDS
        while OrmQ.objects.exists():
            if time.monotonic() > deadline:
                raise TimeoutError("The background worker did not start.")
            time.sleep(0.1)
        yield


def statements_for(customer_ids: Sequence[int], at: datetime) -> Decimal:
    """Bill some customers together and return how many statements that took."""
    with CaptureQueriesContext(connection) as queries:
        bill_customers(customer_ids=customer_ids, at=at)
    return Decimal(len(queries))


def prepare_plan() -> None:
    make_partitions(months=[(BEGIN + timedelta(days=31 * back)).date() for back in range(8)])
    event = {"name": "Bench", "event_type": "bench.nightly"}
    create_meter(at=BEGIN, key="n-calls", aggregation="count", **event)
    create_meter(at=BEGIN, key="n-bytes", aggregation="sum", value_property="bytes", **event)
    create_meter(at=BEGIN, key="n-level", aggregation="max", value_property="level", **event)
    for meter in Meter.objects.filter(key__startswith="n-"):
        fill_meter(meter.pk)
    tiers = [
        {"up_to": "1000", "unit_amount": "0.01"},
        {"up_to": None, "unit_amount": "0.005", "flat_amount": "1"},
    ]
    prices: list[dict[str, Any]] = [
        {"key": "calls", "meter": "n-calls", "model": "per_unit", "unit_amount": "0.5"},
        {"key": "bytes", "meter": "n-bytes", "model": "graduated", "tiers": tiers},
        {"key": "level", "meter": "n-level", "model": "package", "size": "10", "amount": "2"},
    ]
    create_plan(key="nightly", name="Nightly", prices=prices, at=BEGIN)


def prepare_customers(name: str, number: int) -> list[int]:
    """Make customers with a subscription each and six months of usage, folded; return their ids.

    They are made in pieces, because the process that makes them has its memory measured.
    """
    version = PlanVersion.objects.get(plan__key="nightly")
    ids = []
    for numbers in batched(range(number), PIECE, strict=False):
        customers = Customer.objects.bulk_create(
            Customer(key=f"{name}-{each}", name=f"Customer {each}") for each in numbers
        )
        subscribe(customers, version)
        ids += [customer.pk for customer in customers]
    batch = IngestBatch.objects.create(pk=BATCH + number, source="api", accepted=number).pk
    with connection.cursor() as cursor:
        names: dict[str, Any] = {"begin": BEGIN, "batch": batch, "months": 5, "keys": f"{name}-%"}
        cursor.execute(GENERATE, names)
        cursor.execute(ANNOUNCE, {"batch": batch})
        cursor.execute("ANALYZE")
    fold_pending(at=BEGIN)
    return ids


def subscribe(customers: Sequence[Customer], version: PlanVersion) -> None:
    subscriptions = Subscription.objects.bulk_create(
        Subscription(customer=each, plan_version=version, start_at=BEGIN) for each in customers
    )
    at = {"requested_at": BEGIN, "effective_at": BEGIN, "kind": "start"}
    SubscriptionChange.objects.bulk_create(
        SubscriptionChange(subscription=each, plan_version=version, **at) for each in subscriptions
    )
    SubscriptionPhase.objects.bulk_create(
        SubscriptionPhase(subscription=each, plan_version=version, start_at=BEGIN)
        for each in subscriptions
    )


class Night:
    """Draft and issue the invoices of a month."""

    def prepare(self) -> datetime:
        Invoice.objects.filter(status=Invoice.Status.OPEN).update(
            status=Invoice.Status.PAID, amount_paid=F("total")
        )
        month = next(_nights)
        return datetime(2026, 1 + month, 2, 3, tzinfo=UTC)

    def __call__(self, at: datetime) -> int:
        return run_nightly(at=at).invoices_finalized


class Copying:
    """Insert the rows of the latest night with COPY, into tables with the same indexes."""

    def prepare(self) -> list[tuple[str, bytes]]:
        latest = Invoice.objects.issued().order_by("-pk").values_list("pk", flat=True)
        wanted_ids = ",".join(map(str, latest[:CUSTOMERS]))
        chunks = []
        with connection.cursor() as cursor:
            for model in TABLES:
                table = model._meta.db_table
                cursor.execute(f"DROP TABLE IF EXISTS bench_{table}")
                cursor.execute(f"CREATE TABLE bench_{table} (LIKE {table} INCLUDING ALL)")
                column = "id" if model is Invoice else "invoice_id"
                wanted = f"SELECT * FROM {table} WHERE {column} IN ({wanted_ids})"
                with cursor.copy(f"COPY ({wanted}) TO STDOUT (FORMAT binary)") as copy:
                    chunks.append((f"bench_{table}", b"".join(bytes(each) for each in copy)))
        return chunks

    def __call__(self, chunks: list[tuple[str, bytes]]) -> int:
        with connection.cursor() as cursor:
            for table, rows in chunks:
                with cursor.copy(f"COPY {table} FROM STDIN (FORMAT binary)") as copy:
                    copy.write(rows)
            cursor.execute("SELECT count(*) FROM bench_billing_invoice")
            [(invoices,)] = cursor.fetchall()
        return int(invoices)


def peak_memory() -> Decimal:
    """Return the most memory this process has had so far, in MB."""
    return Decimal(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) / 1024
