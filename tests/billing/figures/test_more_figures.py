"""More figures worked out by hand: currencies, intervals, time zones, pauses and prepaid fees."""

from decimal import Decimal
from typing import Any

import pytest
from django.db.models import Sum
from rest_framework.test import APIClient

from billing.models import CreditNote
from tests.billing.figures.outsider import Outsider
from tests.billing.figures.test_lives import SEATS
from tests.billing.figures.test_minimums import EACH, prove_all
from tests.billing.figures.test_outside_figures import flat

pytestmark = pytest.mark.django_db


@pytest.fixture
def outsider(operator: APIClient) -> Outsider:
    return Outsider(operator)


@pytest.mark.parametrize(
    ("amount", "terms", "customer", "start", "night", "total"),
    [
        # 184 of 365 days; 5 days of a week that begins on Monday.
        ("365", {"interval": "year"}, {}, "2026-07-01T00:00:00Z", "2027-01-02", "184.00"),
        ("7", {"interval": "week"}, {}, "2026-01-07T09:00:00Z", "2026-01-13", "5.00"),
        # 20 of 31 days, without and with three decimals.
        ("1000", {}, {"currency": "JPY"}, "2026-01-12T00:00:00Z", "2026-02-02", "645"),
        ("10", {}, {"currency": "KWD"}, "2026-01-12T00:00:00Z", "2026-02-02", "6.452"),
        # The last day of January in Honolulu; all of February in Kiritimati.
        ("31", {}, {"time_zone": "Pacific/Honolulu"}, "2026-01-31T20:00:00Z", "2026-02-03", "1.00"),
        (
            "31",
            {},
            {"time_zone": "Pacific/Kiritimati"},
            "2026-01-31T12:00:00Z",
            "2026-03-02",
            "31.00",
        ),
        # A quarter of 90 days, begun in its last month; a month whose clock is set forward.
        ("90", {"interval": "quarter"}, {}, "2026-03-01T00:00:00Z", "2026-04-02", "31.00"),
        ("31", {}, {"time_zone": "Europe/Paris"}, "2026-03-28T23:00:00Z", "2026-04-02", "3.00"),
    ],
)
def test_a_first_part_of_a_period_costs_its_days(
    outsider: Outsider, amount: str, terms: Any, customer: Any, start: str, night: str, total: str
) -> None:
    currency = customer.get("currency", "USD")
    outsider.plan(flat(amount), currency=currency, **terms)
    outsider.customer(**customer)
    outsider.subscribe(start)
    outsider.night(f"{night}T00:00:00Z")
    assert outsider.totals() == [total]


def test_a_year_from_a_leap_day_is_whole(outsider: Outsider) -> None:
    outsider.plan(flat("366"), interval="year")
    outsider.customer()
    outsider.subscribe("2024-02-29T00:00:00Z", anchor="anniversary")
    outsider.night("2026-03-02T00:00:00Z")
    assert [(each["period_end"][:10], each["total"]) for each in outsider.invoices()] == [
        ("2025-02-28", "366.00"),
        ("2026-02-28", "366.00"),
    ]


@pytest.mark.parametrize("proration", ["day", "second"])
def test_a_new_interval_counts_from_the_moment_it_begins(
    outsider: Outsider, proration: str
) -> None:
    """Late on 20 March: 19 days of a month, then a whole week by days or by its exact time."""
    outsider.plan(flat("31"))
    outsider.plan(flat("7", timing="advance", proration=proration), key="weekly", interval="week")
    outsider.customer()
    subscription = outsider.subscribe("2026-03-01T00:00:00Z", anchor="anniversary")
    outsider.change(subscription, "2026-03-20T18:00:00Z", plan="weekly")
    outsider.night("2026-03-22T00:00:00Z")
    assert outsider.lines() == {"day": ["19.00", "7.00"], "second": ["19.00", "6.25"]}[proration]


