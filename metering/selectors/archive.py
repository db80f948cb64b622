"""Which events are away in archives, and what that leaves unanswered."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta

from django.db import connection

from config.errors import DomainError, InvalidInputError
from customers.models import Customer
from metering.models import (
    ArchivedMonth,
    ArchivedUsage,
    ChangedDay,
    Meter,
    PendingBatch,
    PendingCorrection,
    UsageLayout,
)
from metering.models.usage import Grain
from metering.windows import Grid, Range

CODE = "month_archived"
# A day of any zone that a month has a part in ends within so long of the month.
DAY = timedelta(days=2)
PARTITIONS = """
    SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'metering_event'::regclass AND c.relname ~ '^metering_event_\\d{4}_\\d{2}$'
    ORDER BY c.relname
"""
TABLE_COLUMNS = """
    SELECT a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a
    WHERE a.attrelid = 'metering_event'::regclass AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attname
"""


def months_with_partitions() -> list[date]:
    """Return the first days of the months whose events have a partition of their own."""
    with connection.cursor() as cursor:
        cursor.execute(PARTITIONS)
        names = [name for (name,) in cursor.fetchall()]
    return [date(int(name[-7:-3]), int(name[-2:]), 1) for name in names]


def event_columns() -> dict[str, str]:
    """Return the types of the event table's columns by name."""
    with connection.cursor() as cursor:
        cursor.execute(TABLE_COLUMNS)
        return dict(cursor.fetchall())


def archived_month(start: datetime) -> ArchivedMonth | None:
    return ArchivedMonth.objects.filter(start_at=start, restored_at=None).first()


def archived_ranges() -> list[Range]:
    """Return the months that take no events while theirs are away."""
    months = ArchivedMonth.objects.filter(restored_at=None).order_by("start_at")
    return [Range(*bounds) for bounds in months.values_list("start_at", "end_at")]


def archived_usage(customer_id: int, event_type: str) -> list[Range]:
    """Return the months in which a customer had events of this type that are away now."""
    found = ArchivedUsage.objects.filter(customer_id=customer_id, event_type=event_type)
    return [
        Range(*bounds) for bounds in found.order_by("start_at").values_list("start_at", "end_at")
    ]


def not_settled(month: Range) -> str:
    """Return why the roll-ups are not the last word on a month's events; empty when they are."""
    if PendingBatch.objects.filter(first_at__lt=month.end, last_at__gte=month.start).exists():
        return "events that may lie in it are still to be folded"
    around = PendingCorrection.objects.filter(at__gte=month.start - DAY, at__lt=month.end + DAY)
    if around.exists():
        return "corrections in or beside it are still to be counted"
    unfilled = Meter.objects.filter(filled_at=None).order_by("key").first()
    return f"the meter {unfilled.key} is still being filled" if unfilled else ""


def is_unsettled(month: Range) -> bool:
    """Tell whether daily totals are still to be counted from a month's events."""
    days = ChangedDay.objects.filter(is_settled=False)
    return days.filter(day_start__gte=month.start, day_start__lt=month.end).exists()


def layouts_to_make(partition: str) -> list[tuple[int, Meter]]:
    """Return the customers with events in a partition whose roll-ups of a meter are to be made."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT DISTINCT customer_id, type FROM {partition}")  # noqa: S608
        found: list[tuple[int, str]] = cursor.fetchall()
    types = defaultdict(list)
    for meter in Meter.objects.exclude(filled_at=None):
        types[meter.event_type].append(meter)
    made = set(UsageLayout.objects.values_list("customer_id", "meter_id"))
    wanted = [(customer_id, meter) for customer_id, name in found for meter in types[name]]
    return [(who, meter) for who, meter in wanted if (who, meter.pk) not in made]


def archived_around(
    customer: Customer, event_type: str, instants: Iterable[datetime]
) -> Range | None:
    """Return an archived month that an instant lies in, or shares a day of roll-ups with."""
    instants = list(instants)
    for month in archived_ranges():
        if any(month.start <= at < month.end for at in instants):
            return month
    away = archived_usage(customer.pk, event_type)
    if not away:
        return None
    layouts = UsageLayout.objects.filter(customer_id=customer.pk)
    zones = {customer.zone, *(layout.zone for layout in layouts)}
    days = [day_around(at, Grid(at, at + DAY, zone)) for zone in zones for at in instants]
    return next((month for month in away if any(overlap(month, day) for day in days)), None)


def day_around(at: datetime, grid: Grid) -> Range:
    [day] = grid.around([at], Grain.DAY)
    return day


def overlap(one: Range, other: Range) -> bool:
    return one.start < other.end and other.start < one.end


def stale_layouts(layouts: Sequence[UsageLayout]) -> list[UsageLayout]:
    """Return the layouts whose roll-ups may be made anew: no archived events would be lost.

    The others stay as they are; their time zone is the one that they were cut in.
    """
    away: dict[tuple[int, str], set[datetime]] = defaultdict(set)
    customer_ids = {layout.customer_id for layout in layouts}
    found = ArchivedUsage.objects.filter(customer_id__in=customer_ids)
    for customer_id, event_type, start in found.values_list(
        "customer_id", "event_type", "start_at"
    ):
        away[customer_id, event_type].add(start)
    result = []
    for layout in layouts:
        archived, lacks = away[layout.customer_id, layout.meter.event_type], set(layout.lacks)
        is_outdated = layout.time_zone != layout.customer.time_zone or lacks - archived
        if is_outdated and not archived - lacks:
            result.append(layout)
    return result


def names_of(starts: Collection[datetime]) -> str:
    return ", ".join(f"{start.astimezone(UTC):%Y-%m}" for start in sorted(set(starts)))


def unreadable(customer_ids: Collection[int], event_type: str, period: Range) -> InvalidInputError:
    """Return the refusal of a question that only events could answer which are archived."""
    found = ArchivedUsage.objects.filter(
        customer_id__in=customer_ids,
        event_type=event_type,
        start_at__lt=period.end,
        end_at__gt=period.start,
    )
    starts = found.values_list("start_at", flat=True)
    message = (
        f"This can only be read from raw events, and those of {names_of(starts) or 'a month'} are "
        "archived: restore that first (manage.py restore_events), or ask for whole days and the "
        "meter's own groups."
    )
    return InvalidInputError(message, field="start", code=CODE)


def unmade(customer: Customer, meter: Meter, starts: Collection[datetime]) -> DomainError:
    message = (
        f"The roll-ups of {meter.key} for {customer.key} hold the archived months "
        f"{names_of(starts)} and cannot be made anew without their events; restore them first "
        "(manage.py restore_events)."
    )
    return DomainError(message, code=CODE)
