"""Roll-ups at size: how fast they are made, and how fast usage is read from them.

The events are generated in the database: 1,000 customers of very different sizes, 20 endpoints, a
million users, 60 days, in batches as the ingest makes them. A tenth of them is folded and read
first, so that the same reads of the same days can be compared when there are ten times as many.
"""

import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

from django.db import connection

from benchmarks.harness import Result, milliseconds, quantile
from customers.models import Customer
from metering.models import Meter, UsageLayout
from metering.selectors.usage import usage, usage_quantity
from metering.services.folding import fold_pending
from metering.services.meters import create_meter
from metering.services.partitions import make_partitions

CUSTOMERS = 1_000
TENTH = 10
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
LENGTH = timedelta(days=60)
# Batches of the other nine tenths have numbers above this one.
REST = 100_000_000
MONTH = (BEGIN, datetime(2026, 4, 1, tzinfo=UTC))
READS = 40
GOAL_MS = Decimal(100)

# Sizes fall as 1/n. Each customer has its own users, as many of the million as it has of the
# events. A batch has a thousand events of one customer; batches of all customers are interleaved.
GENERATE = """
    WITH sized AS (
        SELECT id, n, 1.0 / n / sum(1.0 / n) OVER () AS share
        FROM unnest(%(customers)s::bigint[]) WITH ORDINALITY AS customer (id, n)
    ), shares AS (
        SELECT id, n, ceil(%(events)s * share)::int AS events, ceil(1000000 * share)::int AS users
        FROM sized
    )
    INSERT INTO metering_event (
        customer_id, timestamp, digest, batch_id, event_id, type, properties
    )
    SELECT id, %(start)s + %(length)s * ((batch * 1000 + e - random()) / events),
        md5(%(first_batch)s || '-' || id || '-' || batch || '-' || e)::uuid,
        %(first_batch)s + batch * 1000 + n, 'req-' || batch || '-' || e,
        'api.request', jsonb_build_object(
            'endpoint', '/v1/resource-' || floor(20 * random() ^ 2), 'method',
            CASE WHEN random() < 0.7 THEN 'GET' ELSE 'POST' END, 'status', 200,
            'user_id', 'u-' || id || '-' || floor(users * random() ^ 2),
            'bytes', floor(50000 * random())::int)
    FROM generate_series(0, (SELECT max(events) / 1000 FROM shares)) AS batch
    JOIN shares ON batch * 1000 < events
    CROSS JOIN LATERAL generate_series(1, LEAST(1000, events - batch * 1000)) AS e
"""
ADD_KEYS = """
    INSERT INTO metering_eventkey (customer_id, timestamp, digest, content_digest)
    SELECT customer_id, timestamp, digest, digest FROM metering_event
    WHERE batch_id > %(first_batch)s ORDER BY customer_id, digest
"""
ADD_BATCHES = """
    INSERT INTO metering_ingestbatch (
        id, source, received_at, accepted, duplicate, conflict, rejected
    )
    SELECT batch_id, 'api', max(timestamp), count(*), 0, 0, 0
    FROM metering_event WHERE batch_id > %(first_batch)s GROUP BY batch_id
"""
ANNOUNCE = """
    INSERT INTO metering_pendingbatch (customer_id, batch_id, first_at, last_at, events)
    SELECT customer_id, batch_id, min(timestamp), max(timestamp), count(*)
    FROM metering_event WHERE batch_id > %(first_batch)s GROUP BY customer_id, batch_id
"""
# What one pass over the raw events costs that answers the same questions once.
GROUP_BY = """
    SELECT customer_id, date_trunc('day', timestamp), properties->>'endpoint',
           properties->>'method', count(*), sum((properties->>'bytes')::numeric),
           count(DISTINCT properties->>'user_id')
    FROM metering_event WHERE batch_id > %(first_batch)s GROUP BY 1, 2, 3, 4
"""
# A partitioned table takes no room itself, and one that is not has no partitions.
SIZE = """
    SELECT pg_total_relation_size(%(table)s::regclass) + COALESCE(
        (SELECT sum(pg_total_relation_size(relid))
        FROM pg_partition_tree(%(table)s::regclass) WHERE isleaf), 0)
"""


