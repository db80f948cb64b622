"""What each aggregation means, in plain Python over a list of events."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, localcontext
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


def peak(meter: Meter, uses: Sequence[Use], zone: ZoneInfo) -> Decimal:
    by_window: dict[datetime, list[Use]] = {}
    for use in uses:
        by_window.setdefault(window_start(use.at, meter.window, zone), []).append(use)
    measured = [
        DEFINITIONS[meter.of](meter, inside, zone)
        for inside in by_window.values()
        if has_value(meter, meter.of, inside)
    ]
    return max(measured, default=Decimal(0))


def has_value(meter: Meter, aggregation: str, uses: Sequence[Use]) -> bool:
    """Tell whether there is anything to aggregate: an empty sum is no value, not zero."""
    if aggregation == "sum":
        return bool(numbers(meter, uses))
    if aggregation == "unique_count":
        return any(text_of(use, meter.value_property) is not None for use in uses)
    return bool(uses)


DEFINITIONS: dict[str, Callable[[Meter, Sequence[Use], ZoneInfo], Decimal]] = {
    "count": lambda meter, uses, zone: Decimal(len(uses)),
    "sum": lambda meter, uses, zone: add(numbers(meter, uses)),
    "max": lambda meter, uses, zone: max(numbers(meter, uses), default=Decimal(0)),
    "unique_count": lambda meter, uses, zone: Decimal(
        len({text_of(use, meter.value_property) for use in uses} - {None})
    ),
    "peak": peak,
}

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


def window_start(at: datetime, window: str, zone: ZoneInfo) -> datetime:
    """Return when the window that an instant lies in began."""
    day = at.astimezone(zone).date()
    firsts = {"week": day - timedelta(days=day.weekday()), "month": day.replace(day=1)}
    begin = midnight(firsts.get(window, day), zone)
    step = {"hour": timedelta(hours=1), "minute": timedelta(minutes=1)}.get(window)
    return begin if step is None else begin + (at - begin) // step * step


def midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time.min, zone).astimezone(UTC)
