"""Examples of each model, and the words for it. tests/golden/prices.jsonl holds outside cases."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given

from billing.rating.arithmetic import exact_arithmetic
from billing.rating.price_models import PRICE_MODELS
from billing.rating.prices import parse_price
from billing.rating.steps import total_of
from billing.rating.usage import UsageKind
from tests.billing.rating.strategies import price_documents

TIERS = [
    {"up_to": "1000", "unit_amount": "0.3"},
    {"up_to": "5000", "unit_amount": "0.2", "flat_amount": "7"},
    {"unit_amount": "0.1"},
]


def rated(document: dict[str, Any], quantity: str) -> tuple[Decimal, list[dict[str, object]]]:
    price = parse_price({"key": "calls", **document})
    with exact_arithmetic():
        steps = price.rate(Decimal(quantity)).steps
        return total_of(steps), [step.as_document() for step in steps]


@pytest.mark.parametrize(
    ("quantity", "amount"),
    [("0", 0), ("1000", 300), ("1000.5", "307.1"), ("5000", 1107), ("6000", 1207)],
)
def test_graduated_prices_each_unit_in_its_tier(quantity: str, amount: str) -> None:
    assert rated({"model": "graduated", "tiers": TIERS}, quantity)[0] == Decimal(amount)


@pytest.mark.parametrize(
    ("quantity", "amount"),
    [("0", 0), ("1000", 300), ("1000.5", "207.1"), ("5000", 1007), ("5000.01", "500.001")],
)
def test_volume_prices_all_units_at_the_tier_reached_and_drops_at_an_edge(
    quantity: str, amount: str
) -> None:
    assert rated({"model": "volume", "tiers": TIERS}, quantity)[0] == Decimal(amount)


@pytest.mark.parametrize(
    ("quantity", "up", "down"),
    [("0", 0, 0), ("0.1", 1, 0), ("99.9", 1, 0), ("100", 1, 1), ("100.1", 2, 1), ("250", 3, 2)],
)
def test_package_rounds_started_packages_up_or_down(quantity: str, up: int, down: int) -> None:
    package = {"model": "package", "size": "100", "amount": "5"}
    assert rated(package, quantity)[0] == 5 * up
    assert rated({**package, "round": "down"}, quantity)[0] == 5 * down


def test_graduated_steps_name_tier_bounds_quantity_rate_and_flat_fee() -> None:
    steps = rated({"model": "graduated", "tiers": TIERS}, "1500")[1]
    second = {"tier": 2, "from": "1000", "up_to": "5000"}
    assert steps == [
        {
            "kind": "tier",
            "description": "First 1,000",
            "tier": 1,
            "from": "0",
            "up_to": "1000",
            "quantity": "1000",
            "unit_amount": "0.3",
            "amount": "300.0",
        },
        {
            "kind": "tier",
            "description": "Next 4,000",
            **second,
            "quantity": "500",
            "unit_amount": "0.2",
            "amount": "100.0",
        },
        {"kind": "flat", "description": "Next 4,000: flat fee", **second, "amount": "7"},
    ]


def test_last_tier_has_no_end() -> None:
    last = rated({"model": "graduated", "tiers": TIERS}, "6000")[1][-1]
    assert [last["description"], last["from"], last["up_to"]] == ["Above 5,000", "5000", None]


def test_a_percentage_tier_names_its_percentage_and_the_only_tier_all_units() -> None:
    tiers = [{"rate": "2.5"}]
    assert rated({"model": "graduated_percentage", "tiers": tiers}, "200")[1] == [
        {
            "kind": "tier",
            "description": "All units",
            "tier": 1,
            "from": "0",
            "up_to": None,
            "quantity": "200",
            "rate": "2.5",
            "amount": "5.000",
        }
    ]


@pytest.mark.parametrize(
    ("quantity", "description", "tier"),
    [("5", "All units, up to 1,000", 1), ("6000", "All units, above 5,000", 3)],
)
def test_volume_step_names_the_tier_reached(quantity: str, description: str, tier: int) -> None:
    step = rated({"model": "volume", "tiers": TIERS}, quantity)[1][0]
    assert [step["description"], step["tier"], step["quantity"]] == [description, tier, quantity]


def test_steps_of_the_other_models_say_what_is_counted() -> None:
    assert rated({"model": "flat", "amount": "9.50"}, "1")[1] == [
        {"kind": "flat", "description": "Flat fee", "amount": "9.50"}
    ]
    assert rated({"model": "per_unit", "unit_amount": "0.5"}, "3")[1] == [
        {
            "kind": "units",
            "description": "All units",
            "quantity": "3",
            "unit_amount": "0.5",
            "amount": "1.5",
        }
    ]
    assert rated({"model": "package", "size": "1e3", "amount": "5"}, "1001")[1] == [
        {
            "kind": "package",
            "description": "Packages of 1,000",
            "quantity": "2",
            "unit_amount": "5",
            "amount": "10",
        }
    ]


def test_a_dynamic_step_says_what_the_amounts_of_the_events_are_multiplied_by() -> None:
    assert rated({"model": "dynamic", "multiplier": "1.5"}, "3")[1] == [
        {
            "kind": "dynamic",
            "description": "Amounts of the events, times 1.5",
            "quantity": "3",
            "amount": "4.5",
        }
    ]


FREE_THEN = [{"up_to": "1000"}, {"unit_amount": "0.002"}]
THREE = [
    {"up_to": "10", "unit_amount": "10", "flat_amount": "2"},
    {"up_to": "20", "flat_amount": "3"},
    {"unit_amount": "5", "flat_amount": "3"},
]


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({"model": "flat", "amount": "49"}, "$49.00"),
        ({"model": "per_unit", "unit_amount": "0.000042"}, "$0.000042 each"),
        ({"model": "per_unit", "unit_amount": "0"}, "free"),
        ({"model": "graduated", "tiers": FREE_THEN}, "first 1,000 free, then $0.002 each"),
        (
            {"model": "graduated", "tiers": THREE},
            "first 10 for $2.00 plus $10.00 each, next 10 for $3.00, then $3.00 plus $5.00 each",
        ),
        ({"model": "graduated", "tiers": [{"unit_amount": "2"}]}, "$2.00 each"),
        (
            {"model": "volume", "tiers": TIERS},
            "all units, by their total: up to 1,000 at $0.30 each, "
            "up to 5,000 for $7.00 plus $0.20 each, above 5,000 at $0.10 each",
        ),
        (
            {"model": "volume", "tiers": [{"unit_amount": "2"}]},
            "all units, by their total: any number at $2.00 each",
        ),
        (
            {"model": "package", "size": "1000", "amount": "5"},
            "$5.00 for every started 1,000",
        ),
        (
            {"model": "package", "size": "1000", "amount": "5", "round": "down"},
            "$5.00 for every full 1,000",
        ),
    ],
)
def test_customers_read_a_sentence(document: dict[str, Any], sentence: str) -> None:
    assert parse_price({"key": "calls", **document}).describe("USD") == sentence


def test_the_sentence_names_what_applies_around_the_model() -> None:
    price = parse_price(
        {
            "key": "bytes",
            "model": "per_unit",
            "unit_amount": "0.1",
            "free_units": "5",
            "unit_conversion": {"divide_by": "1e9", "round": "half_up"},
            "minimum_amount": "1",
            "maximum_amount": "0100",
        }
    )
    assert price.describe("EUR") == (
        "first 5 free, then €0.10 each; in units of 1,000,000,000, rounded half up; "
        "at least €1.00; at most €100.00"
    )


@given(price_documents())
def test_every_price_has_a_sentence_and_survives_its_document(document: dict[str, Any]) -> None:
    price = parse_price(document)
    assert parse_price(price.as_document()) == price
    assert price.describe("USD")


def test_every_model_says_what_it_is_and_what_it_reads() -> None:
    for key, model in PRICE_MODELS.items():
        assert model.key == key
        assert model.label
        assert model.summary.endswith(".")
        assert model.names()
        assert model.usage_kind in UsageKind


@pytest.mark.parametrize("model", ["graduated", "volume"])
def test_zero_usage_is_explained_by_one_step(model: str) -> None:
    free = rated({"model": model, "tiers": [{"unit_amount": "2"}]}, "0")[1]
    flat = rated({"model": model, "tiers": [{"unit_amount": "2", "flat_amount": "7"}]}, "0")[1]
    assert [(step["kind"], step["amount"]) for step in [*free, *flat]] == [
        ("tier", "0"),
        ("flat", "7"),
    ]
