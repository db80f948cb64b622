import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.rating.errors import PriceError
from billing.rating.quotes import quote
from tests.billing.rating.strategies import CURRENCIES, priced_usages

CALLS = {"key": "calls", "model": "per_unit", "unit_amount": "1"}
FEE = {"key": "base", "model": "flat", "amount": "49"}
PERCENTAGE = {"model": "percentage", "rate": "10", "fixed_amount": "0.3"}
MATRIX = {
    "model": "matrix",
    "dimensions": ["region"],
    "cells": [{"match": {"region": "eu"}, "price": {"unit_amount": "2"}}],
    "default": {"unit_amount": "1"},
}
EU = {"group": {"region": "eu"}, "quantity": "2"}
ASKED: dict[str, Any] = {
    "currency": "USD",
    "prices": [CALLS, FEE],
    "usage": {"calls": {"quantity": "22", "billed_quantity": "12"}},
    "discounts": [{"percent_off": "25", "prices": ["calls"]}, {"amount_off": "10"}],
    "tax_rates": ["8.25"],
    "credits": "5",
}


def refusal(**changes: object) -> tuple[str, str]:
    with pytest.raises(PriceError) as error:
        quote({**ASKED, **changes})
    return error.value.field, error.value.message


def test_a_quote_goes_from_lines_to_the_total() -> None:
    result = quote(ASKED)
    lines = result.pop("lines")
    assert isinstance(lines, list)
    assert [(line["price"], line["quantity"], line["amount"]) for line in lines] == [
        ("calls", "22", "10.00"),
        ("base", "1", "49.00"),
    ]
    assert result == {
        "currency": "USD",
        "subtotal": "59.00",
        "discount": "12.50",
        "tax": "3.84",
        "credits": "5.00",
        "total": "45.34",
    }


def test_an_amount_off_may_be_for_some_prices_alone() -> None:
    discounts = [{"amount_off": "15", "prices": ["calls"]}]
    result = quote({**ASKED, "discounts": discounts})
    assert [result["subtotal"], result["discount"]] == ["59.00", "10.00"]


def test_a_quote_that_is_no_object_is_refused_in_a_sentence() -> None:
    with pytest.raises(PriceError, match="Write a quote as an object with named fields, not a"):
        quote([])


def test_steps_of_a_line_explain_what_was_billed_before() -> None:
    lines: Any = quote(ASKED)["lines"]
    assert lines[0]["steps"] == [
        {
            "kind": "units",
            "description": "All units",
            "quantity": "22",
            "unit_amount": "1",
            "amount": "22",
        },
        {
            "kind": "billed",
            "description": "Already billed for 12",
            "quantity": "-12",
            "amount": "-12.00",
        },
    ]


def test_a_price_without_usage_is_priced_at_zero() -> None:
    lines: Any = quote({"currency": "USD", "prices": [CALLS]})["lines"]
    assert [lines[0]["quantity"], lines[0]["amount"]] == ["0", "0.00"]


def test_a_flat_fee_that_was_billed_is_not_billed_again() -> None:
    usage = {"base": {"quantity": "1", "billed_quantity": "1"}}
    assert quote({"currency": "USD", "prices": [FEE], "usage": usage})["total"] == "0.00"


def test_usage_of_a_meter_is_that_of_all_its_prices_without_their_own() -> None:
    prices = [{**CALLS, "key": key, "meter": "requests"} for key in ("a", "b", "c")]
    usage = {"requests": {"quantity": "5"}, "b": {"quantity": "7"}}
    lines: Any = quote({"currency": "USD", "prices": prices, "usage": usage})["lines"]
    assert [line["quantity"] for line in lines] == ["5", "7", "5"]


def test_usage_of_a_price_is_not_that_of_a_meter_with_its_name() -> None:
    prices = [{**CALLS, "meter": "all"}, {**CALLS, "key": "other", "meter": "calls"}]
    usage = {"calls": {"quantity": "5"}}
    lines: Any = quote({"currency": "USD", "prices": prices, "usage": usage})["lines"]
    assert [line["quantity"] for line in lines] == ["5", "0"]


