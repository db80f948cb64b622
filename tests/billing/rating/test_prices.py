"""What price documents may say, and the sentence for everything they may not."""

from decimal import Decimal
from typing import Any

import pytest

from billing.rating.documents import listed
from billing.rating.errors import PriceError
from billing.rating.price_models import PRICE_MODELS
from billing.rating.prices import parse_price, parse_prices
from billing.rating.usage import UsageKind

CALLS = {"key": "calls", "model": "per_unit", "unit_amount": "0.01"}
FEE = {"key": "base", "model": "flat", "amount": "49"}
NUMBERED: dict[Any, Any] = {**CALLS, 7: "1"}
PACKS = {"key": "packs", "model": "package", "size": "100", "amount": "5"}

SHARE = {"key": "share", "model": "percentage", "rate": "1"}
ONE = {"unit_amount": "1"}
EU = {"region": "eu"}
CELL_MODELS = listed(
    [key for key, model in PRICE_MODELS.items() if model.usage_kind is UsageKind.QUANTITY]
)
MODELS = listed(PRICE_MODELS)
NUMBER = 'Write a decimal number as a string, such as "0.01", not '
KEY_RULE = (
    "A key is 1 to 100 letters, digits, dots, colons, hyphens or underscores, "
    "and starts with a letter or digit. "
)


def tiered(*tiers: Any) -> dict[str, Any]:
    return {"key": "calls", "model": "graduated", "tiers": list(tiers)}


def matrix(*cells: Any, **fields: Any) -> dict[str, Any]:
    dimensions = ["region", "size"]
    return {"key": "a", "model": "matrix", "dimensions": dimensions, "cells": list(cells), **fields}


def refusal(document: object, path: str = "") -> tuple[str, str]:
    with pytest.raises(PriceError) as error:
        parse_price(document, path)
    return error.value.field, error.value.message


