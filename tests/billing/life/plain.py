"""What a subscription comes to, worked out in plain Python from what happened: no product code.

Periods are weeks, months or years in the customer's zone, those of the calendar or those from the
day of the start on. Each fee and each meter is priced once for each stretch in which nothing that
it depends on changed, and rounded once. An event counts as it was last put right.
"""

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from itertools import pairwise
from zoneinfo import ZoneInfo

CENT = Decimal("0.01")
MONTHS = {"month": 1, "year": 12}


@dataclass(frozen=True)
class Terms:
    """What holds from an instant on: a plan by name, seats, and whether it is charged at all."""

    since: datetime
    plan: str
    seats: int
    is_charged: bool = True


@dataclass
class Life:
    """All that happened to one subscription, whenever it became known."""

    zone: ZoneInfo
    interval: str
    is_from_start: bool
    start: datetime
    end: datetime
    terms: list[Terms] = field(default_factory=list)
    calls: dict[str, tuple[datetime, int]] = field(default_factory=dict)


def total(life: Life) -> Decimal:
    return together(list(charges(life)))


def charges(life: Life) -> Iterator[tuple[str, Decimal]]:
    for first, beyond in periods(life):
        start, end = max(first, life.start), min(beyond, life.end)
        if start >= end:
            continue
        found = list(charges_of_period(life, start, end, first, beyond))
        yield from found
        yield "minimum", max(least(life, start, end, first, beyond) - together(found), Decimal(0))


def charges_of_period(
    life: Life, start: datetime, end: datetime, first: datetime, beyond: datetime
) -> Iterator[tuple[str, Decimal]]:
    for begin, past, terms in stretches(life, start, end, lambda each: each.plan):
        calls = sum(units for at, units in life.calls.values() if begin <= at < past)
        yield "calls", rounded(Fraction(tiers(calls) if terms.plan == "team" else calls * 3))
    for begin, past, _ in stretches(life, start, end, lambda each: each.plan):
        yield "base", rounded(31 * seconds(begin, past) / seconds(first, beyond))
    for begin, past, terms in stretches(life, start, end, lambda each: (each.plan, each.seats)):
        part = days(life, begin, past) / whole_days(life, first, beyond)
        yield "seats", rounded(7 * terms.seats * part)


def together(found: list[tuple[str, Decimal]]) -> Decimal:
    return sum((amount for _, amount in found), Decimal(0))


def least(life: Life, start: datetime, end: datetime, first: datetime, beyond: datetime) -> Decimal:
    """A period of team comes to 80 at least; that is by the second, as its base fee is."""
    parts = stretches(life, start, end, lambda each: each.plan)
    team = sum(seconds(begin, past) for begin, past, terms in parts if terms.plan == "team")
    return rounded(80 * Fraction(team) / seconds(first, beyond))


def seconds(begin: datetime, past: datetime) -> Fraction:
    return Fraction((past - begin) // timedelta(microseconds=1))


def tiers(calls: int) -> int:
    """Up to 10 at 2, up to 20 at 3, above at 5."""
    return 2 * min(calls, 10) + 3 * min(max(calls - 10, 0), 10) + 5 * max(calls - 20, 0)


def periods(life: Life) -> Iterator[tuple[datetime, datetime]]:
    """Yield whole periods, from the one that the life begins in until it ends."""
    number = 0
    while (first := midnight(first_day(life, number), life.zone)) < life.end:
        yield first, midnight(first_day(life, number + 1), life.zone)
        number += 1


def first_day(life: Life, number: int) -> date:
    """Return the day a period begins: of a month without that day, the last one."""
    day = life.start.astimezone(life.zone).date()
    if life.interval == "week":
        monday = day if life.is_from_start else day - timedelta(days=day.weekday())
        return monday + timedelta(weeks=number)
    if not life.is_from_start:
        day = day.replace(day=1, month=1 if life.interval == "year" else day.month)
    years, month = divmod(day.month - 1 + number * MONTHS[life.interval], 12)
    year = day.year + years
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time.min, tzinfo=zone).astimezone(UTC)


def stretches(
    life: Life, start: datetime, end: datetime, same: object
) -> Iterator[tuple[datetime, datetime, Terms]]:
    """Cut where what matters changes, and leave out what is not charged."""
    cuts = [start, *sorted({each.since for each in life.terms if start < each.since < end}), end]
    found: list[tuple[datetime, datetime, Terms]] = []
    for begin, past in pairwise(cuts):
        terms = [each for each in life.terms if each.since <= begin][-1]
        if not terms.is_charged:
            continue
        if found and found[-1][1] == begin and same(found[-1][2]) == same(terms):  # type: ignore[operator]
            found[-1] = (found[-1][0], past, found[-1][2])
        else:
            found.append((begin, past, terms))
    yield from found


def days(life: Life, begin: datetime, past: datetime) -> Fraction:
    """Count the days that begin in a stretch; the day of an end of all counts as a whole one."""
    first, last = begin.astimezone(life.zone).date(), past.astimezone(life.zone).date()
    if past == life.end and midnight(last, life.zone) < past:
        last += timedelta(days=1)
    return Fraction((last - first).days)


def whole_days(life: Life, first: datetime, beyond: datetime) -> Fraction:
    return Fraction((beyond.astimezone(life.zone).date() - first.astimezone(life.zone).date()).days)


def rounded(amount: Fraction) -> Decimal:
    exact = Decimal(amount.numerator) / Decimal(amount.denominator)
    return exact.quantize(CENT, ROUND_HALF_UP)
