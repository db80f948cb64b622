"""Examples of the models that read more than a quantity: percentage of events, cells of a matrix."""

from decimal import Decimal
from typing import Any

import pytest

from billing.rating.lines import RatedLine, price_usage
from billing.rating.prices import parse_price
from billing.rating.usage import UsageKind, UsageRead

SHARE = {"key": "share", "model": "percentage", "rate": "10"}
LARGE = {"match": {"region": "eu", "size": "large"}, "price": {"unit_amount": "5"}}
SMALL = {"match": {"size": "small"}, "price": {"unit_amount": "1", "free_units": "10"}}
TIERED = {
    "model": "graduated",
    "tiers": [{"up_to": "10", "unit_amount": "2", "flat_amount": "3"}, {"unit_amount": "1"}],
}


def share(values: str, **fields: Any) -> RatedLine:
    """Price events of these values, most of them without a fee of their own."""
    events = [(Decimal(value), 1) for value in values.split()]
    return price_usage(parse_price({**SHARE, **fields}), events, None, "USD")


def matrix(usage: str, *cells: Any, default: Any = None, **fields: Any) -> RatedLine:
    """Price usage such as "eu large 3, us - 4", where - is a dimension that is not there."""
    document = {"model": "matrix", "dimensions": ["region", "size"], "cells": cells}
    entries = [entry.split() for entry in usage.split(", ") if entry]
    groups = [
        ({"region": region, "size": None if size == "-" else size}, Decimal(quantity))
        for region, size, quantity in entries
    ]
    price = parse_price({"key": "compute", **document, "default": default, **fields})
    return price_usage(price, groups, None, "USD")


def steps_of(line: RatedLine) -> list[str]:
    return [f"{step.description} {step.quantity} = {step.amount}" for step in line.steps]


@pytest.mark.parametrize(
    ("values", "fields", "amount"),
    [
        # The events' fixed amounts, of those that pay.
        ("", {"fixed_amount": "1"}, "0.00"),
        ("0", {"fixed_amount": "1"}, "1.00"),
        ("0 50", {"fixed_amount": "1"}, "7.00"),
        ("0 50", {"fixed_amount": "1", "free_events": 1}, "6.00"),
        ("0 50", {"fixed_amount": "1", "free_events": "2"}, "0.00"),
        ("0 50", {"fixed_amount": "1", "free_events": "3"}, "0.00"),
        # The first 100 of value: inside, to its edge, across it, beyond it.
        ("60", {"free_amount": "100", "fixed_amount": "1"}, "0.00"),
        ("60 40", {"free_amount": "100", "fixed_amount": "1"}, "0.00"),
        ("60 40 10", {"free_amount": "100", "fixed_amount": "1"}, "2.00"),
        ("60 50", {"free_amount": "100", "fixed_amount": "1"}, "2.00"),
        ("60 40 0", {"free_amount": "100", "fixed_amount": "1"}, "1.00"),
        ("0 0 100", {"free_amount": "100", "fixed_amount": "1"}, "0.00"),
        ("250", {"free_amount": "100", "fixed_amount": "1"}, "16.00"),
        # Both: events that are free use up the free value.
        ("60 60", {"free_amount": "100", "free_events": 1}, "2.00"),
        ("150 60", {"free_amount": "100", "free_events": 1}, "6.00"),
        # Bounds of what a paying event pays, its fixed amount included.
        ("10 20 30", {"minimum_per_event": "2"}, "7.00"),
        ("10 20 30", {"maximum_per_event": "2"}, "5.00"),
        ("10 20 30", {"minimum_per_event": "2", "maximum_per_event": "2"}, "6.00"),
        ("10 20", {"fixed_amount": "1", "maximum_per_event": "2.5"}, "4.50"),
        ("10 20", {"fixed_amount": "1", "minimum_per_event": "2.5"}, "5.50"),
        ("10 20", {"minimum_per_event": "5", "free_events": 1}, "5.00"),
        ("90 20", {"minimum_per_event": "5", "free_amount": "100"}, "5.00"),
        ("10 0", {"minimum_per_event": "5"}, "10.00"),
        # Refunds are passed over.
        ("-10", {"fixed_amount": "1", "minimum_per_event": "5"}, "0.00"),
        ("50 -50 50", {"free_amount": "60"}, "4.00"),
        ("-5 50 60", {"free_events": 1}, "6.00"),
        # The period's bounds.
        ("10", {"minimum_amount": "9"}, "9.00"),
        ("1000", {"maximum_amount": "9"}, "9.00"),
    ],
)
def test_percentage_by_example(values: str, fields: dict[str, Any], amount: str) -> None:
    assert str(share(values, **fields).amount) == amount


