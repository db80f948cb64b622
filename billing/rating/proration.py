"""Proration: the fraction of a full period's fee that a part of it costs."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from billing.rating.periods import Period, start_of_day

_SMALLEST = timedelta(microseconds=1)


def proration_fraction(
    proration: str, part: Period, full: Period, zone: ZoneInfo, *, is_last: bool = False
) -> Fraction:
    """Return what fraction of the fee for `full` is due for `part`, a period within it.

    `proration` is one of `PRORATIONS`: `day` counts calendar days in `zone`, `second` exact time,
    `none` charges in full. Under `day` a started day is a whole one, and the day of a change
    belongs to what comes after it; `is_last` says that nothing does (the subscription ended), so
    that the last, started day counts too. The fractions of parts that follow one another sum to
    the fraction of them all.
    """
    if part.start < full.start or full.end < part.end:
        raise ValueError(f"{part} is not within {full}.")
    return _FRACTIONS[proration](part, full, zone, is_last)


def _by_day(part: Period, full: Period, zone: ZoneInfo, is_last: bool) -> Fraction:
    first, beyond = _local_date(full.start, zone), _local_date(full.end, zone)
    # A clock set back across midnight puts instants of a period on the day before it.
    start = max(_local_date(part.start, zone), first)
    end = max(_local_date(part.end, zone), first)
    if is_last and start_of_day(end, zone) < part.end:
        end += timedelta(days=1)
    return Fraction((end - start).days, (beyond - first).days)


def _by_second(part: Period, full: Period, zone: ZoneInfo, is_last: bool) -> Fraction:
    return Fraction((part.end - part.start) // _SMALLEST, (full.end - full.start) // _SMALLEST)


def _in_full(part: Period, full: Period, zone: ZoneInfo, is_last: bool) -> Fraction:
    return Fraction(1)


def _local_date(instant: datetime, zone: ZoneInfo) -> date:
    return instant.astimezone(zone).date()


_FRACTIONS: dict[str, Callable[[Period, Period, ZoneInfo, bool], Fraction]] = {
    "day": _by_day,
    "second": _by_second,
    "none": _in_full,
}
PRORATIONS = tuple(_FRACTIONS)
