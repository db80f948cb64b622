"""The aggregator: folds accepted events into roll-ups, each of them exactly once.

What a correction touched is counted anew from the events: rows are replaced, not added to.
"""
# ruff: noqa: S608  # The statements are put together from constants; see selectors.meter_sql.

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.utils import timezone

from config.errors import DomainError
from customers.models import Customer
from metering.models import FoldingRound, Meter, UsageBucket, UsageMember
from metering.selectors import rollups
from metering.selectors.changed_days import days_of, note_changed
from metering.selectors.freshness import customers_with_corrections, pending_events
from metering.selectors.rollups import FreshRows, Selection
from metering.windows import Range, buckets_around, merged

# Bounds the memory and the time of one transaction.
EVENTS_PER_TRANSACTION = 100_000
CORRECTIONS_PER_TRANSACTION = 50
# What decides how a meter reads events: with any of these changed, its roll-ups are others.
DEFINITION = (
    "event_type",
    "aggregation",
    "value_property",
    "window",
    "of",
    "filters",
    "group_by",
)

LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('metering.usage', %s))"

# Two folders that meet here despite the lock still cannot take the same row twice.
TAKE_BATCHES = """
    DELETE FROM metering_pendingbatch p WHERE p.customer_id = %(customer)s AND p.batch_id IN (
        SELECT queue.batch_id FROM (
            SELECT q.batch_id, sum(q.events) OVER (ORDER BY q.batch_id) - q.events AS before
            FROM metering_pendingbatch q WHERE q.customer_id = %(customer)s
        ) AS queue
        WHERE queue.before < %(limit)s
    )
    RETURNING p.batch_id, p.first_at, p.last_at, p.events
"""

TAKE_CORRECTIONS = """
    DELETE FROM metering_pendingcorrection p
    WHERE p.customer_id = %(customer)s AND (p.batch_id, p.at) IN (
        SELECT q.batch_id, q.at FROM metering_pendingcorrection q
        WHERE q.customer_id = %(customer)s ORDER BY q.at, q.batch_id LIMIT %(limit)s
    )
    RETURNING p.event_type, p.at
"""

logger = logging.getLogger(__name__)


def fold_pending(*, at: datetime) -> int:
    """Fold every batch accepted so far, count anew what corrections touched, and fill new meters.

    Returns how many events were folded.

    Each customer is folded in transactions of its own, and what fails stops nothing else: it is
    logged, left for the next time and told at the end by a DomainError. Usage is right all the
    same, read from the events.
    """
    # How fresh the roll-ups are is a fact of the clock on the wall, whatever instant is worked as of.
    began_at = timezone.now()
    folded = 0
    failed: list[str] = []
    for customer_id, events in pending_events():
        try:
            folded += fold_customer(customer_id=customer_id, events=events)
        except Exception:
            logger.exception("The usage of customer %s was not folded.", customer_id)
            failed.append(f"customer {customer_id}")
    for customer_id in customers_with_corrections():
        try:
            recount_customer(customer_id=customer_id)
        except Exception:
            logger.exception("The corrected usage of customer %s was not counted.", customer_id)
            failed.append(f"corrections of customer {customer_id}")
    for meter in Meter.objects.filter(filled_at=None):
        try:
            fill_meter(meter=meter, at=at)
        except Exception:
            logger.exception("The meter %s was not filled.", meter.key)
            failed.append(f"meter {meter.key}")
    if failed:
        message = f"{folded} events were folded, but not all; the log says what failed for "
        raise DomainError(message + ", ".join(failed) + ".", code="folding_failed")
    note_round(began_at, folded)
    return folded


def note_round(began_at: datetime, events: int) -> None:
    """Keep the latest round that ended well; one that began earlier and took longer is not it."""
    known = FoldingRound.objects.filter(began_at__gte=began_at)
    if not known.exists():
        FoldingRound.objects.update_or_create(
            pk=1, defaults={"began_at": began_at, "events": events}
        )


def fold_customer(*, customer_id: int, events: int) -> int:
    """Fold a customer's oldest batches until `events` are done or none is left."""
    folded = 0
    while folded < events and (done := fold_some(customer_id=customer_id)):
        folded += done
    return folded


@transaction.atomic
def fold_some(*, customer_id: int) -> int:
    """Fold a customer's oldest batches, about EVENTS_PER_TRANSACTION events of them."""
    lock_usage(customer_id)
    batches = take_batches(customer_id)
    if not batches:
        return 0
    numbers, firsts, lasts, events = zip(*batches, strict=True)
    selection = rollups.events_of_batches(customer_id, numbers, min(firsts), max(lasts))
    # Read under the lock: whoever changes a meter refills it under the same lock afterwards.
    for meter in Meter.objects.order_by("pk"):
        add_to_roll_ups(meter, selection)
    note_changed(customer_id, days_of(selection))
    return sum(events)


