"""The aggregator: folds accepted events into roll-ups, each of them exactly once.

What a correction touched is counted anew from the events: rows are replaced, not added to.
"""

import logging
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from django.db import connection, transaction
from django.utils import timezone

from config.errors import DomainError
from config.parallel import in_parallel
from customers.models import Customer
from metering.aggregations import of_meter
from metering.models import FoldingRound, Meter, UsageBucket, UsageLayout, UsageMembers
from metering.models.usage import Grain
from metering.selectors import rollups
from metering.selectors.archive import archived_usage, overlap, unmade
from metering.selectors.cardinality import crowded_dimensions, greatest_values
from metering.selectors.changed_days import note_changed, types_and_days
from metering.selectors.freshness import customers_with_corrections, pending_events
from metering.selectors.layouts import layouts_for, outdated_layouts
from metering.selectors.rollups import Selection
from metering.selectors.stored_rollups import add_rows, meters_with_rows, replace_levels
from metering.windows import Grid, Range, merged, midnight

# Bounds the memory and the time of one transaction.
EVENTS_PER_TRANSACTION = 100_000
CORRECTIONS_PER_TRANSACTION = 50
# So many are folded over more than one connection: a round that is in time needs no second one.
EVENTS_OF_A_BACKLOG = 100_000
CONNECTIONS_FOR_A_BACKLOG = 2
# What decides how a meter reads events: with any of these changed, its roll-ups are others.
DEFINITION = (
    "event_type",
    "aggregation",
    "value_property",
    "window",
    "of",
    "percentile",
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

LONGEST_DAY = timedelta(hours=25)
UTC_ZONE = ZoneInfo("UTC")

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
    folded, failed = fold_customers(pending_events())
    for customer_id in customers_with_corrections():
        try:
            recount_customer(customer_id=customer_id)
        except Exception:
            logger.exception("The corrected usage of customer %s was not counted.", customer_id)
            failed.append(f"corrections of customer {customer_id}")
    for meter in Meter.objects.filter(filled_at=None).order_by("pk"):
        try:
            fill_meter(meter=meter, at=at)
        except Exception:
            logger.exception("The meter %s was not filled.", meter.key)
            failed.append(f"meter {meter.key}")
    for layout in outdated_layouts():
        try:
            rebuild_usage(meter=layout.meter, customer=layout.customer)
        except Exception:
            logger.exception("The usage of customer %s was not cut anew.", layout.customer_id)
            failed.append(f"customer {layout.customer_id}")
    if failed:
        message = f"{folded} events were folded, but not all; the log says what failed for "
        raise DomainError(message + ", ".join(failed) + ".", code="folding_failed")
    note_round(began_at, folded)
    return folded


def fold_customers(pending: Sequence[tuple[int, int]]) -> tuple[int, list[str]]:
    """Fold so many events of each customer; return how many were, and whose could not be."""
    failed: list[str] = []

    def attempt(customer: tuple[int, int]) -> int:
        customer_id, events = customer
        try:
            return fold_customer(customer_id=customer_id, events=events)
        except Exception:
            logger.exception("The usage of customer %s was not folded.", customer_id)
            failed.append(f"customer {customer_id}")
            return 0

    is_backlog = sum(events for _, events in pending) >= EVENTS_OF_A_BACKLOG
    at_most = CONNECTIONS_FOR_A_BACKLOG if is_backlog else 1
    return sum(in_parallel(attempt, pending, connections_at_most=at_most)), failed


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
    layouts = layouts_for(customer_id)
    types, days = types_and_days(selection)
    known = meters_with_rows(customer_id, layouts, selection.span.start - LONGEST_DAY)
    # Read under the lock: whoever changes a meter refills it under the same lock afterwards.
    for meter in Meter.objects.order_by("pk"):
        layout = layouts.get(meter.pk)
        if layout is not None and meter.event_type in types:
            add_to_roll_ups(meter, layout, selection, are_new=meter.pk not in known)
            cap_dimensions(meter, layout, selection)
        elif layout is None and meter.filled_at is not None:
            # This customer came after the filling; these batches are among what is read now.
            make_anew(meter, Customer.objects.get(pk=customer_id))
    note_changed(customer_id, days)
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
    layouts = layouts_for(customer_id)
    for meter in Meter.objects.filter(event_type__in=touched, pk__in=layouts).order_by("pk"):
        recount(meter, layouts[meter.pk], touched[meter.event_type])
    instants = [at for each in touched.values() for at in each]
    note_changed(customer_id, {midnight(at.astimezone(UTC).date(), UTC_ZONE) for at in instants})
    return len(instants)


def take_corrections(customer_id: int) -> list[tuple[str, datetime]]:
    limit = CORRECTIONS_PER_TRANSACTION
    with connection.cursor() as cursor:
        cursor.execute(TAKE_CORRECTIONS, {"customer": customer_id, "limit": limit})
        return list(cursor.fetchall())


def recount(meter: Meter, layout: UsageLayout, instants: Collection[datetime]) -> None:
    """Replace a customer's roll-ups of the days that these instants lie in.

    Days that archived months have a part in are left as they are.
    """
    grid = Grid(min(instants), max(instants) + timedelta.resolution, layout.zone)
    held = held_months(meter, layout)
    whole = [
        day
        for day in grid.around(instants, Grain.DAY)
        if not any(overlap(day, month) for month in held)
    ]
    for days in merged(whole):
        for table in (UsageBucket, UsageMembers):
            table.objects.filter(
                customer_id=layout.customer_id,
                meter=meter,
                bucket_start__gte=days.start,
                bucket_start__lt=days.end,
            ).delete()
        selection = rollups.folded_events_between(layout.customer_id, days.start, days.end)
        add_to_roll_ups(meter, layout, selection, are_new=True)


def lock_usage(customer_id: int) -> None:
    """Let one transaction at a time write this customer's roll-ups."""
    with connection.cursor() as cursor:
        cursor.execute(LOCK, [customer_id])


def take_batches(customer_id: int) -> list[tuple[int, datetime, datetime, int]]:
    with connection.cursor() as cursor:
        cursor.execute(TAKE_BATCHES, {"customer": customer_id, "limit": EVENTS_PER_TRANSACTION})
        return list(cursor.fetchall())


def add_to_roll_ups(
    meter: Meter, layout: UsageLayout, selection: Selection, *, are_new: bool
) -> None:
    """Add events to a meter's roll-ups; `are_new` when these have none of the events' buckets."""
    if of_meter(meter).ordered:
        note_torn_months(meter, layout, selection)
    buckets = rollups.fresh_buckets(meter, layout, selection)
    members = rollups.fresh_members(meter, layout, selection)
    add_rows(buckets, members, are_new=are_new)
    if of_meter(meter).ordered:
        replace_levels(rollups.touched_levels(meter, layout, selection), meter)


def note_torn_months(meter: Meter, layout: UsageLayout, selection: Selection) -> None:
    """Note the archived months that share a bucket with these events.

    What is reached within such a bucket cannot be told any more without the month's own events.
    """
    torn = set()
    for month in archived_usage(layout.customer_id, meter.event_type):
        grid = Grid(month.start, month.end, layout.zone)
        edges = grid.broken_by([month.start, month.end], of_meter(meter).roll_ups(meter).grain)
        if any(overlap(bucket, selection.span) for bucket in edges):
            torn.add(month.start)
    if torn.difference(layout.lacks):
        layout.lacks = sorted(torn.union(layout.lacks))
        layout.revision = uuid4()
        layout.save(update_fields=["lacks", "revision"])


def fill_meter(*, meter: Meter, at: datetime) -> None:
    """Make a meter's roll-ups from the events that were accepted before it was.

    Until this is through, its usage is read from the events themselves, and the meter's row says
    how far it is. Folding may go on meanwhile, and filling twice does no harm.
    """
    customers = list(Customer.objects.order_by("pk"))
    progress = Meter.objects.filter(pk=meter.pk)
    for done, customer in enumerate(customers, start=1):
        rebuild_usage(meter=meter, customer=customer)
        progress.update(filling_done=done, filling_total=len(customers))
    # Not if the definition changed on the way: then another filling is under way.
    unchanged = {field: getattr(meter, field) for field in DEFINITION}
    Meter.objects.filter(pk=meter.pk, **unchanged).update(filled_at=at)


@transaction.atomic
def rebuild_usage(*, meter: Meter, customer: Customer) -> None:
    """Replace a customer's roll-ups of a meter by a fresh aggregation of the events.

    They are cut in the time zone that the customer has now.
    """
    lock_usage(customer.pk)
    make_anew(Meter.objects.get(pk=meter.pk), customer)


def make_anew(meter: Meter, customer: Customer) -> None:
    """Make roll-ups anew under the lock, with the values kept apart that were before.

    Months whose events are archived are left out of them, and the layout says so; nobody reads
    such a month from them. Raises DomainError where roll-ups would be lost that hold one.
    """
    key: dict[str, Any] = {"customer_id": customer.pk, "meter_id": meter.pk}
    # Reading the events keeps months from being archived until this transaction ends.
    selection = rollups.folded_events(customer.pk)
    away = {month.start for month in archived_usage(customer.pk, meter.event_type)}
    known = UsageLayout.objects.filter(**key).first()
    if known is not None and (lost := away.difference(known.lacks)):
        raise unmade(customer, meter, lost)
    layout, _ = UsageLayout.objects.update_or_create(
        **key,
        defaults={
            "time_zone": customer.time_zone,
            "kept": {} if known is None else known.kept,
            "lacks": sorted(away),
            "revision": uuid4(),
        },
    )
    write_anew(meter, layout)
    if selection is not None:
        cap_dimensions(meter, layout, selection)


def held_months(meter: Meter, layout: UsageLayout) -> list[Range]:
    """Return the archived months that nothing but these roll-ups tells of."""
    away = archived_usage(layout.customer_id, meter.event_type)
    return [month for month in away if month.start not in layout.lacks]


def write_anew(meter: Meter, layout: UsageLayout) -> None:
    for table in (UsageBucket, UsageMembers):
        table.objects.filter(customer_id=layout.customer_id, meter=meter).delete()
    selection = rollups.folded_events(layout.customer_id)
    if selection is not None:
        add_to_roll_ups(meter, layout, selection, are_new=True)


def cap_dimensions(meter: Meter, layout: UsageLayout, selection: Selection) -> None:
    """Keep the greatest values alone of dimensions that have too many, the rest as `other`.

    Totals stay exact. Whoever needs each value is answered from the events. Roll-ups that hold
    archived months stay as they are: they cannot be made anew.
    """
    since = selection.span.start - LONGEST_DAY
    crowded = crowded_dimensions(meter, layout, since)
    if not crowded or held_months(meter, layout):
        return
    kept = {name: greatest_values(meter, layout.customer_id, name) for name in crowded}
    UsageLayout.objects.filter(customer_id=layout.customer_id, meter=meter).update(
        kept=layout.kept | kept, revision=uuid4()
    )
    write_anew(meter, UsageLayout.objects.get(customer_id=layout.customer_id, meter=meter))
