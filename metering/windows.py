"""Time cut into windows: calendar arithmetic in a zone, and the buckets that fit into it.

Days, weeks and months begin at local midnight, however long they last. Minutes and hours are
counted from the midnight of their day, so that a day of 23 or 25 hours has that many of them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
STEPS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}


def next_day(day: date) -> date:
    return day + timedelta(days=1)


def next_week(day: date) -> date:
    """Return the Monday after `day`: weeks are those of ISO 8601."""
    return day + timedelta(days=7 - day.weekday())


def next_month(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


CALENDAR: dict[str, Callable[[date], date]] = {
    "day": next_day,
    "week": next_week,
    "month": next_month,
}
WINDOWS = ("hour", *CALENDAR)


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """Return the instant at which `day` begins in `zone`, in UTC.

    Where the clock skips midnight the day begins when it jumps, and where it shows midnight twice
    it begins at the first.
    """
    return datetime.combine(day, time.min, zone).astimezone(UTC)


def local_day(at: datetime, zone: ZoneInfo) -> date:
    """Return the latest day that has begun by `at`.

    It differs from the date on the clock where a zone set its clocks back across midnight.
    """
    day = at.astimezone(zone).date() - timedelta(days=1)
    while midnight(next_day(day), zone) <= at:
        day = next_day(day)
    return day


def day_starts(start: datetime, end: datetime, zone: ZoneInfo) -> list[datetime]:
    """Return where the days of `[start, end)` begin; the first is at or before `start`."""
    first = local_day(start, zone)
    return [midnight(first, zone), *calendar_cuts(start, end, "day", zone)]


def month_around(at: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return the start and the end of the month that an instant lies in."""
    first = local_day(at, zone).replace(day=1)
    return midnight(first, zone), midnight(next_month(first), zone)


def calendar_cuts(
    start: datetime, end: datetime, window: str, zone: ZoneInfo
) -> Iterator[datetime]:
    """Yield the instants inside `(start, end)` at which a new day, week or month begins."""
    following = CALENDAR[window]
    day, last = following(local_day(start, zone)), start
    while (cut := midnight(day, zone)) < end:
        # A day that a zone skipped, as Samoa did, has no length and no window.
        if cut > last:
            yield cut
            last = cut
        day = following(day)


def hour_cuts(start: datetime, end: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    hour = STEPS["hour"]
    for begin, past in pairwise([*day_starts(start, end, zone), end]):
        cut = begin if begin > start else begin + ((start - begin) // hour + 1) * hour
        while cut < past:
            yield cut
            cut += hour


def window_cuts(start: datetime, end: datetime, window: str, zone: ZoneInfo) -> Iterator[datetime]:
    """Yield the instants inside `(start, end)` at which a window of WINDOWS begins."""
    if window in CALENDAR:
        return calendar_cuts(start, end, window, zone)
    return hour_cuts(start, end, zone)


@dataclass(frozen=True, slots=True)
class Range:
    """A half-open stretch of time."""

    start: datetime
    end: datetime


def floor_to(at: datetime, step: timedelta) -> datetime:
    return at - (at - EPOCH) % step


def ceil_to(at: datetime, step: timedelta) -> datetime:
    return at + (EPOCH - at) % step


def broken_by_cuts(cuts: Iterable[datetime], step: timedelta) -> Iterator[Range]:
    """Yield the buckets of UTC that hold one of these instants inside them."""
    for cut in cuts:
        if floor_to(cut, step) != cut:
            yield Range(floor_to(cut, step), ceil_to(cut, step))


def buckets_around(instants: Iterable[datetime], step: timedelta) -> Iterator[Range]:
    """Yield the buckets of UTC that these instants lie in."""
    for instant in instants:
        start = floor_to(instant, step)
        yield Range(start, start + step)


def broken_by_hours(days: Sequence[datetime], end: datetime, step: timedelta) -> Iterator[Range]:
    """Yield the days whose hours or minutes, counted from midnight, fit no bucket of UTC."""
    for begin, past in pairwise([*days, end]):
        if floor_to(begin, step) != begin:
            yield Range(floor_to(begin, step), ceil_to(past, step))


def split_by_buckets(period: Range, broken: Iterable[Range]) -> tuple[list[Range], list[Range]]:
    """Split a period into what lies outside the broken buckets and what lies inside them.

    An end of the period that is inside a bucket must be among what broke it.
    """
    whole: list[Range] = []
    cut: list[Range] = []
    edge = period.start
    for item in merged(broken):
        if edge < item.start:
            whole.append(Range(edge, item.start))
        cut.append(Range(max(item.start, period.start), min(item.end, period.end)))
        edge = item.end
    if edge < period.end:
        whole.append(Range(edge, period.end))
    return whole, cut


def merged(ranges: Iterable[Range]) -> list[Range]:
    """Return the same stretches of time in order, with those that touch made one."""
    result: list[Range] = []
    for item in sorted(ranges, key=lambda each: each.start):
        if result and item.start <= result[-1].end:
            result[-1] = Range(result[-1].start, max(result[-1].end, item.end))
        else:
            result.append(item)
    return result
