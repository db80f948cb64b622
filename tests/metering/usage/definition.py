"""What each aggregation means, in plain Python over a list of events."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from metering.models import Meter
from tests.metering.usage.stored import Use

# What an event may carry as its value, and the number that it says.
NUMBERS: list[tuple[Any, Decimal | None]] = [
    (5, Decimal(5)),
    (0, Decimal(0)),
    (-7, Decimal(-7)),
    ("12.5", Decimal("12.5")),
    ("-0.000000000000000000000000000001", Decimal("-1e-30")),
    ("99999999999999999999.99", Decimal("99999999999999999999.99")),
    ("1e3", Decimal(1000)),
    ("+.5E-2", Decimal("0.005")),
    ("3.", Decimal(3)),
    ("1e100", None),
    ("NaN", None),
    ("Infinity", None),
    ("1,000", None),
    (" 4", None),
    ("4\n", None),
    ("", None),
    ("٣", None),
    ("0x10", None),
    ("9" * 65, None),
    (True, None),
    (None, None),
    ([1], None),
]
SAYS = {repr(raw): number for raw, number in NUMBERS}


def text_of(use: Use, name: str) -> str | None:
    value = use.properties.get(name)
    if value is None or isinstance(value, str):
        return value
    return str(value).lower()


def number_of(use: Use, name: str) -> Decimal | None:
    return SAYS[repr(use.properties.get(name))]


def add(numbers: Iterable[Decimal]) -> Decimal:
    """Add without rounding; a sum in the usual context keeps 28 digits."""
    with localcontext(prec=200):
        return sum(numbers, Decimal(0))


def numbers(meter: Meter, uses: Sequence[Use]) -> list[Decimal]:
    found = (number_of(use, meter.value_property) for use in uses)
    return [number for number in found if number is not None]


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of time `[start, end)`, and the zone in which a meter's windows are cut."""

    start: datetime
    end: datetime
    zone: ZoneInfo


PERIODLESS = Period(
    datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC), ZoneInfo("UTC")
)


def inside(uses: Sequence[Use], period: Period) -> list[Use]:
    return [use for use in uses if period.start <= use.at < period.end]


def has_value(meter: Meter, aggregation: str, uses: Sequence[Use]) -> bool:
    """Tell whether there is anything to aggregate: an empty sum is no value, not zero."""
    if aggregation == "sum":
        return bool(numbers(meter, uses))
    if aggregation == "unique_count":
        return any(text_of(use, meter.value_property) is not None for use in uses)
    return bool(uses)


def window_values(meter: Meter, uses: Sequence[Use], zone: ZoneInfo) -> dict[datetime, Decimal]:
    """Return what is measured in each window of the meter that has something to measure."""
    by_window: dict[datetime, list[Use]] = {}
    for use in uses:
        by_window.setdefault(window_start(use.at, meter.window, zone), []).append(use)
    return {
        start: DEFINITIONS[meter.of](meter, inside, PERIODLESS)
        for start, inside in by_window.items()
        if has_value(meter, meter.of, inside)
    }


def peak(meter: Meter, uses: Sequence[Use], period: Period) -> Decimal:
    values = window_values(meter, inside(uses, period), period.zone).values()
    return max(values, default=Decimal(0))


def percentile(meter: Meter, uses: Sequence[Use], period: Period) -> Decimal:
    values = window_values(meter, inside(uses, period), period.zone)
    windows = set(windows_of(meter, period))
    assert values.keys() <= windows
    empty = [Decimal(0)] * (len(windows) - len(values))
    falling = sorted([*values.values(), *empty], reverse=True)
    assert meter.percentile is not None
    return falling[int(len(falling) * (100 - Fraction(meter.percentile)) / 100)]


def windows_of(meter: Meter, period: Period) -> Iterator[datetime]:
    """Yield where each window of the meter begins that has a part in the period."""
    day = period.start.astimezone(period.zone).date()
    while (start := midnight(day, period.zone)) < period.end:
        day += timedelta(days=1)
        past = min(midnight(day, period.zone), period.end)
        while start < past:
            end = start + STEPS.get(meter.window, timedelta(days=2))
            if end > period.start:
                yield start
            start = end


