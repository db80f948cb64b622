"""Hypothesis strategies for price documents and quantities, and a price worked out in fractions."""

from collections.abc import Callable
from fractions import Fraction
from math import ceil, floor
from typing import Any

from hypothesis import strategies as st

from billing.rating.price_models import PRICE_MODELS

CURRENCIES = st.sampled_from(["USD", "JPY", "KWD", "CLF"])


def numbers(*, digits: int = 6, places: int = 6, least: int = 0) -> st.SearchStrategy[str]:
    """Return decimal literals of up to `digits` digits, up to `places` of them after the point."""
    return st.builds(
        lambda value, exponent: f"{value}e-{exponent}",
        st.integers(least, 10**digits),
        st.integers(0, places),
    )


RATES = st.one_of(numbers(), numbers(digits=4, places=15), numbers(digits=18, places=15))
QUANTITIES = st.one_of(
    st.just("0"), numbers(digits=4, places=0), numbers(), numbers(digits=29, places=20)
)
SIGNED_QUANTITIES = st.one_of(QUANTITIES, QUANTITIES.map(lambda number: f"-{number}"))
SIZES = numbers(digits=5, places=3, least=1)


@st.composite
def tiers(draw: st.DrawFn) -> list[dict[str, object]]:
    bounds = sorted(draw(st.sets(st.integers(1, 10**5), max_size=4)))
    return [
        {
            "up_to": None if bound is None else str(bound),
            "unit_amount": draw(RATES),
            "flat_amount": draw(st.one_of(st.just("0"), RATES)),
        }
        for bound in [*bounds, None]
    ]


MODEL_FIELDS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "flat": st.fixed_dictionaries({"amount": RATES}),
    "per_unit": st.fixed_dictionaries({"unit_amount": RATES}),
    "graduated": st.fixed_dictionaries({"tiers": tiers()}),
    "volume": st.fixed_dictionaries({"tiers": tiers()}),
    "package": st.fixed_dictionaries(
        {"size": SIZES, "amount": RATES, "round": st.sampled_from(["up", "down"])}
    ),
}

AROUND = st.fixed_dictionaries(
    {
        "free_units": st.one_of(st.just("0"), QUANTITIES),
        "unit_conversion": st.fixed_dictionaries(
            {
                "divide_by": st.one_of(st.just("1"), st.sampled_from(["60", "3", "7"]), SIZES),
                "round": st.sampled_from([None, "up", "down", "half_up"]),
            }
        ),
        "charge_flat_on_zero": st.booleans(),
    }
)


@st.composite
def price_documents(draw: st.DrawFn, *models: str) -> dict[str, Any]:
    """Draw a price document of one of `models`, or of any."""
    model = draw(st.sampled_from(models or tuple(PRICE_MODELS)))
    document = {"key": "calls", "model": model, **draw(MODEL_FIELDS[model])}
    if PRICE_MODELS[model].takes_usage:
        document |= draw(AROUND)
    minimum, maximum = draw(st.tuples(*[st.one_of(st.none(), RATES)] * 2))
    if minimum and maximum and Fraction(minimum) > Fraction(maximum):
        minimum, maximum = maximum, minimum
    return {**document, "minimum_amount": minimum, "maximum_amount": maximum}


def expected_price(document: dict[str, Any], quantity: str, *, has_minimum: bool) -> Fraction:
    """Work out the unrounded price of a total quantity in exact fractions."""
    units = max(Fraction(quantity), Fraction(0))
    conversion = document.get("unit_conversion", {})
    units /= Fraction(conversion.get("divide_by", "1"))
    units = _ROUNDINGS[conversion.get("round")](units)
    units = max(units - Fraction(document.get("free_units", "0")), Fraction(0))
    is_metered = document["model"] != "flat"
    is_waived = is_metered and not units and not document.get("charge_flat_on_zero", True)
    amount = Fraction(0) if is_waived else _EXPECTED[document["model"]](document, units)
    if has_minimum and document["minimum_amount"] is not None:
        amount = max(amount, Fraction(document["minimum_amount"]))
    if document["maximum_amount"] is not None:
        amount = min(amount, Fraction(document["maximum_amount"]))
    return amount


def _graduated(document: dict[str, Any], units: Fraction) -> Fraction:
    amount = start = Fraction(0)
    for number, tier in enumerate(document["tiers"]):
        if number and units <= start:
            break
        end = units if tier["up_to"] is None else min(units, Fraction(tier["up_to"]))
        amount += (end - start) * Fraction(tier["unit_amount"]) + Fraction(tier["flat_amount"])
        start = end
    return amount


def _volume(document: dict[str, Any], units: Fraction) -> Fraction:
    tier = next(
        tier
        for tier in document["tiers"]
        if tier["up_to"] is None or units <= Fraction(tier["up_to"])
    )
    return units * Fraction(tier["unit_amount"]) + Fraction(tier["flat_amount"])


def _package(document: dict[str, Any], units: Fraction) -> Fraction:
    packages = units / Fraction(document["size"])
    whole = ceil(packages) if document["round"] == "up" else floor(packages)
    return whole * Fraction(document["amount"])


_ROUNDINGS: dict[str | None, Callable[[Fraction], Fraction]] = {
    None: lambda units: units,
    "up": lambda units: Fraction(ceil(units)),
    "down": lambda units: Fraction(floor(units)),
    "half_up": lambda units: Fraction(floor(units + Fraction(1, 2))),
}
_EXPECTED: dict[str, Callable[[dict[str, Any], Fraction], Fraction]] = {
    "flat": lambda document, units: Fraction(document["amount"]),
    "per_unit": lambda document, units: units * Fraction(document["unit_amount"]),
    "graduated": _graduated,
    "volume": _volume,
    "package": _package,
}


def half_up(amount: Fraction, places: int) -> Fraction:
    """Round an amount of zero or more to `places`, half up."""
    return Fraction(floor(amount * 10**places + Fraction(1, 2)), 10**places)
