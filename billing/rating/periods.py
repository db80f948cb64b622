"""Billing periods: half-open calendar intervals in a time zone, as instants in UTC.

A period begins at the first instant of a local day, wherever that day's offset from UTC puts it,
so periods follow one another without a gap or an overlap through every clock change.
"""

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

# The anchor that cuts at calendar bounds: a Monday, and the first day of its month and year.
CALENDAR = date(1, 1, 1)

_DAYS = {"day": 1, "week": 7}
_MONTHS = {"month": 1, "quarter": 3, "year": 12}
INTERVALS = (*_DAYS, *_MONTHS)


@dataclass(frozen=True, slots=True)
class Period:
    """All instants from `start` up to but not including `end`."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ValueError("A period needs instants with a time zone.")
        if self.start >= self.end:
            raise ValueError(f"A period ends after it starts: {self.start} to {self.end} does not.")

    def __contains__(self, instant: datetime) -> bool:
        return self.start <= instant < self.end


@dataclass(frozen=True, slots=True)
class BillingPeriod(Period):
    """The part of a `full` period that a subscription lasts; usually all of it."""

    full: Period

    @property
    def is_partial(self) -> bool:
        return (self.start, self.end) != (self.full.start, self.full.end)


def period_containing(
    instant: datetime,
    *,
    interval: str,
    interval_count: int = 1,
    zone: ZoneInfo,
    anchor: date = CALENDAR,
) -> Period:
    """Return the full period around an instant.

    `interval` is one of `INTERVALS` and `interval_count` how many of them make a period. Periods
    begin on the days that are whole periods away from `anchor`: with `CALENDAR` on Mondays and on
    the first of months, quarters and years (two-month periods in January, March, ...); with any
    other date on its day of the month, or the month's last day where there is none.
    """
    cadence = _Cadence(interval, interval_count, anchor)
    index = cadence.index_of(instant.astimezone(zone).date())
    end = start_of_day(cadence.first_day(index + 1), zone)
    # A clock set back across midnight repeats the last hour of a day that is already over.
    while end <= instant:
        index += 1
        end = start_of_day(cadence.first_day(index + 1), zone)
    return Period(start_of_day(cadence.first_day(index), zone), end)


def periods_from(
    start_at: datetime,
    *,
    end_at: datetime | None = None,
    interval: str,
    interval_count: int = 1,
    zone: ZoneInfo,
    anchor: date = CALENDAR,
) -> Iterator[BillingPeriod]:
    """Yield the billing periods of a subscription that runs over `[start_at, end_at)`.

    The first begins at `start_at` and the last ends at `end_at`, both perhaps inside their full
    periods; without an `end_at` there is no last.
    """
    start = start_at
    while end_at is None or start < end_at:
        full = period_containing(
            start, interval=interval, interval_count=interval_count, zone=zone, anchor=anchor
        )
        end = full.end if end_at is None else min(full.end, end_at)
        yield BillingPeriod(start, end, full)
        start = end


def start_of_day(day: date, zone: ZoneInfo) -> datetime:
    """Return the first instant of a local day, in UTC.

    Where a clock is set forward at midnight the day begins at the change (01:00 local time); where
    midnight comes twice, at the first. A day that a zone skipped begins, and ends, with the next.
    """
    return datetime.combine(day, time.min, tzinfo=zone).astimezone(UTC)


def months_later(instant: datetime, months: int, zone: ZoneInfo) -> datetime:
    """Return the same time of day in `zone` so many months later, or on the month's last day."""
    local = instant.astimezone(zone)
    year, month0 = divmod(local.year * 12 + local.month - 1 + months, 12)
    day = min(local.day, monthrange(year, month0 + 1)[1])
    return local.replace(year=year, month=month0 + 1, day=day).astimezone(UTC)


def nearest_midnight(instant: datetime, zone: ZoneInfo) -> datetime:
    """Return the first instant of the local day that begins nearest to an instant, in UTC.

    Of two that are equally near it is the later.
    """
    day = instant.astimezone(zone).date()
    before, after = start_of_day(day, zone), start_of_day(day + timedelta(days=1), zone)
    return before if instant - before < after - instant else after


@dataclass(frozen=True, slots=True)
class _Cadence:
    """The days on which periods begin, numbered from the anchor's."""

    interval: str
    count: int
    anchor: date

    def __post_init__(self) -> None:
        if self.interval not in INTERVALS:
            raise ValueError(f"An interval is one of {', '.join(INTERVALS)}, not {self.interval}.")
        if self.count < 1:
            raise ValueError(f"A period is at least one {self.interval}, not {self.count}.")

    def first_day(self, index: int) -> date:
        if self.interval in _DAYS:
            return self.anchor + timedelta(days=index * self._days)
        year, month0 = divmod(self._anchor_month + index * self._months, 12)
        last_day = monthrange(year, month0 + 1)[1]
        return date(year, month0 + 1, min(self.anchor.day, last_day))

    def index_of(self, day: date) -> int:
        if self.interval in _DAYS:
            return (day - self.anchor).days // self._days
        index = (day.year * 12 + day.month - 1 - self._anchor_month) // self._months
        return index if self.first_day(index) <= day else index - 1

    @property
    def _days(self) -> int:
        return _DAYS[self.interval] * self.count

    @property
    def _months(self) -> int:
        return _MONTHS[self.interval] * self.count

    @property
    def _anchor_month(self) -> int:
        return self.anchor.year * 12 + self.anchor.month - 1
