"""Figures that others have worked out, through the API and the nightly command alone."""

import pytest
from rest_framework.test import APIClient

from tests.billing.figures.outsider import Outsider

pytestmark = pytest.mark.django_db


def flat(amount: str, **fields: object) -> dict[str, object]:
    return {"key": "base", "name": "Base fee", "model": "flat", "amount": amount, **fields}


CALLS = {"key": "calls", "name": "Calls", "meter": "calls"}
TIERS = [
    {"up_to": "10", "unit_amount": "2"},
    {"up_to": "20", "unit_amount": "3"},
    {"up_to": None, "unit_amount": "5"},
]


@pytest.fixture
def outsider(operator: APIClient) -> Outsider:
    return Outsider(operator)


def test_an_upgrade_within_a_month_splits_it_by_days(outsider: Outsider) -> None:
    outsider.plan(flat("100"))
    outsider.plan(flat("200"), key="team")
    outsider.customer()
    subscription = outsider.subscribe("2026-01-01T00:00:00Z")
    outsider.change(subscription, "2026-01-15T00:00:00Z", plan="team")
    outsider.night("2026-02-02T00:00:00Z")
    assert outsider.lines() == ["45.16", "109.68"]


def test_a_fee_in_advance_is_for_the_days_that_are_left(outsider: Outsider) -> None:
    outsider.plan(flat("10", timing="advance"))
    outsider.customer()
    outsider.subscribe("2026-12-27T00:00:00Z")
    outsider.night("2026-12-27T01:00:00Z")
    [invoice] = outsider.invoices()
    assert (invoice["total"], invoice["status"]) == ("1.61", "open")


@pytest.mark.parametrize(("zone", "fee"), [("America/Denver", "4.00"), ("America/Halifax", "3.00")])
def test_days_are_the_customers_own(outsider: Outsider, zone: str, fee: str) -> None:
    outsider.plan(flat("7", timing="advance"), interval="week")
    outsider.customer(time_zone=zone)
    outsider.subscribe("2023-06-16T05:00:00Z")
    outsider.night("2023-06-16T06:00:00Z")
    assert outsider.totals() == [fee]


@pytest.mark.parametrize("nights", [("2026-01-01T00:00:00Z", "2026-01-16T13:00:00Z"), ()])
def test_an_upgrade_at_exactly_half_gives_half_back(
    outsider: Outsider, nights: tuple[str, ...]
) -> None:
    """It makes no difference whether nights were missed."""
    terms = {"timing": "advance", "proration": "second"}
    outsider.plan(flat("10", **terms))
    outsider.plan(flat("20", **terms), key="team")
    outsider.customer()
    subscription = outsider.subscribe("2026-01-01T00:00:00Z")
    for night in nights[:1]:
        outsider.night(night)
    outsider.change(subscription, "2026-01-16T12:00:00Z", plan="team")
    outsider.night("2026-01-17T00:00:00Z")
    assert [each["total"] for each in outsider.invoices()] == ["10.00", "5.00"]
    assert outsider.lines() == ["10.00", "-5.00", "10.00"]


def test_a_threshold_bills_within_the_month_and_never_twice(outsider: Outsider) -> None:
    outsider.meter(aggregation="sum", value_property="units")
    outsider.plan(
        flat("31"),
        CALLS | {"model": "per_unit", "unit_amount": "0.0002"},
        invoice_threshold="200.00",
    )
    outsider.customer()
    outsider.subscribe("2026-01-01T00:00:00Z")
    outsider.use("2026-01-05T00:00:00Z", units="999000")
    outsider.night("2026-01-06T00:00:00Z")
    assert outsider.totals() == []
    outsider.use("2026-01-06T00:00:00Z", units="1000")
    outsider.night("2026-01-10T00:00:00Z")
    outsider.night("2026-01-11T00:00:00Z")
    outsider.use("2026-01-20T00:00:00Z", units="1000000")
    outsider.night("2026-02-02T00:00:00Z")
    assert outsider.totals() == ["200.00", "231.00"]


def test_nights_of_one_instant_bill_what_came_in_between(
    outsider: Outsider,
) -> None:
    outsider.meter()
    outsider.plan(CALLS | {"model": "per_unit", "unit_amount": "1"}, invoice_threshold="2")
    outsider.customer()
    outsider.subscribe("2026-01-01T00:00:00Z")
    outsider.customer("globex")
    ended = outsider.subscribe("2026-01-01T00:00:00Z", customer="globex")
    outsider.post(f"subscriptions/{ended}/cancel", at="2026-01-04T00:00:00Z")
    for _ in range(3):
        for customer in ("acme", "globex"):
            outsider.use("2026-01-03T00:00:00Z", 3, customer=customer)
        outsider.night("2026-01-10T00:00:00Z")
    assert outsider.totals() == outsider.totals("globex") == ["3.00", "3.00", "3.00"]


def test_late_units_cost_what_their_tier_says(outsider: Outsider) -> None:
    outsider.meter()
    outsider.plan(CALLS | {"model": "graduated", "tiers": TIERS})
    outsider.customer()
    outsider.subscribe("2026-01-01T00:00:00Z")
    outsider.use("2026-01-10T00:00:00Z", 15)
    outsider.night("2026-02-02T00:00:00Z")
    outsider.use("2026-01-20T00:00:00Z", 6)
    outsider.night("2026-02-03T00:00:00Z")
    outsider.night("2026-03-02T00:00:00Z")
    january, february = outsider.invoices()
    assert january["total"] == "35.00"
    [usage, late] = february["lines"]
    assert (usage["amount"], late["amount"], late["kind"]) == ("0.00", "20.00", "adjustment")
    assert (late["quantity"], late["billed_quantity"]) == ("21", "15")
    assert late["original"] == january["number"]
    assert late["period_start"] == "2026-01-01T00:00:00Z"
