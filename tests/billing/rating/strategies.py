"""Hypothesis strategies for price documents and quantities, and a price worked out in fractions."""

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor
from typing import Any

from babel.numbers import list_currencies
from hypothesis import strategies as st

from billing.rating.arithmetic import exact_arithmetic
from billing.rating.documents import Fields
from billing.rating.price_models import PRICE_MODELS
from billing.rating.usage import PeriodUsage, UsageKind, parse_usage
from tests.billing.rating.golden import GOLDEN_CASES

# One of each exponent that there is, and all that there are.
CURRENCIES = st.sampled_from(["USD", "JPY", "KWD", "CLF"]) | st.sampled_from(
    sorted(list_currencies())
)


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


def tiers(rate: str) -> st.SearchStrategy[list[dict[str, object]]]:
    """Draw tiers whose rates are in the field `rate`."""
    return st.sets(st.integers(1, 10**5), max_size=4).flatmap(
        lambda bounds: st.tuples(
            *(
                st.fixed_dictionaries(
                    {
                        "up_to": st.just(None if bound is None else str(bound)),
                        rate: RATES,
                        "flat_amount": st.one_of(st.just("0"), RATES),
                    }
                )
                for bound in [*sorted(bounds), None]
            )
        ).map(list)
    )


def ordered(least: str, most: str) -> st.SearchStrategy[dict[str, str | None]]:
    """Draw two bounds, each perhaps missing, the first not above the second."""

    def bounds(drawn: tuple[str | None, str | None]) -> dict[str, str | None]:
        low, high = drawn
        if low and high and Fraction(low) > Fraction(high):
            low, high = high, low
        return {least: low, most: high}

    return st.tuples(*[st.none() | RATES] * 2).map(bounds)


UNITS = st.fixed_dictionaries(
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
QUANTITY_MODELS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "per_unit": st.fixed_dictionaries({"unit_amount": RATES}),
    "graduated": st.fixed_dictionaries({"tiers": tiers("unit_amount")}),
    "volume": st.fixed_dictionaries({"tiers": tiers("unit_amount")}),
    "package": st.fixed_dictionaries(
        {"size": SIZES, "amount": RATES, "round": st.sampled_from(["up", "down"])}
    ),
    "graduated_percentage": st.fixed_dictionaries({"tiers": tiers("rate")}),
    "dynamic": st.fixed_dictionaries({"multiplier": RATES}),
}
REGIONS, SIZES_SOLD = ["eu", "us", "asia"], ["small", "large"]


def tariffs(*models: str) -> st.SearchStrategy[dict[str, Any]]:
    """Draw prices as a cell of a matrix has them."""
    return st.sampled_from(models or tuple(QUANTITY_MODELS)).flatmap(
        lambda model: st.tuples(QUANTITY_MODELS[model], UNITS).map(
            lambda drawn: {"model": model, **drawn[0], **drawn[1]}
        )
    )


def cells(*models: str) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Draw cells, the more particular ones first, so that each can be reached."""
    matches = [{"region": region, "size": size} for region in REGIONS for size in SIZES_SOLD]
    matches += [{"region": "eu"}, {"size": "large"}]
    return st.sets(st.sampled_from(range(len(matches))), min_size=1, max_size=3).flatmap(
        lambda chosen: st.tuples(
            *(
                st.fixed_dictionaries({"match": st.just(matches[i]), "price": tariffs(*models)})
                for i in sorted(chosen)
            )
        ).map(list)
    )


def matrices(*models: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "dimensions": st.just(["region", "size"]),
            "cells": cells(*models),
            "default": st.none() | tariffs(*models),
        }
    )


MODEL_FIELDS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    **QUANTITY_MODELS,
    "flat": st.fixed_dictionaries({"amount": RATES}),
    "percentage": st.tuples(
        st.fixed_dictionaries(
            {
                "rate": RATES,
                "fixed_amount": st.just("0") | RATES,
                "free_events": st.integers(0, 4),
                "free_amount": st.just("0") | RATES,
            }
        ),
        ordered("minimum_per_event", "maximum_per_event"),
    ).map(lambda drawn: {**drawn[0], **drawn[1]}),
    "matrix": matrices(),
}


def as_price(fields: dict[str, Any], model: str = "matrix") -> dict[str, Any]:
    """Return the document of a price that has no bounds from a model's own fields."""
    return {
        **fields,
        "key": "calls",
        "model": model,
        "minimum_amount": None,
        "maximum_amount": None,
    }


def half_of(quantity: str) -> str:
    with exact_arithmetic():
        return str(Decimal(quantity) / 2)


def model_fields(model: str) -> st.SearchStrategy[dict[str, Any]]:
    """Draw a model's own fields; those of its golden cases if none are drawn for it above."""
    if model in MODEL_FIELDS:
        return MODEL_FIELDS[model]
    prices = [price for case in GOLDEN_CASES for price in case["quote"]["prices"]]
    return st.sampled_from([price for price in prices if price["model"] == model])


@st.composite
def price_documents(draw: st.DrawFn, *models: str) -> dict[str, Any]:
    """Draw a price document of one of `models`, or of any."""
    model = draw(st.sampled_from(models or tuple(PRICE_MODELS)))
    document = {**draw(model_fields(model)), "key": "calls", "model": model}
    if PRICE_MODELS[model].usage_kind is UsageKind.QUANTITY:
        document |= draw(UNITS)
    return {**document, **draw(ordered("minimum_amount", "maximum_amount"))}