@pytest.mark.parametrize(
    ("plan", "owed"),
    # A dearer month; 334 of 365 days of a year, which began with the calendar's.
    [("team", ["62.00", "-31.00"]), ("yearly", ["334.00", "-31.00"])],
)
def test_a_change_at_the_start_of_a_period_is_billed_although_a_night_was_earlier(
    outsider: Outsider, plan: str, owed: list[str]
) -> None:
    outsider.plan(flat("31", timing="advance"))
    outsider.plan(flat("62", timing="advance"), key="team")
    outsider.plan(flat("365", timing="advance"), key="yearly", interval="year")
    outsider.customer()
    subscription = outsider.subscribe("2026-01-01T00:00:00Z")
    outsider.night("2026-02-01T02:00:00Z")
    outsider.change(subscription, "2026-02-01T00:00:00Z", plan=plan)
    for night in ("2026-02-02T02:00:00Z", "2026-02-03T02:00:00Z"):
        outsider.night(night)
    assert outsider.lines() == ["31.00", "31.00", *owed]
    prove_all(outsider)


def test_a_plan_that_was_billed_and_never_held_is_given_back(outsider: Outsider) -> None:
    """Another change at the same instant takes its place; then it is canceled from before that."""
    outsider.plan(flat("31", timing="advance"))
    for key, amount in (("team", "62"), ("firm", "93")):
        outsider.plan(flat(amount, timing="advance"), key=key)
    outsider.customer()
    subscription = outsider.subscribe("2026-01-01T00:00:00Z")
    for plan in ("team", "firm"):
        outsider.change(subscription, "2026-01-16T00:00:00Z", plan=plan)
        outsider.night("2026-01-16T01:00:00Z")
    assert outsider.lines() == ["31.00", "-16.00", "32.00", "48.00", "-32.00"]
    outsider.post(f"subscriptions/{subscription}/cancel", at="2026-01-11T00:00:00Z")
    outsider.night("2026-01-17T00:00:00Z")
    notes = CreditNote.objects.aggregate(total=Sum("total"))["total"]
    assert sum(map(Decimal, outsider.totals())) - notes == 10


def test_a_run_as_of_the_past_forgets_no_change_of_a_later_one(outsider: Outsider) -> None:
    outsider.plan(flat("31"))
    outsider.plan(flat("62"), key="team")
    outsider.customer()
    subscription = outsider.subscribe("2026-01-01T00:00:00Z")
    outsider.night("2026-02-02T00:00:00Z")
    outsider.change(subscription, "2026-01-16T00:00:00Z", plan="team")
    outsider.night("2026-01-10T00:00:00Z")
    outsider.night("2026-03-02T00:00:00Z")
    assert outsider.totals() == ["31.00", "78.00"]


def test_an_interval_of_the_past_is_billed_where_a_later_change_was_billed_before(
    outsider: Outsider,
) -> None:
    """14 and 315 days of years, with 17 of January and 19 of February between them."""
    outsider.meter()
    outsider.plan(flat("365", timing="advance"), interval="year")
    outsider.plan(flat("730", timing="advance"), key="team", interval="year")
    outsider.plan(flat("31", timing="advance"), EACH, key="monthly")
    outsider.customer()
    subscription = outsider.subscribe("2026-01-01T00:00:00Z")
    for day, plan in (("2026-02-20", "team"), ("2026-01-15", "monthly")):
        outsider.night("2026-02-19T00:00:00Z")
        outsider.change(subscription, f"{day}T00:00:00Z", plan=plan)
        outsider.night("2026-02-21T00:00:00Z")
    outsider.post(f"subscriptions/{subscription}/cancel", at="2026-02-22T00:00:00Z")
    for night in ("2026-02-23T00:00:00Z", "2026-02-24T00:00:00Z"):
        outsider.night(night)
        outsider.use("2026-01-20T00:00:00Z", 3)
    notes = CreditNote.objects.aggregate(total=Sum("total"))["total"]
    assert sum(map(Decimal, outsider.totals())) - notes == Decimal("59.04")


