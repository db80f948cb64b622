"""Prices of usage: what a plan says of them, and the same in plain Python.

A tariff's `price` takes the calls of a stretch of time, each as a number of units, in the order in
which they happened, and returns what they cost together, not rounded. DESIGN 5.3 and 5.4 say how.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Any

type Units = Sequence[int]


@dataclass(frozen=True)
class Tariff:
    """A price of usage; `least` is the minimum of a whole period and goes with its days."""

    document: dict[str, Any]
    price: Callable[[Units], Fraction]
    least: int = 0


def region_of(units: int) -> str:
    """Events say where they were: those of many units in Europe."""
    return "eu" if units > 6 else "us"


def graduated(units: Units) -> Fraction:
    """Up to 10 at 2, up to 20 at 3, above at 5: each unit at the price of its own tier."""
    calls = sum(units)
    return Fraction(2 * min(calls, 10) + 3 * min(max(calls - 10, 0), 10) + 5 * max(calls - 20, 0))


def graduated_fees(units: Units) -> Fraction:
    """Each tier that is entered has a fee, the first one even if nothing is used."""
    calls = sum(units)
    tiers = Fraction("0.1") * min(calls, 8) + Fraction("0.0625") * max(calls - 8, 0)
    return tiers + 4 + (3 if calls > 8 else 0)


def volume(units: Units) -> Fraction:
    """All units at the price of the tier that the last one is in: above 10 they get cheaper."""
    calls = sum(units)
    return Fraction("0.95") * calls if calls <= 10 else Fraction("0.775") * calls + 1


def percentage(units: Units) -> Fraction:
    """2.9 % and 0.30 of each; the first is free, and none pays below 0.4 or above 0.55."""
    fees = (Fraction("0.029") * value + Fraction("0.30") for value in units[1:])
    return sum((min(max(fee, Fraction("0.4")), Fraction("0.55")) for fee in fees), Fraction(0))


def matrix(units: Units) -> Fraction:
    prices = {"eu": Fraction("0.3333"), "us": Fraction("0.125")}
    return sum((prices[region_of(value)] * value for value in units), Fraction(0))


def bounded(units: Units) -> Fraction:
    """Pairs begun at 1.25 each, the first two free, 15 at most."""
    pairs = ceil(Fraction(sum(units), 2))
    return min(Fraction("1.25") * max(pairs - 2, 0), Fraction(15))


def tier(up_to: str | None, **price: str) -> dict[str, Any]:
    return {"up_to": up_to, **price}


def priced(model: str, **fields: Any) -> dict[str, Any]:
    return {"key": "calls", "meter": "calls", "model": model, **fields}


TARIFFS = {
    "each": Tariff(priced("per_unit", unit_amount="3"), lambda units: Fraction(3 * sum(units))),
    "graduated": Tariff(
        priced(
            "graduated",
            tiers=[
                tier("10", unit_amount="2"),
                tier("20", unit_amount="3"),
                tier(None, unit_amount="5"),
            ],
        ),
        graduated,
    ),
    "graduated fees": Tariff(
        priced(
            "graduated",
            tiers=[
                tier("8", unit_amount="0.1", flat_amount="4"),
                tier(None, unit_amount="0.0625", flat_amount="3"),
            ],
        ),
        graduated_fees,
    ),
    "volume": Tariff(
        priced(
            "volume",
            tiers=[
                tier("10", unit_amount="0.95"),
                tier(None, unit_amount="0.775", flat_amount="1"),
            ],
        ),
        volume,
    ),
    "packages": Tariff(
        priced("package", size="7", amount="5.555"),
        lambda units: Fraction("5.555") * ceil(Fraction(sum(units), 7)),
    ),
    "packages down": Tariff(
        priced("package", size="4", amount="2.345", round="down"),
        lambda units: Fraction("2.345") * (sum(units) // 4),
    ),
    "percentage": Tariff(
        priced(
            "percentage",
            rate="2.9",
            fixed_amount="0.30",
            free_events=1,
            minimum_per_event="0.4",
            maximum_per_event="0.55",
        ),
        percentage,
    ),
    "graduated percentage": Tariff(
        priced(
            "graduated_percentage",
            tiers=[tier("15", rate="10", flat_amount="0.5"), tier(None, rate="3.333")],
        ),
        lambda units: (
            Fraction("0.1") * min(sum(units), 15)
            + Fraction("0.03333") * max(sum(units) - 15, 0)
            + Fraction("0.5")
        ),
    ),
    "dynamic": Tariff(
        priced("dynamic", multiplier="1.155"), lambda units: Fraction("1.155") * sum(units)
    ),
    "matrix": Tariff(
        priced(
            "matrix",
            dimensions=["region"],
            cells=[{"match": {"region": "eu"}, "price": {"unit_amount": "0.3333"}}],
            default={"unit_amount": "0.125"},
        ),
        matrix,
    ),
    "bounded": Tariff(
        priced(
            "per_unit",
            unit_amount="1.25",
            unit_conversion={"divide_by": "2", "round": "up"},
            free_units="2",
            maximum_amount="15",
        ),
        bounded,
    ),
    "at least": Tariff(
        priced("per_unit", unit_amount="0.75", minimum_amount="10"),
        lambda units: Fraction("0.75") * sum(units),
        least=10,
    ),
}