@pytest.mark.parametrize(
    ("document", "field", "message"),
    [
        (None, "", "Write a price as an object with named fields, not null."),
        ([], "", "Write a price as an object with named fields, not a list."),
        ("calls", "", 'Write a price as an object with named fields, not "calls".'),
        (
            {"key": "calls"},
            "model",
            f'"model" is missing. Write {MODELS}.',
        ),
        (
            {**CALLS, "model": "perunit"},
            "model",
            f'Write {MODELS}, not "perunit".',
        ),
        (
            {**CALLS, "model": ["flat"]},
            "model",
            f"Write {MODELS}, not a list.",
        ),
        (
            {**CALLS, "unit_amout": "1"},
            "unit_amout",
            'A per_unit price has no field "unit_amout". Did you mean "unit_amount"?',
        ),
        (NUMBERED, "7", 'A per_unit price has no field "7". Write charge_flat_on_zero, '),
        ({**CALLS, "size": "1"}, "size", 'A per_unit price has no field "size". '),
        (
            {**CALLS, "key": None},
            "key",
            '"key" is missing. Write a short name such as "api_calls".',
        ),
        ({**CALLS, "key": "a b"}, "key", f'{KEY_RULE}"a b" is not one.'),
        ({**CALLS, "key": 5}, "key", f"{KEY_RULE}the number 5 is not one."),
        ({**CALLS, "key": "k" * 101}, "key", KEY_RULE),
        ({**CALLS, "meter": ""}, "meter", f'{KEY_RULE}"" is not one.'),
        ({**CALLS, "name": " "}, "name", 'Write 1 to 200 characters of text, not " ".'),
        ({**CALLS, "name": "n" * 201}, "name", "Write 1 to 200 characters of text, not "),
        ({**CALLS, "name": {}}, "name", "Write 1 to 200 characters of text, not an object."),
        (
            {"key": "calls", "model": "per_unit"},
            "unit_amount",
            '"unit_amount" is missing. Write a decimal number as a string, such as "0.01".',
        ),
        ({**CALLS, "unit_amount": "-0.01"}, "unit_amount", 'Write zero or more, not "-0.01".'),
        ({**CALLS, "unit_amount": "1,5"}, "unit_amount", f'{NUMBER}"1,5".'),
        ({**CALLS, "unit_amount": "1_000"}, "unit_amount", f'{NUMBER}"1_000".'),
        ({**CALLS, "unit_amount": " 1"}, "unit_amount", f'{NUMBER}" 1".'),
        ({**CALLS, "unit_amount": "\u0661"}, "unit_amount", f'{NUMBER}"\u0661".'),
        ({**CALLS, "unit_amount": "."}, "unit_amount", f'{NUMBER}".".'),
        ({**CALLS, "unit_amount": "1e9999"}, "unit_amount", f'{NUMBER}"1e9999".'),
        ({**CALLS, "unit_amount": "NaN"}, "unit_amount", f'{NUMBER}"NaN".'),
        ({**CALLS, "unit_amount": Decimal("NaN")}, "unit_amount", f"{NUMBER}the number NaN."),
        ({**CALLS, "unit_amount": "Infinity"}, "unit_amount", f'{NUMBER}"Infinity".'),
        ({**CALLS, "unit_amount": 0.1}, "unit_amount", f"{NUMBER}the number 0.1."),
        ({**CALLS, "unit_amount": True}, "unit_amount", f"{NUMBER}true."),
        ({**CALLS, "unit_amount": False}, "unit_amount", f"{NUMBER}false."),
        ({**CALLS, "unit_amount": ["1"]}, "unit_amount", f"{NUMBER}a list."),
        ({**CALLS, "unit_amount": "1e30"}, "unit_amount", 'Write a number below 1e30, not "1e30".'),
        (
            {**CALLS, "unit_amount": "0.0000000000000001"},
            "unit_amount",
            'Write at most 15 decimal places, not "0.0000000000000001".',
        ),
        (
            {**CALLS, "free_units": "1e-31"},
            "free_units",
            'Write at most 30 decimal places, not "1e-31".',
        ),
        ({**CALLS, "free_units": "-1"}, "free_units", 'Write zero or more, not "-1".'),
        ({**CALLS, "minimum_amount": "-1"}, "minimum_amount", 'Write zero or more, not "-1".'),
        (
            {**CALLS, "minimum_amount": "5", "maximum_amount": "4.99"},
            "maximum_amount",
            "Write an amount that is not below minimum_amount.",
        ),
        (
            {**CALLS, "charge_flat_on_zero": "yes"},
            "charge_flat_on_zero",
            'Write true or false, not "yes".',
        ),
        ({**CALLS, "timing": "later"}, "timing", 'Write advance or arrears, not "later".'),
        (
            {**CALLS, "meter": "calls", "timing": "advance"},
            "timing",
            "Usage is known at the end of its period: write arrears.",
        ),
        ({**CALLS, "proration": "hour"}, "proration", 'Write day, none or second, not "hour".'),
        (
            {**CALLS, "unit_conversion": "1000"},
            "unit_conversion",
            'Write a unit conversion as an object with named fields, not "1000".',
        ),
        (
            {**CALLS, "unit_conversion": {"divide": "2"}},
            "unit_conversion.divide",
            'A unit conversion has no field "divide". Did you mean "divide_by"?',
        ),
        (
            {**CALLS, "unit_conversion": {"divide_by": "0"}},
            "unit_conversion.divide_by",
            "Write a number above zero.",
        ),
        (
            {**CALLS, "unit_conversion": {"round": "half"}},
            "unit_conversion.round",
            'Write down, half_up or up, not "half".',
        ),
        ({**PACKS, "size": "0"}, "size", "Write a number above zero."),
        ({**PACKS, "round": "half_up"}, "round", 'Write down or up, not "half_up".'),
        ({**PACKS, "amount": None}, "amount", '"amount" is missing. Write a decimal number '),
        ({**FEE, "meter": "calls"}, "meter", "A flat price counts no units: leave meter out."),
        (
            {**FEE, "free_units": "1"},
            "free_units",
            "A flat price counts no units: leave free_units out.",
        ),
        (
            {**FEE, "unit_conversion": {"divide_by": "2"}},
            "unit_conversion",
            "A flat price counts no units: leave unit_conversion out.",
        ),
        ({**SHARE, "rate": None}, "rate", '"rate" is missing. Write a decimal number '),
        ({**SHARE, "rate": "-1"}, "rate", 'Write zero or more, not "-1".'),
        ({**SHARE, "fixed_amount": "x"}, "fixed_amount", f'{NUMBER}"x".'),
        ({**SHARE, "free_events": "1.5"}, "free_events", 'Write a whole number, not "1.5".'),
        ({**SHARE, "free_events": -1}, "free_events", "Write zero or more, not the number -1."),
        (
            {**SHARE, "minimum_per_event": "5", "maximum_per_event": "4"},
            "maximum_per_event",
            "Write an amount that is not below minimum_per_event.",
        ),
        (
            {**SHARE, "free_units": "1"},
            "free_units",
            "A percentage price counts no units: leave free_units out.",
        ),
        (
            {"key": "a", "model": "graduated_percentage", "tiers": [{"unit_amount": "1"}]},
            "tiers.0.unit_amount",
            'A tier has no field "unit_amount". ',
        ),
        ({"key": "a", "model": "dynamic", "multiplier": "-2"}, "multiplier", "Write zero or more"),
        (matrix(dimensions=None), "dimensions", "Write a list of 1 to 5 event properties, "),
        (matrix(dimensions=["a", "a"]), "dimensions", "Write a list of 1 to 5 event properties, "),
        (matrix(dimensions=list("abcdef")), "dimensions", "Write a list of 1 to 5 event propert"),
        (matrix(dimensions=[7]), "dimensions.0", "Write 1 to 200 characters of text, not "),
        (matrix(), "cells", "Write a list of at least one cell."),
        (matrix({"match": EU}), "cells.0.price", '"price" is missing. Write an object.'),
        (
            matrix({"cost": "1"}),
            "cells.0.cost",
            'A cell has no field "cost". Write match or price.',
        ),
        (
            matrix({"match": {"color": "red"}, "price": ONE}),
            "cells.0.match.color",
            'What a cell matches has no field "color". Write region or size.',
        ),
        (
            matrix({"match": {"region": 5}, "price": ONE}),
            "cells.0.match.region",
            "Write 1 to 200 characters of text, not the number 5.",
        ),
        (
            matrix({"match": {"region": None}, "price": ONE}),
            "cells.0.match",
            "Name at least one dimension; default prices all that no cell matches.",
        ),
        (
            matrix({"match": EU, "price": ONE}, {"match": {**EU, "size": "s"}, "price": ONE}),
            "cells.1.match",
            "Cell 0 of the list matches all of this: put this one before it, or leave it out.",
        ),
        (
            matrix({"match": EU, "price": {"model": "flat", "amount": "1"}}),
            "cells.0.price.model",
            f'Write {CELL_MODELS}, not "flat".',
        ),
        (
            matrix({"match": EU, "price": {**ONE, "minimum_amount": "1"}}),
            "cells.0.price.minimum_amount",
            'A per_unit price of a cell has no field "minimum_amount". ',
        ),
        (
            matrix({"match": EU, "price": ONE}, default={"model": "package"}),
            "default.size",
            '"size" is missing. ',
        ),
        (
            {**matrix({"match": EU, "price": ONE}), "free_units": "1"},
            "free_units",
            "A matrix price counts no units: write free_units in the price of each cell.",
        ),
        ({**tiered(), "tiers": {}}, "tiers", "Write a list, not an object."),
        (tiered(), "tiers", "Write a list of at least one tier; the last has up_to null."),
        (
            {"key": "calls", "model": "volume"},
            "tiers",
            "Write a list of at least one tier; the last has up_to null.",
        ),
        (
            tiered("free"),
            "tiers.0",
            'Write a tier as an object with named fields, not "free".',
        ),
        (
            tiered({"unit_amount": "1", "upto": None}),
            "tiers.0.upto",
            'A tier has no field "upto". Did you mean "up_to"?',
        ),
        (
            tiered({"up_to": "1000"}),
            "tiers.0.up_to",
            'The last tier takes everything above the others: write null, not "1000".',
        ),
        (
            tiered({}, {}),
            "tiers.0.up_to",
            "Only the last tier has no end: write a number above 0.",
        ),
        (
            tiered({"up_to": 1000}, {"up_to": "1000.00"}, {}),
            "tiers.1.up_to",
            "Tiers ascend without overlap: write a number above 1,000, not 1,000.",
        ),
        (
            tiered({"up_to": "0"}, {}),
            "tiers.0.up_to",
            "Tiers ascend without overlap: write a number above 0, not 0.",
        ),
        (
            tiered({"up_to": "10"}, {"unit_amount": "-1"}),
            "tiers.1.unit_amount",
            'Write zero or more, not "-1".',
        ),
        (
            tiered({"up_to": "10"}, {"flat_amount": "x"}),
            "tiers.1.flat_amount",
            f'{NUMBER}"x".',
        ),
    ],
)
def test_a_fault_names_its_field_and_says_what_to_write(
    document: object, field: str, message: str
) -> None:
    found_field, found_message = refusal(document)
    assert found_field == field
    assert found_message.startswith(message)
    assert found_message.endswith((".", "?"))


