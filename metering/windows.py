"""Time cut into windows: calendar arithmetic in a zone, and the buckets that fit into it.

Days, weeks and months begin at local midnight, however long they last. Minutes and hours are
counted from the midnight of their day, so that a day of 23 or 25 hours has that many of them.
Buckets of the roll-ups are cut the same way.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

STEPS = {
    "minute": timedelta(minutes=1),
    "5minute": timedelta(minutes=5),
    "hour": timedelta(hours=1),
}


@dataclass(frozen=True, slots=True)
class Range:
    """A half-open stretch of time."""

    start: datetime
    end: datetime


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


def count_windows(start: datetime, end: datetime, window: str, zone: ZoneInfo) -> int:
    """Return into how many windows of STEPS or days a period is cut, those cut short included."""
    days = day_starts(start, end, zone)
    if window == "day":
        return len(days)
    step = STEPS[window]
    return sum(
        (min(past, end) - day - timedelta.resolution) // step - (max(day, start) - day) // step + 1
        for day, past in pairwise([*days, end])
    )


class Grid:
    """The buckets that a stretch of time is cut into: days of a zone, and steps counted from them.

    `midnights` are where the days of `[start, end)` begin, and the first one at or after `end`.
    """

    def __init__(self, start: datetime, end: datetime, zone: ZoneInfo) -> None:
        self.zone = zone
        self.midnights = day_starts(start, end, zone)
        day = local_day(self.midnights[-1], zone)
        while self.midnights[-1] < end:
            day = next_day(day)
            # A day that the zone skipped has no length.
            if midnight(day, zone) > self.midnights[-1]:
                self.midnights.append(midnight(day, zone))

    def floor(self, at: datetime, grain: str) -> datetime:
        """Return where the bucket of this length begins that an instant lies in."""
        day = self.midnights[bisect_right(self.midnights, at) - 1]
        return day if grain == "day" else day + (at - day) // STEPS[grain] * STEPS[grain]

    def ceil(self, at: datetime, grain: str) -> datetime:
        """Return the first beginning of a bucket at or after an instant."""
        start = self.floor(at, grain)
        if start == at:
            return at
        midnight = self.midnights[bisect_right(self.midnights, at)]
        return midnight if grain == "day" else min(start + STEPS[grain], midnight)

    def around(self, instants: Iterable[datetime], grain: str) -> Iterator[Range]:
        """Yield the buckets that these instants lie in, of those inside the grid."""
        for at in instants:
            if self.midnights[0] <= at < self.midnights[-1]:
                start = self.floor(at, grain)
                yield Range(start, self.ceil(at + timedelta.resolution, grain))

    def broken_by(self, cuts: Iterable[datetime], grain: str) -> Iterator[Range]:
        """Yield the buckets that hold one of these instants inside them."""
        for cut in cuts:
            if self.floor(cut, grain) != cut:
                yield Range(self.floor(cut, grain), self.ceil(cut, grain))


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
