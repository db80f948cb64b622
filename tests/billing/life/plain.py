"""What a subscription comes to, worked out in plain Python from what happened: no product code.

Periods are weeks, months or years in the customer's zone, those of the calendar or those from the
day that charging begins on. Whoever moves to another zone keeps the running period; the next begins
where it ends, with the midnight there that is nearest. Each fee and each meter is priced once for each stretch in which
nothing that it depends on changed, and rounded once. An event counts as it was last put right.
"""

from calendar import monthrange
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from itertools import pairwise
from zoneinfo import ZoneInfo

from tests.billing.life.tariffs import TARIFFS

MONTHS = {"month": 1, "year": 12}
# How many places the smallest coin of a currency has.
PLACES = {"USD": 2, "JPY": 0, "KWD": 3}


@dataclass(frozen=True)
class Offer:
    """A plan: what usage costs, and the least that a whole period comes to."""

    tariff: str
    minimum: int = 0


@dataclass(frozen=True)
class Terms:
    """What holds from an instant on: a plan by name, seats, and whether it is charged at all."""

    since: datetime
    plan: str
    seats: int
    is_charged: bool = True


@dataclass(frozen=True)
class Period:
    """From `start` on, in the whole period `[first, beyond)` of a zone."""

    start: datetime
    first: datetime
    beyond: datetime
    zone: ZoneInfo


@dataclass(frozen=True)
class Charge:
    """What one price comes to for the stretch that begins at an instant."""

    price: str
    start: datetime
    amount: Decimal


@dataclass
class Life:
    """All that happened to one subscription, whenever it became known.

    Until `charged_from` it is on trial. `calls` are by id, in units, and `moves` to other zones;
    both are the customer's.
    """

    zone: ZoneInfo
    interval: str
    is_from_start: bool
    start: datetime
    end: datetime
    charged_from: datetime
    offers: dict[str, Offer]
    currency: str = "USD"
    terms: list[Terms] = field(default_factory=list)
    calls: dict[str, tuple[datetime, int]] = field(default_factory=dict)
    moves: list[tuple[datetime, ZoneInfo]] = field(default_factory=list)

    def rounded(self, amount: Fraction) -> Decimal:
        return rounded(amount, self.currency)


def total(life: Life) -> Decimal:
    return together(charges(life))


def charges(life: Life) -> list[Charge]:
    return [charge for period in periods(life) for charge in of_period(life, period)]


def of_period(life: Life, period: Period) -> Iterator[Charge]:
    start, end = max(period.start, life.start), min(period.beyond, life.end)

    def counted_from(begin: datetime) -> datetime:
        """Return from when fees count, which for who has moved here is a midnight of here."""
        is_next = begin == period.start != life.start
        return max(nearest_midnight(begin, period.zone) if is_next else begin, period.first)

    def part_of_days(begin: datetime, past: datetime) -> Fraction:
        whole = days(life, period.first, period.beyond, period.zone)
        return days(life, counted_from(begin), past, period.zone) / whole

    def part_of_time(begin: datetime, past: datetime) -> Fraction:
        past = max(past, counted_from(begin))
        return microseconds(counted_from(begin), past) / microseconds(period.first, period.beyond)

    found: list[Charge] = []
    least = Fraction(0)
    for begin, past, terms in stretches(life, start, end, lambda each: each.plan):
        offer = life.offers[terms.plan]
        used = usage(life, offer.tariff, begin, past, part_of_days(begin, past))
        found.append(Charge("calls", begin, life.rounded(used)))
        found.append(Charge("base", begin, life.rounded(31 * part_of_time(begin, past))))
        least += offer.minimum * part_of_time(begin, past)
    for begin, past, terms in stretches(life, start, end, lambda each: (each.plan, each.seats)):
        seats = 7 * terms.seats * part_of_days(begin, past)
        found.append(Charge("seats", begin, life.rounded(seats)))
    yield from found
    missing = max(life.rounded(least) - together(found), Decimal(0))
    yield Charge("minimum", start, missing)


def usage(life: Life, tariff: str, begin: datetime, past: datetime, part: Fraction) -> Fraction:
    """Return what the calls of a stretch cost; the least of a period is for its part of the days."""
    calls = sorted(
        (at, key, units) for key, (at, units) in life.calls.items() if begin <= at < past
    )
    priced = TARIFFS[tariff].price([units for _, _, units in calls])
    return max(priced, TARIFFS[tariff].least * part)


def microseconds(begin: datetime, past: datetime) -> Fraction:
    return Fraction((past - begin) // timedelta(microseconds=1))


def together(found: list[Charge]) -> Decimal:
    return sum((charge.amount for charge in found), Decimal(0))


def periods(life: Life) -> Iterator[Period]:
    """Yield the periods one after another, from the start of the life until it ends."""
    start = life.start
    while start < life.end:
        zone = [life.zone, *(zone for moved_at, zone in life.moves if moved_at < start)][-1]
        number = 0
        while midnight(first_day(life, number), zone) > start:
            number -= 1
        while midnight(first_day(life, number + 1), zone) <= start:
            number += 1
        first, beyond = (midnight(first_day(life, each), zone) for each in (number, number + 1))
        yield Period(start, first, beyond, zone)
        start = beyond


def first_day(life: Life, number: int) -> date:
    """Return the day a period begins: of a month without that day, the last one.

    Counted is from the day that charging begins, before which a trial may have periods too.
    """
    day = life.charged_from.astimezone(life.zone).date()
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
    life: Life, start: datetime, end: datetime, same: Callable[[Terms], object]
) -> Iterator[tuple[datetime, datetime, Terms]]:
    """Cut where what matters changes, and leave out what is not charged."""
    start = max(start, life.charged_from)
    if start >= end:
        return
    cuts = [start, *sorted({each.since for each in life.terms if start < each.since < end}), end]
    found: list[tuple[datetime, datetime, Terms]] = []
    for begin, past in pairwise(cuts):
        terms = [each for each in life.terms if each.since <= begin][-1]
        if not terms.is_charged:
            continue
        if found and found[-1][1] == begin and same(found[-1][2]) == same(terms):
            found[-1] = (found[-1][0], past, found[-1][2])
        else:
            found.append((begin, past, terms))
    yield from found


def nearest_midnight(at: datetime, zone: ZoneInfo) -> datetime:
    today = at.astimezone(zone).date()
    before, after = midnight(today, zone), midnight(today + timedelta(days=1), zone)
    return before if at - before < after - at else after


def days(life: Life, begin: datetime, past: datetime, zone: ZoneInfo) -> Fraction:
    """Count the days that begin in a stretch; the day of an end of all counts as a whole one."""
    first, last = begin.astimezone(zone).date(), past.astimezone(zone).date()
    if past == life.end and midnight(last, zone) < past:
        last += timedelta(days=1)
    return Fraction(max((last - first).days, 0))


def rounded(amount: Fraction, currency: str) -> Decimal:
    """Round half away from zero, to the smallest coin."""
    exact = Decimal(amount.numerator) / Decimal(amount.denominator)
    return exact.quantize(Decimal(1).scaleb(-PLACES[currency]), ROUND_HALF_UP)