@pytest.mark.parametrize(
    ("price", "usage", "quantity", "amount"),
    [
        ({"model": "per_unit", "unit_amount": "2"}, {"values": ["1", "2.5", -1]}, "2.5", "5.00"),
        ({"model": "dynamic", "multiplier": "1.2"}, {"quantity": "10"}, "10", "12.00"),
        ({"model": "dynamic"}, {"values": ["10", "5"], "billed_values": ["10"]}, "15", "5.00"),
        ({"model": "dynamic"}, {"values": []}, "0", "0.00"),
        (PERCENTAGE, {"values": ["10", "30"], "billed_values": ["10"]}, "40", "3.30"),
        (PERCENTAGE, {"values": ["10"], "billed_values": []}, "10", "1.30"),
        (PERCENTAGE, {"values": ["-10"]}, "-10", "0.00"),
        (MATRIX, {"quantities": [{"group": {"region": "eu"}, "quantity": "3"}]}, "3", "6.00"),
        (MATRIX, {"quantities": [{"group": {"region": None}, "quantity": "3"}]}, "3", "3.00"),
        (MATRIX, {"quantities": [{"group": {}, "quantity": "3"}, EU]}, "5", "7.00"),
        (MATRIX, {"quantities": [EU], "billed_quantities": [EU]}, "2", "0.00"),
    ],
)
def test_usage_comes_in_the_form_that_the_model_reads(
    price: dict[str, Any], usage: dict[str, Any], quantity: str, amount: str
) -> None:
    asked = {"currency": "USD", "prices": [{"key": "a", **price}], "usage": {"a": usage}}
    lines: Any = quote(asked)["lines"]
    assert (lines[0]["quantity"], lines[0]["amount"]) == (quantity, amount)


@pytest.mark.parametrize(
    ("price", "usage", "field", "message"),
    [
        (PERCENTAGE, {"quantity": "1"}, "quantity", "The usage of a percentage price has no field"),
        (
            PERCENTAGE,
            {},
            "values",
            '"values" is missing. Write a list with the value of each event.',
        ),
        (PERCENTAGE, {"billed_values": ["1"]}, "values", '"values" is missing.'),
        (PERCENTAGE, {"values": "1"}, "values", 'Write a list, not "1".'),
        (PERCENTAGE, {"values": ["1", None]}, "values.1", "Write a decimal number as a string"),
        (MATRIX, {"values": ["1"]}, "values", "The usage of a matrix price has no field"),
        (MATRIX, {}, "quantities", '"quantities" is missing. Write a list of objects'),
        (MATRIX, {"quantities": ["1"]}, "quantities.0", "Write a quantity of a group as an object"),
        (
            MATRIX,
            {"quantities": [{"group": {"region": 5}, "quantity": "1"}]},
            "quantities.0.group.region",
            "Write the property's text, or null, not the number 5.",
        ),
        (
            MATRIX,
            {"quantities": [{"group": {}}]},
            "quantities.0.quantity",
            '"quantity" is missing.',
        ),
        (
            MATRIX,
            {"quantities": [{"value": "1"}]},
            "quantities.0.value",
            'A quantity of a group has no field "value".',
        ),
        (
            CALLS,
            {"quantity": "1", "values": ["1"]},
            "values",
            "Beside quantity write billed_quantity",
        ),
        (
            CALLS,
            {"values": ["1"], "billed_quantity": "1"},
            "billed_quantity",
            "Beside values write billed_values alone.",
        ),
    ],
)
def test_usage_in_another_form_is_refused(
    price: dict[str, Any], usage: dict[str, Any], field: str, message: str
) -> None:
    with pytest.raises(PriceError) as error:
        quote({"currency": "USD", "prices": [{**price, "key": "a"}], "usage": {"a": usage}})
    assert error.value.field == f"usage.a.{field}"
    assert error.value.message.startswith(message)


def test_a_quote_leaves_its_document_alone() -> None:
    before = copy.deepcopy(ASKED)
    quote(ASKED)
    assert before == ASKED


