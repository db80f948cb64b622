"""The laws that every priced line obeys, and examples of each rule around the models."""

from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from billing.rating.arithmetic import exact_arithmetic
from billing.rating.errors import PriceError
from billing.rating.lines import RatedLine, price_usage
from billing.rating.money import currency_exponent
from billing.rating.prices import parse_price
from billing.rating.steps import total_of
from tests.billing.rating.strategies import (
    CURRENCIES,
    EXPECTED,
    QUANTITIES,
    QUANTITY_MODELS,
    SIGNED_QUANTITIES,
    as_price,
    expected_price,
    half_of,
    half_up,
    matrices,
    numbers,
    price_documents,
    priced_usages,
    read_usage,
    usages,
)

type Priced = tuple[dict[str, Any], list[dict[str, Any]]]

PER_MINUTE = {
    "key": "calls",
    "model": "per_unit",
    "unit_amount": "0.015",
    "unit_conversion": {"divide_by": "60"},
    "minimum_amount": None,
    "maximum_amount": None,
}
PER_THIRD = {**PER_MINUTE, "unit_amount": "0.04", "unit_conversion": {"divide_by": "3"}}


def line_for(
    document: dict[str, Any],
    usage: str | dict[str, Any],
    billed: str | dict[str, Any] | None = None,
    **options: Any,
) -> RatedLine:
    """Price a usage, a quantity or in the form of a quote, and what was billed of it."""
    currency = options.pop("currency", "USD")
    now, before = (
        read_usage(document, {"quantity": given} if isinstance(given, str) else given or {}).usage
        for given in (usage, usage if billed is None else billed)
    )
    return price_usage(
        parse_price(document), now, None if billed is None else before, currency, **options
    )


def moves(line: RatedLine) -> list[str]:
    return [f"{step.kind} {step.amount}" for step in line.steps]


@given(priced_usages(price_documents(*EXPECTED)), CURRENCIES)
@example((PER_MINUTE, [{"quantity": "20"}]), "USD")
def test_price_is_the_exact_fraction_rounded_once(priced: Priced, currency: str) -> None:
    document, (usage,) = priced
    line = line_for(document, usage, currency=currency)
    exact = expected_price(document, usage, has_minimum=True)
    assert Fraction(line.amount) == half_up(exact, currency_exponent(currency))


@given(priced_usages(most=2), CURRENCIES)
def test_steps_sum_to_the_amount_in_whole_minor_units(priced: Priced, currency: str) -> None:
    document, usages = priced
    line = line_for(document, usages[-1], *usages[:-1], currency=currency)
    with exact_arithmetic():
        assert total_of(line.steps) == line.amount
    assert line.amount.as_tuple().exponent == -currency_exponent(currency)
    printed = [Fraction(str(step.as_document()["amount"])) for step in line.steps]
    assert sum(printed) == Fraction(line.amount)


@given(priced_usages(most=5), CURRENCIES)
def test_billing_a_period_in_parts_gives_the_price_of_the_whole(
    priced: Priced, currency: str
) -> None:
    document, totals = priced
    first = line_for(document, totals[0], currency=currency, is_final=len(totals) == 1)
    parts = [first] + [
        line_for(document, total, billed, currency=currency, is_final=index == len(totals) - 2)
        for index, (billed, total) in enumerate(pairwise(totals))
    ]
    whole = line_for(document, totals[-1], currency=currency)
    with exact_arithmetic():
        assert sum(part.amount for part in parts) == whole.amount


PARTS = st.fractions(0, 1, max_denominator=10**13)
MONOTONE = [model for model in QUANTITY_MODELS if model != "volume"]


@given(price_documents(*MONOTONE), QUANTITIES, QUANTITIES)
def test_more_usage_never_costs_less(document: dict[str, Any], one: str, other: str) -> None:
    less, more = sorted([one, other], key=Fraction)
    assert line_for(document, less).amount <= line_for(document, more).amount


@given(price_documents("percentage"), st.lists(SIGNED_QUANTITIES), SIGNED_QUANTITIES)
def test_an_event_more_never_costs_less(
    document: dict[str, Any], values: list[str], value: str
) -> None:
    less, more = (line_for(document, {"values": each}) for each in (values, [*values, value]))
    assert less.amount <= more.amount


@settings(max_examples=40)
@given(priced_usages(matrices(*MONOTONE).map(as_price)), QUANTITIES)
def test_more_usage_of_a_combination_never_costs_less(priced: Priced, more: str) -> None:
    document, (usage,) = priced
    entries = [
        {**entry, "quantity": entry["quantity"].lstrip("-")} for entry in usage["quantities"]
    ]
    added = [*entries, {"group": {"region": "eu"}, "quantity": more}]
    less, more_of_it = (line_for(document, {"quantities": each}) for each in (entries, added))
    assert less.amount <= more_of_it.amount