def test_half_cents_of_events_are_rounded_once_together() -> None:
    assert str(share("0.05 0.05 0.05").amount) == "0.02"


def test_percentage_is_explained_in_a_few_steps_however_many_events_there_are() -> None:
    fields = {"fixed_amount": "1", "free_events": 1, "free_amount": "30"}
    line = share("20 20 -7 30 300", **fields, minimum_per_event="3", maximum_per_event="20")
    assert line.quantity == 363
    assert steps_of(line) == [
        "Events that pay nothing 1 = 0",
        "Value that pays nothing 30 = 0",
        "Of the value 340 = 34.00",
        "Per event 3 = 3",
        "Minimum per event 1 = 1.00",
        "Maximum per event 1 = -11.00",
    ]
    assert line.steps[2].as_document()["rate"] == "10"
    assert [(step.kind, step.unit_amount) for step in line.steps] == [
        ("free", 0),
        ("free", 0),
        ("percentage", None),
        ("fixed", 1),
        ("event_minimum", None),
        ("event_maximum", None),
    ]


def test_a_percentage_with_nothing_around_it_is_one_step() -> None:
    assert steps_of(share("5 20")) == ["Of the value 25 = 2.50"]


def test_events_of_one_value_share_what_is_free_of_them() -> None:
    price = parse_price({**SHARE, "free_events": 2, "free_amount": "35", "fixed_amount": "1"})
    line = price_usage(price, [(Decimal(10), 6)], None, "USD")
    assert str(line.amount) == "5.50"


@pytest.mark.parametrize(
    ("usage", "amount"),
    [
        ("", "0.00"),
        ("eu large 3", "15.00"),
        ("eu small 12", "2.00"),
        ("eu small 6, us small 6", "2.00"),
        ("us large 7", "0.00"),
        ("eu - 7", "0.00"),
        ("eu large 3, eu large -3", "0.00"),
        ("eu large -3, us small 12", "2.00"),
    ],
)
def test_matrix_by_example(usage: str, amount: str) -> None:
    assert str(matrix(usage, LARGE, SMALL).amount) == amount


def test_usage_that_no_cell_prices_is_shown_or_has_the_default() -> None:
    usage = "eu large 1, us large 7, mars - 2"
    unpriced = matrix(usage, LARGE, SMALL)
    priced = matrix(usage, LARGE, SMALL, default={"unit_amount": "2"})
    assert [unpriced.quantity, unpriced.amount, priced.amount] == [10, 5, 23]
    assert unpriced.steps[1].as_document() == {
        "kind": "unpriced",
        "description": "All others: not priced",
        "quantity": "9",
        "unit_amount": "0",
        "amount": "0",
    }
    assert steps_of(priced) == [
        "region eu, size large: all units 1 = 5",
        "All others: all units 9 = 18",
    ]


def test_the_first_cell_that_matches_prices_a_combination() -> None:
    wide = {"match": {"region": "eu"}, "price": {"unit_amount": "2"}}
    crossing = {"match": {"size": "large"}, "price": {"unit_amount": "1"}}
    assert matrix("eu large 1", wide, crossing).amount == 2
    assert matrix("eu large 1", crossing, wide).amount == 1
    assert matrix("eu large 1", LARGE, wide, crossing).amount == 5


