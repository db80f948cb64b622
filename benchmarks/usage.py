"""Roll-ups at size: how fast they are made, and how fast usage is read from them.

The events are generated in the database: 1,000 customers of very different sizes, 20 endpoints, a
million users, 60 days, in batches as the ingest makes them.
"""

import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection

from benchmarks.harness import Result, milliseconds, quantile
from customers.models import Customer
from customers.services import create_customer
from metering.models import Meter
from metering.selectors.usage import usage, usage_quantity
from metering.services.folding import fold_pending
from metering.services.meters import create_meter
from metering.services.partitions import make_partitions

CUSTOMERS = 1_000
PARTS = 10
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
PART = timedelta(days=6)
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
    SELECT id, %(start)s + %(length)s * ((batch * 1000 + e + random()) / (events + 1001)),
        md5(%(first_batch)s || '-' || id || '-' || batch || '-' || e)::uuid, %(first_batch)s + batch * 1000 + n, 'req-' || batch || '-' || e,
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
SIZES = """
    SELECT COALESCE(sum(pg_total_relation_size(relid)), 0)
    FROM unnest(%(tables)s::text[]) AS name, pg_partition_tree(name::regclass)
    WHERE isleaf
"""


def run(events: int) -> Iterator[Result]:
    customers = [create_customer(key=f"bench-{n}", name="Bench") for n in range(CUSTOMERS)]
    make_partitions(months=[BEGIN.date().replace(month=month) for month in (3, 4, 5)])
    meters = make_meters()
    speeds = []
    small: dict[str, list[Decimal]] = {}
    for part in range(PARTS):
        first_batch = part * 100_000_000
        generate(customers, events // PARTS, first_batch, BEGIN + part * PART)
        speeds.append(fold_and_group(first_batch))
        if part == 0:
            execute("VACUUM ANALYZE")
            small = month_reads(meters, customers)
    folding, grouping = (statistics.median(each) for each in zip(*speeds, strict=True))
    yield Result("fold_ratio", folding, grouping, "events/s")
    execute("VACUUM ANALYZE")
    large = month_reads(meters, customers)
    for name, times in large.items():
        p50, p95 = statistics.median(times), quantile(times, 95)
        yield Result("usage_month_ms", p95, GOAL_MS, "ms", {"of": name, "p50": p50, "p95": p95})
    for name, times in large.items():
        ours, before = statistics.median(times), statistics.median(small[name])
        yield Result("growth_ratio", ours, before, "ms", {"of": name}, peer=True)
    yield users_of_a_month(meters["users"], customers[0])
    yield from sizes()


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


def execute(sql: str, **params: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params or None)
        return list(cursor.fetchall()) if cursor.description else []


def generate(customers: list[Customer], events: int, first_batch: int, start: datetime) -> None:
    """Make events that roll-ups lack, from a fixed seed."""
    execute("SELECT setseed(0.42)")
    execute(
        GENERATE,
        customers=[customer.pk for customer in customers],
        events=events,
        first_batch=first_batch,
        start=start,
        length=PART,
    )
    execute(ADD_KEYS, first_batch=first_batch)
    execute(ADD_BATCHES, first_batch=first_batch)
    execute(ANNOUNCE, first_batch=first_batch)
    execute("ANALYZE metering_event, metering_pendingbatch")


def fold_and_group(first_batch: int) -> tuple[Decimal, Decimal]:
    """Fold a part, and group the same rows without writing anything; return events/s of both."""
    begin = time.perf_counter_ns()
    folded = fold_pending(at=BEGIN)
    folding = milliseconds(begin)
    begin = time.perf_counter_ns()
    execute(GROUP_BY, first_batch=first_batch)
    return Decimal(1000 * folded) / folding, Decimal(1000 * folded) / milliseconds(begin)


def month_reads(meters: dict[str, Meter], customers: list[Customer]) -> dict[str, list[Decimal]]:
    """Return how long reads of a month took, in turn: by day and by endpoint, large and small."""
    sizes = {"large": customers[0], "small": customers[-1]}
    questions: dict[str, dict[str, Any]] = {
        "by day": {"window": "day"},
        "by endpoint": {"group_by": ["endpoint"]},
        "by day and endpoint": {"window": "day", "group_by": ["endpoint"]},
    }
    times: dict[str, list[Decimal]] = {}
    for _ in range(READS):
        for size, customer in sizes.items():
            for words, question in questions.items():
                begin = time.perf_counter_ns()
                usage(
                    meter=meters["calls"],
                    customer=customer,
                    start=MONTH[0],
                    end=MONTH[1],
                    **question,
                )
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


def sizes() -> Iterator[Result]:
    """Return the bytes that an event takes: with its key and its roll-ups, beside itself alone."""
    [(events,)] = execute("SELECT count(*) FROM metering_event")
    raw = ["metering_event"]
    rest = ["metering_eventkey", "metering_usagebucket", "metering_usagemember"]
    parts = {}
    for name in (*raw, *rest):
        [(size,)] = execute(SIZES, tables=[name])
        parts[name] = Decimal(size) / events
    total = sum(parts.values(), Decimal(0))
    yield Result("bytes_per_event", total, parts["metering_event"], "bytes", parts)