@given(price_documents("flat", *QUANTITY_MODELS), QUANTITIES)
def test_usage_below_zero_costs_what_zero_costs(document: dict[str, Any], quantity: str) -> None:
    assert line_for(document, f"-{quantity}").amount == line_for(document, "0").amount


@given(price_documents("percentage"), st.lists(QUANTITIES), numbers(least=1))
def test_an_event_below_zero_changes_nothing(
    document: dict[str, Any], values: list[str], value: str
) -> None:
    with_refund = line_for(document, {"values": [*values[:1], f"-{value}", *values[1:]]})
    assert with_refund.amount == line_for(document, {"values": values}).amount


@given(
    price_documents("percentage"), st.lists(st.tuples(QUANTITIES, st.integers(1, 5)), max_size=4)
)
def test_events_of_one_value_in_a_row_cost_what_they_cost_one_by_one(
    document: dict[str, Any], runs: list[tuple[str, int]]
) -> None:
    price = parse_price(document)
    together = [(Decimal(value), count) for value, count in runs]
    singly = [(value, 1) for value, count in together for _ in range(count)]
    lines = [price_usage(price, iter(each), None, "USD") for each in (together, singly)]
    assert lines[0] == lines[1]


@given(price_documents("percentage"), st.permutations(["0", "5", "10", "10.01", "300", "-7"]))
def test_order_makes_no_difference_where_the_model_says_so(
    document: dict[str, Any], values: list[str]
) -> None:
    anyhow = {**document, "free_events": 0, "free_amount": "0"}
    assert not parse_price(anyhow).model.reads.in_order
    assert line_for(anyhow, {"values": values}) == line_for(anyhow, {"values": sorted(values)})


@settings(max_examples=40)
@given(price_documents("matrix"), st.data())
def test_the_order_and_the_parts_of_combinations_make_no_difference(
    document: dict[str, Any], data: st.DataObject
) -> None:
    entries = data.draw(usages(document))["quantities"]
    halves = [{**entry, "quantity": half_of(entry["quantity"])} for entry in entries]
    shuffled = data.draw(st.permutations([*halves, *halves]))
    lines = [line_for(document, {"quantities": each}) for each in (entries, shuffled)]
    assert lines[0].amount == lines[1].amount


def test_a_correction_below_zero_gives_back_what_was_billed_and_no_more() -> None:
    price = {"key": "calls", "model": "per_unit", "unit_amount": "2"}
    assert line_for(price, "-5", "10").amount == Decimal("-20.00")


def test_explicit_zero_billed_means_that_the_flat_fee_of_zero_usage_was_billed() -> None:
    price = {"key": "calls", "model": "graduated", "tiers": [{"flat_amount": "100"}]}
    assert line_for(price, "3").amount == 100
    assert line_for(price, "3", "0").amount == 0


@pytest.mark.parametrize(("charge", "amount"), [(True, "7.00"), (False, "0.00")])
@pytest.mark.parametrize("model", ["graduated", "volume"])
def test_charge_flat_on_zero_decides_what_free_usage_pays(
    model: str, charge: bool, amount: str
) -> None:
    price = {
        "key": "calls",
        "model": model,
        "tiers": [{"unit_amount": "1", "flat_amount": "7"}],
        "free_units": "10",
        "charge_flat_on_zero": charge,
    }
    assert str(line_for(price, "10").amount) == amount
    assert line_for(price, "11").amount == 8


def test_flat_fee_is_due_without_usage_whatever_charge_flat_on_zero_says() -> None:
    price = {"key": "base", "model": "flat", "amount": "5", "charge_flat_on_zero": False}
    assert line_for(price, "0").amount == 5


def test_units_are_converted_before_free_units_are_taken_off() -> None:
    price = {
        "key": "calls",
        "model": "per_unit",
        "unit_amount": "10",
        "free_units": "1",
        "unit_conversion": {"divide_by": "1000", "round": "up"},
    }
    steps = [step.as_document() for step in line_for(price, "1400").steps]
    assert [(step["kind"], step.get("quantity"), step["amount"]) for step in steps] == [
        ("conversion", "2", "0"),
        ("free", "1", "0"),
        ("units", "1", "10"),
    ]
    assert steps[0]["description"] == "1,400 in units of 1,000, rounded up"
    assert (steps[1]["description"], steps[1]["unit_amount"]) == ("Free units", "0")


@pytest.mark.parametrize(
    ("rounding", "amount"), [("up", 2), ("down", 1), ("half_up", 2), (None, "1.5")]
)
def test_half_a_unit_is_rounded_as_the_conversion_says(rounding: str | None, amount: str) -> None:
    conversion = {"divide_by": "2", "round": rounding}
    price = {"key": "a", "model": "per_unit", "unit_amount": "1", "unit_conversion": conversion}
    assert line_for(price, "3").amount == Decimal(amount)