def recount_customer(*, customer_id: int) -> None:
    """Count anew what a customer's corrections touched, until none is left."""
    while recount_some(customer_id=customer_id):
        pass


@transaction.atomic
def recount_some(*, customer_id: int) -> int:
    """Count the days anew that a customer's earliest corrections touched; return how many did.

    A correction that comes meanwhile leaves a row of its own, so its days stay marked.
    """
    lock_usage(customer_id)
    touched: dict[str, list[datetime]] = {}
    for event_type, at in take_corrections(customer_id):
        touched.setdefault(event_type, []).append(at)
    for meter in Meter.objects.filter(event_type__in=touched).order_by("pk"):
        recount(meter, customer_id, touched[meter.event_type])
    instants = [at for each in touched.values() for at in each]
    note_changed(customer_id, {day.start for day in days_around(instants)})
    return len(instants)


def take_corrections(customer_id: int) -> list[tuple[str, datetime]]:
    limit = CORRECTIONS_PER_TRANSACTION
    with connection.cursor() as cursor:
        cursor.execute(TAKE_CORRECTIONS, {"customer": customer_id, "limit": limit})
        return list(cursor.fetchall())


def recount(meter: Meter, customer_id: int, instants: Iterable[datetime]) -> None:
    """Replace a meter's roll-ups of the days that these instants lie in."""
    for days in merged(days_around(instants)):
        for table in (UsageBucket, UsageMember):
            table.objects.filter(
                customer_id=customer_id,
                meter=meter,
                bucket_start__gte=days.start,
                bucket_start__lt=days.end,
            ).delete()
        selection = rollups.folded_events_between(customer_id, days.start, days.end)
        add_to_roll_ups(meter, selection)


def days_around(instants: Iterable[datetime]) -> list[Range]:
    """Return the days of UTC, the longest buckets there are, that these instants lie in."""
    return list(buckets_around(instants, timedelta(days=1)))


def lock_usage(customer_id: int) -> None:
    """Let one transaction at a time write this customer's roll-ups."""
    with connection.cursor() as cursor:
        cursor.execute(LOCK, [customer_id])


def take_batches(customer_id: int) -> list[tuple[int, datetime, datetime, int]]:
    with connection.cursor() as cursor:
        cursor.execute(TAKE_BATCHES, {"customer": customer_id, "limit": EVENTS_PER_TRANSACTION})
        return list(cursor.fetchall())


def add_to_roll_ups(meter: Meter, selection: Selection) -> None:
    buckets = rollups.fresh_buckets(meter, selection)
    members = rollups.fresh_members(meter, selection)
    with connection.cursor() as cursor:
        cursor.execute(add_buckets(buckets), buckets.params)
        if members is not None:
            cursor.execute(add_members(members), members.params)


def add_buckets(fresh: FreshRows) -> str:
    key = ", ".join(rollups.BUCKET_KEY)
    return f"""
        INSERT INTO metering_usagebucket AS b ({", ".join(rollups.BUCKET_COLUMNS)})
        SELECT * FROM ({fresh.sql}) AS fresh ORDER BY {key}
        ON CONFLICT ({key}) DO UPDATE SET
            events = b.events + EXCLUDED.events,
            total = COALESCE(b.total + EXCLUDED.total, b.total, EXCLUDED.total),
            greatest = GREATEST(b.greatest, EXCLUDED.greatest),
            least = LEAST(b.least, EXCLUDED.least),
            unparsed = b.unparsed + EXCLUDED.unparsed
    """


def add_members(fresh: FreshRows) -> str:
    key = ", ".join(rollups.MEMBER_COLUMNS)
    return f"""
        INSERT INTO metering_usagemember ({key})
        SELECT * FROM ({fresh.sql}) AS fresh ORDER BY {key}
        ON CONFLICT ({key}) DO NOTHING
    """


def fill_meter(*, meter: Meter, at: datetime) -> None:
    """Make a meter's roll-ups from the events that were accepted before it was.

    Until this is through, its usage is read from the events themselves. Folding may go on
    meanwhile, and filling twice does no harm.
    """
    for customer in Customer.objects.order_by("pk"):
        rebuild_usage(meter=meter, customer=customer)
    # Not if the definition changed on the way: then another filling is under way.
    unchanged = {field: getattr(meter, field) for field in DEFINITION}
    Meter.objects.filter(pk=meter.pk, **unchanged).update(filled_at=at)


@transaction.atomic
def rebuild_usage(*, meter: Meter, customer: Customer) -> None:
    """Replace a customer's roll-ups of a meter by a fresh aggregation of the events."""
    lock_usage(customer.pk)
    meter = Meter.objects.get(pk=meter.pk)
    key = {"customer_id": customer.pk, "meter_id": meter.pk}
    UsageBucket.objects.filter(**key).delete()
    UsageMember.objects.filter(**key).delete()
    add_to_roll_ups(meter, rollups.folded_events(customer.pk))