def test_tiers_of_a_cell_run_over_all_that_falls_into_it_and_its_flat_fees_are_due_unused() -> None:
    cell = {"match": {"size": "small"}, "price": TIERED}
    assert matrix("eu small 6, us small 6", cell).amount == 25
    assert matrix("", cell).amount == 3
    assert steps_of(matrix("", cell)) == ["size small: first 10: flat fee None = 3"]
    waived = {**cell, "price": {**TIERED, "charge_flat_on_zero": False}}
    assert matrix("", waived).amount == 0


def test_a_matrix_keeps_its_default_in_its_document() -> None:
    document = {"key": "a", "model": "matrix", "dimensions": ["region", "size"], "cells": [LARGE]}
    price = parse_price({**document, "default": {"unit_amount": "2"}})
    assert parse_price(price.as_document()) == price


def test_bounds_of_a_matrix_are_for_all_of_it() -> None:
    usage = "eu large 3, us small 12"
    assert matrix(usage, LARGE, SMALL, minimum_amount="20").amount == 20
    assert matrix(usage, LARGE, SMALL, maximum_amount="16").amount == 16


@pytest.mark.parametrize(
    ("document", "reads"),
    [
        ({"model": "flat", "amount": "1"}, UsageRead(UsageKind.NOTHING)),
        ({"model": "per_unit", "unit_amount": "1"}, UsageRead(UsageKind.QUANTITY)),
        ({"model": "dynamic"}, UsageRead(UsageKind.QUANTITY)),
        (SHARE, UsageRead(UsageKind.VALUES)),
        ({**SHARE, "fixed_amount": "1", "minimum_per_event": "1"}, UsageRead(UsageKind.VALUES)),
        ({**SHARE, "free_events": "1"}, UsageRead(UsageKind.VALUES, in_order=True)),
        ({**SHARE, "free_amount": "1"}, UsageRead(UsageKind.VALUES, in_order=True)),
        (
            {"model": "matrix", "dimensions": ["region", "size"], "cells": [LARGE]},
            UsageRead(UsageKind.QUANTITIES, dimensions=("region", "size")),
        ),
    ],
)
def test_a_model_says_what_usage_it_reads(document: dict[str, Any], reads: UsageRead) -> None:
    model = parse_price({**document, "key": "a"}).model
    assert model.reads == reads
    assert model.takes_usage is (reads.kind is not UsageKind.NOTHING)


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        (SHARE, "10% of each"),
        (
            {**SHARE, "rate": "1.25", "fixed_amount": "0.3", "free_events": 1000},
            "first 1,000 events free, then 1.25% plus $0.30 of each",
        ),
        (
            {**SHARE, "free_events": 1, "free_amount": "500", "minimum_per_event": "1"},
            "first 1 event free, first $500.00 free, then 10% of each, at least $1.00",
        ),
        (
            {**SHARE, "minimum_per_event": "0", "maximum_per_event": "20", "maximum_amount": "90"},
            "10% of each, at least $0.00, at most $20.00; at most $90.00",
        ),
        ({"model": "dynamic"}, "what each event says"),
        ({"model": "dynamic", "multiplier": "1.2"}, "1.2 times what each event says"),
        (
            {
                "model": "graduated_percentage",
                "tiers": [{"up_to": "1e3"}, {"rate": "1", "flat_amount": "2"}],
            },
            "first $1,000.00 free, then $2.00 plus 1%",
        ),
        (
            {"model": "matrix", "dimensions": ["region", "size"], "cells": [LARGE, SMALL]},
            "region eu, size large: $5.00 each; size small: first 10 free, then $1.00 each; "
            "all others: free",
        ),
    ],
)
def test_customers_read_a_sentence(document: dict[str, Any], sentence: str) -> None:
    assert parse_price({**document, "key": "a"}).describe("USD") == sentence