@given(
    st.lists(priced_usages(), min_size=1, max_size=3),
    CURRENCIES,
)
def test_subtotal_is_the_sum_of_the_lines_and_nothing_is_written_with_an_exponent(
    priced: list[tuple[dict[str, Any], list[dict[str, Any]]]], currency: str
) -> None:
    named = [{**document, "key": f"p{index}"} for index, (document, _) in enumerate(priced)]
    usage = {f"p{index}": used for index, (_, (used,)) in enumerate(priced)}
    result: Any = quote({"currency": currency, "prices": named, "usage": usage})
    assert "E" not in str([[line["amount"], line["quantity"]] for line in result["lines"]])
    minor_units = [int(line["amount"].replace(".", "")) for line in result["lines"]]
    assert sum(minor_units) == int(result["subtotal"].replace(".", ""))
    assert result["total"] == result["subtotal"]


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"currency": None}, "currency", '"currency" is missing. Write an ISO 4217 code'),
        ({"currency": 840}, "currency", 'Write an ISO 4217 code such as "USD", not the number 840'),
        ({"currency": "usd"}, "currency", 'There is no currency "usd".'),
        ({"customer": "acme"}, "customer", 'A quote has no field "customer".'),
        ({"price": []}, "price", 'A quote has no field "price". Did you mean "prices"?'),
        ({"prices": None}, "prices", "Write a list of at least one price."),
        ({"prices": {}}, "prices", "Write a list, not an object."),
        ({"prices": [FEE, {}]}, "prices.1.model", '"model" is missing.'),
        ({"prices": [FEE, FEE]}, "prices.1.key", "Another price of this list has the key"),
        ({"usage": []}, "usage", "Write the usage of each price as an object"),
        (
            {"usage": {"cals": {"quantity": "1"}}},
            "usage.cals",
            'There is no price with the key "cals". Write base or calls.',
        ),
        ({"usage": {"calls": "1"}}, "usage.calls", "Write the usage of a price as an object"),
        ({"usage": {"calls": {}}}, "usage.calls.quantity", '"quantity" is missing.'),
        (
            {"usage": {"calls": {"cells": ["1"]}}},
            "usage.calls.cells",
            'The usage of a per_unit price has no field "cells". '
            "Write billed_quantity, billed_values, quantity or values.",
        ),
        (
            {"usage": {"calls": {"quantity": "1", "billed_quantity": "x"}}},
            "usage.calls.billed_quantity",
            "Write a decimal number as a string",
        ),
        ({"discounts": "10%"}, "discounts", 'Write a list, not "10%".'),
        ({"discounts": [5]}, "discounts.0", "Write a discount as an object"),
        ({"discounts": [{}]}, "discounts.0", "Write either percent_off or amount_off."),
        (
            {"discounts": [{"percent_off": "5", "amount_off": "5"}]},
            "discounts.0",
            "Write either percent_off or amount_off.",
        ),
        (
            {"discounts": [{"amount_off": "-1"}]},
            "discounts.0.amount_off",
            'Write zero or more, not "-1".',
        ),
        (
            {"discounts": [{"percent_off": "100.1"}]},
            "discounts.0.percent_off",
            'Write a percentage from 0 to 100, not "100.1".',
        ),
        (
            {"discounts": [{"amount_off": "5", "prices": []}]},
            "discounts.0.prices",
            "Name at least one price, or leave prices out for all of them.",
        ),
        (
            {"discounts": [{"amount_off": "5", "prices": ["calls", 7]}]},
            "discounts.0.prices.1",
            "There is no price with the key the number 7. Write base or calls.",
        ),
        (
            {"discounts": [{"percent": "5"}]},
            "discounts.0.percent",
            'A discount has no field "percent". Did you mean "percent_off"?',
        ),
        ({"tax_rates": "8"}, "tax_rates", 'Write a list, not "8".'),
        ({"tax_rates": ["8", "825"]}, "tax_rates.1", "Write a percentage from 0 to 100"),
        ({"tax_rates": ["-1"]}, "tax_rates.0", 'Write zero or more, not "-1".'),
        ({"credits": "-1"}, "credits", 'Write zero or more, not "-1".'),
        (
            {"credits": "0.001"},
            "credits",
            "USD has 2 decimal places: write credits with no more.",
        ),
    ],
)
def test_a_fault_names_its_field_and_says_what_to_write(
    changes: dict[str, object], field: str, message: str
) -> None:
    found_field, found_message = refusal(**changes)
    assert found_field == field
    assert found_message.startswith(message)
    assert found_message.endswith((".", "?"))


def test_all_of_a_percentage_range_is_allowed() -> None:
    everything = {"discounts": [{"percent_off": "100"}], "tax_rates": ["100", "0"], "credits": None}
    assert quote({**ASKED, **everything})["total"] == "0.00"