def test_a_pause_over_the_end_of_a_month_costs_the_days_beside_it(outsider: Outsider) -> None:
    """20 of 31 days, then 14 of 28."""
    outsider.plan(flat("31"))
    outsider.customer()
    subscription = outsider.subscribe("2026-01-01T00:00:00Z")
    outsider.post(f"subscriptions/{subscription}/pause", at="2026-01-21T00:00:00Z")
    outsider.post(f"subscriptions/{subscription}/resume", at="2026-02-15T00:00:00Z")
    outsider.night("2026-03-02T00:00:00Z")
    assert outsider.totals() == ["20.00", "15.50"]


def test_units_in_advance_are_charged_and_given_back_by_their_days(outsider: Outsider) -> None:
    """155 in advance; two more for 21 days are 42; all seven for the 11 days from the 21st back.

    The second invoice is over 42 alone, so that 35 are given back on the first.
    """
    outsider.plan(SEATS | {"timing": "advance"})
    outsider.customer()
    subscription = outsider.subscribe("2026-01-01T00:00:00Z", quantities={"seats": "5"})
    outsider.night("2026-01-01T01:00:00Z")
    outsider.change(subscription, "2026-01-11T00:00:00Z", quantities={"seats": "7"})
    outsider.night("2026-01-11T01:00:00Z")
    outsider.post(f"subscriptions/{subscription}/cancel", at="2026-01-20T12:00:00Z")
    outsider.night("2026-01-21T00:00:00Z")
    assert outsider.totals() == ["155.00", "42.00"]
    notes = CreditNote.objects.order_by("pk").select_related("invoice")
    assert [(str(note.total), str(note.invoice)) for note in notes] == [
        ("42.00", "INV-000002"),
        ("35.00", "INV-000001"),
    ]


@pytest.fixture
def seats(outsider: Outsider) -> int:
    """Return a subscription to two kinds of units in advance, each 1.00 a day: five of both."""
    outsider.plan(*[SEATS | {"key": key, "timing": "advance"} for key in ("seats", "desks")])
    outsider.customer()
    return outsider.subscribe("2026-01-01T00:00:00Z", quantities={"seats": "5", "desks": "5"})


# What happens on which day of January before the last night: other units, an end, or a night.
@pytest.mark.parametrize(
    ("happens", "owed"),
    [
        # Raised twice, on invoices that each take off what the one before had billed: all three
        # give back, until 50 + 28 + 48 for the seats and 100 for the desks are left.
        (
            [
                *[(1, "night"), (11, {"seats": 7}), (11, "night"), (15, {"seats": 8})],
                *[(15, "night"), (21, "end")],
            ],
            ["226.00", "0.00", "0.00"],
        ),
        # The first invoice gives back for its desks, and for seats of the second one too.
        (
            [
                (1, "night"),
                (6, {"seats": 6}),
                (6, "night"),
                (11, {"desks": 3}),
                (12, "night"),
                (4, "end"),
            ],
            ["30.00", "0.00", "0.00"],
        ),
        # More, then fewer, before any night: what is given back is on documents of the same night.
        ([(11, {"seats": 7}), (21, {"seats": 2})], ["275.00", "0.00", "22.00"]),
    ],
)
def test_units_in_advance_are_given_back_on_all_invoices_that_billed_them(
    outsider: Outsider, seats: int, happens: list[tuple[int, Any]], owed: list[str]
) -> None:
    for day, what in happens:
        at = f"2026-01-{day:02}T00:00:00Z"
        if what == "night":
            outsider.night(at)
        elif what == "end":
            outsider.post(f"subscriptions/{seats}/cancel", at=at)
        else:
            outsider.change(seats, at, quantities={key: str(units) for key, units in what.items()})
    outsider.night("2026-01-22T00:00:00Z")
    assert [each["amount_due"] for each in outsider.invoices()] == owed
    given_back = CreditNote.objects.aggregate(total=Sum("total"))["total"]
    totals = sum(map(Decimal, outsider.totals()))
    assert totals - given_back == sum(map(Decimal, owed))