def usages(
    document: dict[str, Any], quantities: st.SearchStrategy[str] = SIGNED_QUANTITIES
) -> st.SearchStrategy[dict[str, Any]]:
    """Draw a period's usage in the form that the price of a document reads."""
    kind = PRICE_MODELS[document["model"]].usage_kind
    if kind is UsageKind.VALUES:
        return st.fixed_dictionaries({"values": st.lists(quantities, max_size=6)})
    if kind is not UsageKind.QUANTITIES:
        return st.fixed_dictionaries({"quantity": quantities})
    groups = st.fixed_dictionaries(
        {
            "region": st.sampled_from([*REGIONS, "mars", None]),
            "size": st.sampled_from([*SIZES_SOLD, None]),
        }
    )
    entries = st.fixed_dictionaries({"group": groups, "quantity": quantities})
    return st.fixed_dictionaries({"quantities": st.lists(entries, max_size=6)})


@st.composite
def priced_usages(
    draw: st.DrawFn, documents: st.SearchStrategy[dict[str, Any]] | None = None, *, most: int = 1
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Draw a price document, and from one to `most` usages of a period."""
    document = draw(price_documents() if documents is None else documents)
    return document, draw(st.lists(usages(document), min_size=1, max_size=most))


def read_usage(document: dict[str, Any], usage: dict[str, Any]) -> PeriodUsage:
    model = PRICE_MODELS[document["model"]]
    return parse_usage(Fields(usage, what="usage"), model.usage_kind, model.key)


def expected_price(
    document: dict[str, Any], usage: dict[str, Any], *, has_minimum: bool
) -> Fraction:
    """Work out the unrounded price of a total usage in exact fractions, event by event."""
    amount = EXPECTED[document["model"]](document, usage)
    if has_minimum and document["minimum_amount"] is not None:
        amount = max(amount, Fraction(document["minimum_amount"]))
    if document["maximum_amount"] is not None:
        amount = min(amount, Fraction(document["maximum_amount"]))
    return amount


def _of_units(price: Callable[[dict[str, Any], Fraction], Fraction]) -> Any:
    """Return the price of a usage from that of the units that are left of its quantity."""

    def of_usage(document: dict[str, Any], usage: dict[str, Any]) -> Fraction:
        units = max(Fraction(usage["quantity"]), Fraction(0))
        conversion = document.get("unit_conversion", {})
        units /= Fraction(conversion.get("divide_by", "1"))
        units = _ROUNDINGS[conversion.get("round")](units)
        units = max(units - Fraction(document.get("free_units", "0")), Fraction(0))
        is_waived = not units and not document.get("charge_flat_on_zero", True)
        return Fraction(0) if is_waived else price(document, units)

    return of_usage


def _percentage(document: dict[str, Any], usage: dict[str, Any]) -> Fraction:
    amount = total = Fraction(0)
    free = Fraction(document["free_amount"])
    values = [value for value in map(Fraction, usage["values"]) if value >= 0]
    for number, value in enumerate(values):
        before, total = total, total + value
        if number < document["free_events"] or (before < free and total <= free):
            continue
        paid = total - max(before, free)
        fee = paid * Fraction(document["rate"]) / 100 + Fraction(document["fixed_amount"])
        if document["minimum_per_event"] is not None:
            fee = max(fee, Fraction(document["minimum_per_event"]))
        if document["maximum_per_event"] is not None:
            fee = min(fee, Fraction(document["maximum_per_event"]))
        amount += fee
    return amount


def _matrix(document: dict[str, Any], usage: dict[str, Any]) -> Fraction:
    prices = [(cell["match"], cell["price"]) for cell in document["cells"]]
    sums = dict.fromkeys(range(len(prices) + 1), Fraction(0))
    for entry in usage["quantities"]:
        fits = [entry["group"] | match == entry["group"] for match, _ in prices]
        sums[fits.index(True) if any(fits) else len(prices)] += Fraction(entry["quantity"])
    all_prices = [*(price for _, price in prices), document["default"]]
    return sum(
        (
            EXPECTED[price["model"]](price, {"quantity": str(sums[position])})
            for position, price in enumerate(all_prices)
            if price is not None
        ),
        Fraction(0),
    )


def _graduated(document: dict[str, Any], units: Fraction) -> Fraction:
    amount = start = Fraction(0)
    for number, tier in enumerate(document["tiers"]):
        if number and units <= start:
            break
        end = units if tier["up_to"] is None else min(units, Fraction(tier["up_to"]))
        each = (
            Fraction(tier["unit_amount"]) if "unit_amount" in tier else Fraction(tier["rate"]) / 100
        )
        amount += (end - start) * each + Fraction(tier["flat_amount"])
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
EXPECTED: dict[str, Callable[[dict[str, Any], dict[str, Any]], Fraction]] = {
    "flat": lambda document, usage: Fraction(document["amount"]),
    "per_unit": _of_units(lambda document, units: units * Fraction(document["unit_amount"])),
    "graduated": _of_units(_graduated),
    "volume": _of_units(_volume),
    "package": _of_units(_package),
    "percentage": _percentage,
    "graduated_percentage": _of_units(_graduated),
    "dynamic": _of_units(lambda document, units: units * Fraction(document["multiplier"])),
    "matrix": _matrix,
}


def half_up(amount: Fraction, places: int) -> Fraction:
    """Round an amount of zero or more to `places`, half up."""
    return Fraction(floor(amount * 10**places + Fraction(1, 2)), 10**places)