def test_a_fault_deep_in_a_list_is_named_by_its_whole_path() -> None:
    assert refusal(tiered({"up_to": "x"}, {}), "prices.3")[0] == "prices.3.tiers.0.up_to"


def test_two_prices_with_one_key_are_refused() -> None:
    with pytest.raises(PriceError) as error:
        parse_prices([CALLS, FEE, CALLS])
    assert str(error.value) == (
        'prices.2.key: Another price of this list has the key "calls": write a different one.'
    )


def test_an_error_of_the_whole_document_prints_its_sentence_alone() -> None:
    assert str(PriceError("", "Write it anew.")) == "Write it anew."


def test_what_a_document_leaves_out_has_defaults() -> None:
    assert parse_price(CALLS).as_document() == {
        "key": "calls",
        "name": "calls",
        "meter": None,
        "model": "per_unit",
        "free_units": "0",
        "minimum_amount": None,
        "maximum_amount": None,
        "unit_conversion": {"divide_by": "1", "round": None},
        "charge_flat_on_zero": True,
        "timing": "arrears",
        "proration": "day",
        "unit_amount": "0.01",
    }


def test_null_counts_as_left_out() -> None:
    nulls = dict.fromkeys(parse_price(CALLS).as_document())
    assert parse_price({**nulls, **CALLS}) == parse_price(CALLS)


