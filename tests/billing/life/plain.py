"""What a subscription comes to, worked out in plain Python from what happened: no product code.

Months are calendar months in the customer's zone. Each fee and each meter is priced once for each
stretch in which nothing that it depends on changed, and rounded once.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from itertools import pairwise
from zoneinfo import ZoneInfo

CENT = Decimal("0.01")


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
    start: datetime
    end: datetime
    terms: list[Terms] = field(default_factory=list)
    calls: list[datetime] = field(default_factory=list)


def total(life: Life) -> Decimal:
    return together(list(charges(life)))


def charges(life: Life) -> Iterator[tuple[str, Decimal]]:
    for first, beyond in months(life):
        start, end = max(first, life.start), min(beyond, life.end)
        if start >= end:
            continue
        found = list(charges_of_month(life, start, end, first, beyond))
        yield from found
        yield "minimum", max(least(life, start, end, first, beyond) - together(found), Decimal(0))


def charges_of_month(
    life: Life, start: datetime, end: datetime, first: datetime, beyond: datetime
) -> Iterator[tuple[str, Decimal]]:
    for begin, past, terms in stretches(life, start, end, lambda each: each.plan):
        calls = sum(begin <= at < past for at in life.calls)
        yield "calls", rounded(Fraction(tiers(calls) if terms.plan == "team" else calls * 3))
    for begin, past, _ in stretches(life, start, end, lambda each: each.plan):
        yield "base", rounded(31 * seconds(begin, past) / seconds(first, beyond))
    for begin, past, terms in stretches(life, start, end, lambda each: (each.plan, each.seats)):
        part = days(life, begin, past) / whole_days(life, first, beyond)
        yield "seats", rounded(7 * terms.seats * part)


def together(found: list[tuple[str, Decimal]]) -> Decimal:
    return sum((amount for _, amount in found), Decimal(0))


def least(life: Life, start: datetime, end: datetime, first: datetime, beyond: datetime) -> Decimal:
    """A month of team comes to 80 at least; that is by the second, as its base fee is."""
    parts = stretches(life, start, end, lambda each: each.plan)
    team = sum(seconds(begin, past) for begin, past, terms in parts if terms.plan == "team")
    return rounded(80 * Fraction(team) / seconds(first, beyond))


def seconds(begin: datetime, past: datetime) -> Fraction:
    return Fraction((past - begin) // timedelta(microseconds=1))


def tiers(calls: int) -> int:
    """Up to 10 at 2, up to 20 at 3, above at 5."""
    return 2 * min(calls, 10) + 3 * min(max(calls - 10, 0), 10) + 5 * max(calls - 20, 0)


def months(life: Life) -> Iterator[tuple[datetime, datetime]]:
    day = life.start.astimezone(life.zone).date().replace(day=1)
    while midnight(day, life.zone) < life.end:
        following = (day + timedelta(days=32)).replace(day=1)
        yield midnight(day, life.zone), midnight(following, life.zone)
        day = following


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