def run(events: int) -> Iterator[Result]:
    make_partitions(months=[BEGIN.date().replace(month=month) for month in (3, 4, 5)])
    meters = make_meters()
    customers = make_customers(meters)
    generate(customers, events // TENTH, first_batch=0)
    fold_pending(at=BEGIN)
    execute("VACUUM ANALYZE")
    before = month_reads(meters["calls"], customers)
    generate(customers, events - events // TENTH, first_batch=REST)
    yield fold_and_group(first_batch=REST)
    execute("VACUUM ANALYZE")
    for name, times in month_reads(meters["calls"], customers).items():
        p50, p95 = statistics.median(times), quantile(times, 95)
        yield Result("usage_month_ms", p95, GOAL_MS, "ms", {"of": name, "p50": p50, "p95": p95})
        peer = statistics.median(before[name])
        yield Result("growth_ratio", p50, peer, "ms", {"of": name}, peer=True)
    yield users_of_a_month(meters["users"], customers[0])
    yield bytes_per_event()


def make_meters() -> dict[str, Meter]:
    """Return a count by endpoint and method, a sum and a unique count: what the limit computes."""
    common = {"name": "Bench", "event_type": "api.request"}
    calls = {"key": "calls", "aggregation": "count", "group_by": ["endpoint", "method"]}
    size = {"key": "bytes", "aggregation": "sum", "value_property": "bytes"}
    users = {"key": "users", "aggregation": "unique_count", "value_property": "user_id"}
    for fields in (calls, size, users):
        create_meter(at=BEGIN, **common, **fields)
    # Filled meters are read from their roll-ups.
    fold_pending(at=BEGIN)
    return {meter.key: meter for meter in Meter.objects.current()}


def make_customers(meters: dict[str, Meter]) -> list[Customer]:
    """Make customers with the layouts that filling the meters would give them."""
    customers = Customer.objects.bulk_create(
        Customer(key=f"bench-{n}", name="Bench") for n in range(CUSTOMERS)
    )
    UsageLayout.objects.bulk_create(
        UsageLayout(customer=customer, meter=meter, time_zone=customer.time_zone, revision=uuid4())
        for customer in customers
        for meter in meters.values()
    )
    return customers


def execute(sql: str, **params: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params or None)
        return list(cursor.fetchall()) if cursor.description else []


def generate(customers: list[Customer], events: int, first_batch: int) -> None:
    """Make events that roll-ups lack, from a fixed seed."""
    execute("SELECT setseed(0.42)")
    execute(
        GENERATE,
        customers=[customer.pk for customer in customers],
        events=events,
        first_batch=first_batch,
        start=BEGIN,
        length=LENGTH,
    )
    for statement in (ADD_KEYS, ADD_BATCHES, ANNOUNCE):
        execute(statement, first_batch=first_batch)
    execute("VACUUM ANALYZE metering_event, metering_pendingbatch")


def fold_and_group(first_batch: int) -> Result:
    """Fold the events, and group the same rows without writing anything."""
    begin = time.perf_counter_ns()
    folded = fold_pending(at=BEGIN)
    folding = milliseconds(begin)
    begin = time.perf_counter_ns()
    execute(GROUP_BY, first_batch=first_batch)
    grouping = milliseconds(begin)
    thousands = Decimal(1000 * folded)
    figures = {"events": str(folded)}
    return Result("fold_ratio", thousands / folding, thousands / grouping, "events/s", figures)


def month_reads(meter: Meter, customers: list[Customer]) -> dict[str, list[Decimal]]:
    """Return how long reads of a month took, in turn: by day and by endpoint, large and small."""
    customer_of = {"large": customers[0], "small": customers[-1]}
    questions: dict[str, dict[str, Any]] = {
        "by day": {"window": "day"},
        "by endpoint": {"group_by": ["endpoint"]},
        "by day and endpoint": {"window": "day", "group_by": ["endpoint"]},
    }
    start, end = MONTH
    times: dict[str, list[Decimal]] = {}
    for _ in range(READS):
        for size, customer in customer_of.items():
            for words, question in questions.items():
                begin = time.perf_counter_ns()
                usage(meter=meter, customer=customer, start=start, end=end, **question)
                times.setdefault(f"{words}, {size} customer", []).append(milliseconds(begin))
    return times


def users_of_a_month(meter: Meter, customer: Customer) -> Result:
    """Count the largest customer's active users of a month, beside a scan of the raw events."""
    raw = Meter.objects.get(pk=meter.pk)
    raw.filled_at = None
    times: dict[bool, list[Decimal]] = {True: [], False: []}
    for _ in range(3):
        for is_raw, each in ((False, meter), (True, raw)):
            begin = time.perf_counter_ns()
            usage_quantity(meter=each, customer=customer, start=MONTH[0], end=MONTH[1])
            times[is_raw].append(milliseconds(begin))
    ours, scan = (statistics.median(times[is_raw]) for is_raw in (False, True))
    return Result("mau_ms", ours, scan, "ms", peer=True)


def bytes_per_event() -> Result:
    """Return the bytes that an event takes: with its key and its roll-ups, beside itself alone."""
    tables = (
        "metering_event",
        "metering_eventkey",
        "metering_usagebucket",
        "metering_usagemembers",
    )
    [(events,)] = execute("SELECT count(*) FROM metering_event")
    parts = {}
    for name in tables:
        [(size,)] = execute(SIZE, table=name)
        parts[name] = Decimal(size) / events
    total = sum(parts.values(), Decimal(0))
    return Result("bytes_per_event", total, parts["metering_event"], "bytes", parts, peer=True)