def test_a_document_may_say_everything() -> None:
    document = {
        "key": "api_calls",
        "name": "API calls",
        "meter": "calls",
        "model": "graduated",
        "free_units": "100",
        "minimum_amount": "5.00",
        "maximum_amount": "500.00",
        "unit_conversion": {"divide_by": "1000", "round": "half_up"},
        "charge_flat_on_zero": False,
        "timing": "arrears",
        "proration": "second",
        "tiers": [
            {"up_to": "1000", "unit_amount": "0.01", "flat_amount": "0"},
            {"up_to": None, "unit_amount": "0.000000000000001", "flat_amount": "2.50"},
        ],
    }
    assert parse_price(document).as_document() == document


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (5, "5"),
        (Decimal("0.10"), "0.10"),
        ("1e3", "1000"),
        ("+.5", "0.5"),
        ("7.", "7"),
        ("-0", "0"),
        ("0.10000000000000000000", "0.10000000000000000000"),
        ("9" * 30, "9" * 30),
    ],
)
def test_decimals_may_be_integers_decimals_or_strings(written: object, read: str) -> None:
    price = parse_price({**CALLS, "unit_amount": written})
    assert price.as_document()["unit_amount"] == read


@pytest.mark.parametrize("length", [1, 200])
def test_names_have_up_to_200_characters(length: int) -> None:
    assert parse_price({**CALLS, "name": "n" * length}).name == "n" * length


def test_minimum_and_maximum_may_be_one_amount() -> None:
    price = parse_price({**FEE, "minimum_amount": "4", "maximum_amount": "4"})
    assert price.minimum_amount == price.maximum_amount == 4


def test_a_matrix_has_up_to_five_dimensions() -> None:
    cell = {"match": {"a": "1"}, "price": {"unit_amount": "1"}}
    price = parse_price(matrix(cell, dimensions=list("abcde")))
    assert price.model.reads.dimensions == tuple("abcde")