def latest(meter: Meter, uses: Sequence[Use], period: Period) -> Decimal:
    found = [
        (use.at, use.id.encode(), number)
        for use in inside(uses, period)
        if (number := number_of(use, meter.value_property)) is not None
    ]
    return max(found, default=(None, None, Decimal(0)))[2]


def changes(meter: Meter, uses: Sequence[Use], period: Period) -> list[tuple[datetime, Fraction]]:
    """Return the changes of a level until the period ends, those before it at its start."""
    return sorted(
        (max(use.at, period.start), Fraction(number))
        for use in uses
        if use.at < period.end and (number := number_of(use, meter.value_property)) is not None
    )


def weighted_sum(meter: Meter, uses: Sequence[Use], period: Period) -> Decimal:
    area = sum(change * seconds(period.end - at) for at, change in changes(meter, uses, period))
    scaled = Fraction(area) / seconds(period.end - period.start) * 10**15
    rounded = int(abs(scaled) + Fraction(1, 2)) * (1 if scaled >= 0 else -1)
    return Decimal(rounded).scaleb(-15, Context(prec=200))


def seconds(duration: timedelta) -> Fraction:
    return Fraction(duration // timedelta.resolution, 10**6)


def running_peak(meter: Meter, uses: Sequence[Use], period: Period) -> Decimal:
    before = [use for use in uses if use.at < period.start]
    level = add(numbers(meter, before))
    reached = [level]
    for at in sorted({use.at for use in inside(uses, period)}):
        level = add([level, *numbers(meter, [use for use in uses if use.at == at])])
        reached.append(level)
    return max(reached)


DEFINITIONS: dict[str, Callable[[Meter, Sequence[Use], Period], Decimal]] = {
    "count": lambda meter, uses, period: Decimal(len(inside(uses, period))),
    "sum": lambda meter, uses, period: add(numbers(meter, inside(uses, period))),
    "max": lambda meter, uses, period: max(
        numbers(meter, inside(uses, period)), default=Decimal(0)
    ),
    "min": lambda meter, uses, period: min(
        numbers(meter, inside(uses, period)), default=Decimal(0)
    ),
    "unique_count": lambda meter, uses, period: Decimal(
        len({text_of(use, meter.value_property) for use in inside(uses, period)} - {None})
    ),
    "latest": latest,
    "weighted_sum": weighted_sum,
    "peak": peak,
    "running_peak": running_peak,
    "percentile": percentile,
}
CARRYING = {"weighted_sum", "running_peak"}
"""Aggregations of a level that carries into a period, so that earlier events matter too."""

FILTERS: dict[str, Callable[[Use, str, Any], bool]] = {
    "eq": lambda use, name, value: text_of(use, name) == value,
    "ne": lambda use, name, value: text_of(use, name) != value,
    "in": lambda use, name, value: text_of(use, name) in value,
    "exists": lambda use, name, value: (text_of(use, name) is not None) == value,
    "lt": lambda use, name, value: compares(use, name, lambda number: number < Decimal(value)),
    "lte": lambda use, name, value: compares(use, name, lambda number: number <= Decimal(value)),
    "gt": lambda use, name, value: compares(use, name, lambda number: number > Decimal(value)),
    "gte": lambda use, name, value: compares(use, name, lambda number: number >= Decimal(value)),
}


def compares(use: Use, name: str, test: Callable[[Decimal], bool]) -> bool:
    number = number_of(use, name)
    return number is not None and test(number)


def counted(meter: Meter, uses: Iterable[Use], only: Mapping[str, str | None]) -> list[Use]:
    """Return the events that the meter counts and the question asks for."""
    return [
        use
        for use in uses
        if use.type == meter.event_type
        and all(FILTERS[each["op"]](use, each["property"], each["value"]) for each in meter.filters)
        and all(text_of(use, name) == text for name, text in only.items())
    ]


STEPS = {
    "hour": timedelta(hours=1),
    "5minute": timedelta(minutes=5),
    "minute": timedelta(minutes=1),
}


def window_start(at: datetime, window: str, zone: ZoneInfo) -> datetime:
    """Return when the window that an instant lies in began."""
    day = at.astimezone(zone).date()
    firsts = {"week": day - timedelta(days=day.weekday()), "month": day.replace(day=1)}
    begin = midnight(firsts.get(window, day), zone)
    step = STEPS.get(window)
    return begin if step is None else begin + (at - begin) // step * step


def midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time.min, zone).astimezone(UTC)
