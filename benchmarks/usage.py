"""`fold_ratio` and `usage_month_ratio`: roll-ups beside plain SQL over the same raw events."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from django.db import connection

from benchmarks.harness import Result, compare
from customers.models import Customer
from customers.services import create_customer
from metering.models import Meter
from metering.selectors.usage import usage
from metering.services.folding import fold_pending
from metering.services.meters import create_meter

EVENTS = 300_000
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
END = datetime(2026, 4, 1, tzinfo=UTC)
READS = 20

# A month of skewed traffic, made in the database from a fixed formula.
GENERATE = """
    INSERT INTO metering_event
    SELECT %(customer)s, %(begin)s + n * interval '8.9 seconds',
           md5(%(batch)s || '-' || n)::uuid, %(batch)s, 'e-' || %(batch)s || '-' || n,
           'api.request', jsonb_build_object(
               'endpoint', '/v1/' || (n::bigint * n %% 20), 'method', 'GET', 'status', 200,
               'user_id', 'u-' || (n::bigint * 7919 %% 4001), 'bytes', n %% 50000)
    FROM generate_series(1, %(events)s) AS n
"""
ANNOUNCE = """
    INSERT INTO metering_pendingbatch
    SELECT customer_id, batch_id, min(timestamp), max(timestamp), count(*)
    FROM metering_event WHERE customer_id = %(customer)s AND batch_id = %(batch)s
    GROUP BY customer_id, batch_id
"""
# What one pass over the raw events costs that answers the same question once.
GROUP_BY = """
    SELECT date_trunc('day', timestamp), properties->>'endpoint', properties->>'method',
           count(*), sum((properties->>'bytes')::numeric), count(DISTINCT properties->>'user_id')
    FROM metering_event WHERE customer_id = %(customer)s AND batch_id = %(batch)s
    GROUP BY 1, 2, 3
"""
RAW_MONTH = """
    SELECT date_trunc('day', timestamp), count(*) FROM metering_event
    WHERE customer_id = %(customer)s AND type = 'api.request'
      AND timestamp >= %(begin)s AND timestamp < %(end)s
    GROUP BY 1 ORDER BY 1
"""

_batches = count(1_000_000)


def run() -> Iterator[Result]:
    customer = create_customer(key="bench-usage", name="Bench")
    calls, *_ = meters()
    # Filled meters are read from their roll-ups.
    fold_pending(at=BEGIN)
    calls.refresh_from_db()
    yield compare("fold_ratio", "events/s", Folding(customer), Grouping(customer), rounds=3)
    reading, scanning = Reading(customer, calls), Scanning(customer)
    yield compare("usage_month_ratio", "reads/s", reading, scanning)


def meters() -> list[Meter]:
    """Return a count by endpoint and method, a sum and a unique count: what the limit computes."""
    common = {"name": "Bench", "event_type": "api.request"}
    calls = {"key": "calls", "aggregation": "count", "group_by": ["endpoint", "method"]}
    size = {"key": "bytes", "aggregation": "sum", "value_property": "bytes"}
    users = {"key": "users", "aggregation": "unique_count", "value_property": "user_id"}
    return [create_meter(at=BEGIN, **common, **fields) for fields in (calls, size, users)]


def execute(sql: str, **params: int | datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, dict[str, Any](params))


def generate(customer: Customer) -> int:
    """Make a batch of events that roll-ups lack and return its number."""
    batch = next(_batches)
    begin = BEGIN + timedelta(microseconds=batch % 1000)
    execute(GENERATE, customer=customer.pk, batch=batch, begin=begin, events=EVENTS)
    return batch


class Folding:
    """Fold a fresh batch into the roll-ups of three meters."""

    def __init__(self, customer: Customer) -> None:
        self.customer = customer

    def prepare(self) -> None:
        execute(ANNOUNCE, customer=self.customer.pk, batch=generate(self.customer))
        execute("ANALYZE metering_event")

    def __call__(self, _: None) -> int:
        return fold_pending(at=END)


class Grouping:
    """Group a batch of the same size once, without writing anything down."""

    def __init__(self, customer: Customer) -> None:
        self.customer = customer

    def prepare(self) -> int:
        batch = generate(self.customer)
        execute("ANALYZE metering_event")
        return batch

    def __call__(self, batch: int) -> int:
        execute(GROUP_BY, customer=self.customer.pk, batch=batch)
        return EVENTS


class Reading:
    """A month by day through the selector that answers every caller."""

    def __init__(self, customer: Customer, meter: Meter) -> None:
        self.customer = customer
        self.meter = meter

    def prepare(self) -> None:
        return None

    def __call__(self, _: None) -> int:
        for _read in range(READS):
            usage(meter=self.meter, customer=self.customer, start=BEGIN, end=END, window="day")
        return READS


class Scanning:
    """The same month from the raw events."""

    def __init__(self, customer: Customer) -> None:
        self.customer = customer

    def prepare(self) -> None:
        return None

    def __call__(self, _: None) -> int:
        execute(RAW_MONTH, customer=self.customer.pk, begin=BEGIN, end=END)
        return 1