def test_minimum_applies_to_the_last_invoice_alone() -> None:
    price = {"key": "calls", "model": "per_unit", "unit_amount": "1", "minimum_amount": "50"}
    first = line_for(price, "10", is_final=False)
    last = line_for(price, "12", "10")
    assert [first.amount, last.amount] == [10, 40]
    assert moves(last) == ["units 12", "minimum 38", "billed -10.00"]
    assert last.steps[1].description == "Minimum of the period"
    assert [first.billed_quantity, last.billed_quantity] == [None, 10]


def test_maximum_comes_after_the_minimum_and_shows_what_it_takes_off() -> None:
    price = {
        "key": "calls",
        "model": "per_unit",
        "unit_amount": "1",
        "minimum_amount": "20",
        "maximum_amount": "20",
    }
    below, above = line_for(price, "5"), line_for(price, "30")
    assert below.amount == above.amount == 20
    assert moves(above) == ["units 30", "maximum -10"]
    assert above.steps[1].description == "Maximum of the period"


def test_fraction_prorates_fees_and_minimums_but_not_usage_or_maximums() -> None:
    part = Fraction(16, 31)
    fee = {"key": "base", "model": "flat", "amount": "31"}
    seats = {"key": "seats", "model": "per_unit", "unit_amount": "31"}
    usage = {"key": "calls", "meter": "calls", "model": "per_unit", "unit_amount": "31"}
    assert line_for(fee, "1", fraction=part).amount == 16
    assert line_for(seats, "2", fraction=part).amount == 32
    assert line_for(usage, "2", fraction=part).amount == 62
    assert line_for({**usage, "minimum_amount": "93"}, "0", fraction=part).amount == 48
    assert line_for({**usage, "maximum_amount": "31"}, "9", fraction=part).amount == 31


def test_prorated_fee_shows_the_part_of_the_period_and_the_rounding() -> None:
    fee = {"key": "base", "model": "flat", "amount": "10"}
    line = line_for(fee, "1", fraction=Fraction(1, 3))
    assert [(step.kind, step.description) for step in line.steps] == [
        ("flat", "Flat fee"),
        ("proration", "1/3 of the period"),
        ("rounding", "Rounding"),
    ]
    assert str(line.amount) == "3.33"
    assert str(line.steps[1].amount) == f"-6.{'6' * 44}7"


@pytest.mark.parametrize("fraction", [Fraction(-1, 31), Fraction(32, 31)])
def test_a_part_is_never_more_than_the_whole_nor_less_than_nothing(fraction: Fraction) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        line_for({"key": "base", "model": "flat", "amount": "10"}, "1", fraction=fraction)


@pytest.mark.parametrize("fraction", [Fraction(0), Fraction(1)])
def test_all_and_nothing_are_parts_of_a_period(fraction: Fraction) -> None:
    fee = {"key": "base", "model": "flat", "amount": "10"}
    assert line_for(fee, "1", fraction=fraction).amount == 10 * fraction.numerator


def test_unknown_currency_is_refused_by_name() -> None:
    with pytest.raises(PriceError, match='There is no currency "usd"'):
        line_for({"key": "base", "model": "flat", "amount": "10"}, "1", currency="usd")


def test_tiny_rates_times_enormous_quantities_keep_every_digit() -> None:
    price = {"key": "calls", "model": "per_unit", "unit_amount": "0.000000000000001"}
    line = line_for(price, "123456789012345678901234567890")
    assert str(line.amount) == "123456789012345.68"
    assert str(line.steps[0].amount) == "123456789012345.678901234567890"
    tiny = line_for(price, "0.000000000000000000000000000001").steps[0]
    assert tiny.as_document()["amount"] == "0.000000000000000000000000000000000000000000001"


def test_quantities_of_endless_divisions_are_shown_short() -> None:
    steps = line_for(PER_MINUTE, "20").steps
    assert [step.as_document().get("quantity") for step in steps] == [
        "0.333333333333333333333333333333",
        "0.333333333333333333333333333333",
        None,
    ]
    assert [step.as_document()["amount"] for step in steps] == ["0", "0.005", "0.005"]


@given(priced_usages(price_documents(*EXPECTED)), PARTS, CURRENCIES)
@example((PER_THIRD, [{"quantity": "1"}]), Fraction(3, 8), "USD")
def test_prorated_price_is_the_exact_fraction_rounded_once(
    priced: Priced, fraction: Fraction, currency: str
) -> None:
    document, (usage,) = priced
    unlimited = {**document, "minimum_amount": None, "maximum_amount": None}
    line = line_for(unlimited, usage, currency=currency, fraction=fraction)
    exact = expected_price(unlimited, usage, has_minimum=True) * fraction
    assert Fraction(line.amount) == half_up(exact, currency_exponent(currency))
