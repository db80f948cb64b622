"""What subscriptions go through, driven from outside, with amounts checked by hand."""

from decimal import Decimal

import pytest
from rest_framework.test import APIClient

from billing.models import CreditNote, CreditNoteLine
from metering.models import Event
from tests.billing.figures.outsider import Outsider
from tests.billing.figures.test_outside_figures import CALLS, TIERS, flat

pytestmark = pytest.mark.django_db
SEATS = {"key": "seats", "name": "Seats", "model": "per_unit", "unit_amount": "31"}


@pytest.fixture
def outsider(operator: APIClient) -> Outsider:
    made = Outsider(operator)
    made.customer()
    return made


def test_the_next_fee_in_advance_stands_beside_the_usage_before(outsider: Outsider) -> None:
    outsider.meter()
    outsider.plan(flat("10", timing="advance"), CALLS | {"model": "per_unit", "unit_amount": "1"})
    outsider.subscribe("2026-01-01T00:00:00Z")
    outsider.use("2026-01-10T00:00:00Z", 3)
    outsider.night("2026-02-02T00:00:00Z")
    first, second = outsider.invoices()
    assert [line["amount"] for line in first["lines"]] == ["10.00"]
    assert [
        (line["price"], line["amount"], line["period_start"][:10]) for line in second["lines"]
    ] == [
        ("calls", "3.00", "2026-01-01"),
        ("base", "10.00", "2026-02-01"),
    ]


def test_seats_are_prorated_by_the_days_they_are_held(outsider: Outsider) -> None:
    """Five seats for 10 of 31 days at 31 each, seven for 21."""
    outsider.plan(SEATS)
    subscription = outsider.subscribe("2026-01-01T00:00:00Z", quantities={"seats": "5"})
    outsider.change(subscription, "2026-01-11T00:00:00Z", quantities={"seats": "7"})
    outsider.night("2026-02-02T00:00:00Z")
    assert outsider.lines() == ["50.00", "147.00"]


def test_more_seats_do_not_begin_the_tiers_of_usage_again(outsider: Outsider) -> None:
    outsider.meter()
    outsider.plan(SEATS, CALLS | {"model": "graduated", "tiers": TIERS})
    subscription = outsider.subscribe("2026-01-01T00:00:00Z", quantities={"seats": "0"})
    outsider.use("2026-01-05T00:00:00Z", 10)
    outsider.use("2026-01-20T00:00:00Z", 5)
    outsider.change(subscription, "2026-01-11T00:00:00Z", quantities={"seats": "1"})
    outsider.night("2026-02-02T00:00:00Z")
    assert "35.00" in outsider.lines()


def test_units_without_proration_are_paid_once_in_full(outsider: Outsider) -> None:
    outsider.plan(SEATS | {"proration": "none"})
    subscription = outsider.subscribe("2026-01-01T00:00:00Z", quantities={"seats": "5"})
    outsider.change(subscription, "2026-01-11T00:00:00Z", quantities={"seats": "7"})
    outsider.change(subscription, "2026-01-21T00:00:00Z", quantities={"seats": "2"})
    outsider.night("2026-02-02T00:00:00Z")
    assert outsider.lines() == ["217.00"]


def test_a_downgrade_waits_for_the_period_to_end(outsider: Outsider) -> None:
    outsider.plan(flat("200", timing="advance"))
    outsider.plan(flat("100", timing="advance"), key="lite")
    subscription = outsider.subscribe("2026-01-01T00:00:00Z")
    outsider.night("2026-01-01T01:00:00Z")
    changed = outsider.change(subscription, "2026-02-01T00:00:00Z", plan="lite")
    outsider.night("2026-02-02T00:00:00Z")
    assert outsider.totals() == ["200.00", "100.00"]
    assert [phase["plan"] for phase in changed["phases"]] == ["pro", "lite"]
    assert [change["kind"] for change in changed["changes"]] == ["start", "change"]


def test_a_downgrade_at_once_gives_prepaid_time_back_in_a_credit_note(outsider: Outsider) -> None:
    """20.00 of 31.00 unused, 10.00 for the rest: what is below zero is a document of its own."""
    outsider.plan(flat("31", timing="advance"))
    outsider.plan(flat("15.50", timing="advance"), key="lite")
    subscription = outsider.subscribe("2026-01-01T00:00:00Z")
    outsider.night("2026-01-01T01:00:00Z")
    outsider.change(subscription, "2026-01-12T00:00:00Z", plan="lite")
    outsider.night("2026-01-12T01:00:00Z")
    assert outsider.totals() == ["31.00", "10.00"]
    assert credit_notes() == [("CN-000001", "20.00", "INV-000001")]


@pytest.mark.parametrize(
    ("proration", "parts"),
    [
        ("day", ["Jan 1 \u2013 14, 2026", "Jan 15 \u2013 31, 2026"]),
        (
            "second",
            [
                "Jan 1, 2026 \u2013 Jan 15, 2026, 12:00 PM",
                "Jan 15, 2026, 12:00 PM \u2013 Jan 31, 2026",
            ],
        ),
    ],
)
def test_no_day_reads_as_if_it_were_charged_twice(
    outsider: Outsider, proration: str, parts: list[str]
) -> None:
    outsider.plan(flat("100", proration=proration))
    outsider.plan(flat("200", proration=proration), key="team")
    subscription = outsider.subscribe("2026-01-01T00:00:00Z")
    outsider.change(subscription, "2026-01-15T12:00:00Z", plan="team")
    outsider.night("2026-02-02T00:00:00Z")
    [invoice] = outsider.invoices()
    plain = str.maketrans({"\u2009": " ", "\u202f": " "})
    assert [line["description"].translate(plain) for line in invoice["lines"]] == [
        f"Base fee, {part}" for part in parts
    ]


def test_a_plan_of_some_hours_costs_nothing_where_days_are_counted(outsider: Outsider) -> None:
    outsider.plan(flat("31", timing="advance"))
    outsider.plan(flat("62", timing="advance"), key="team")
    subscription = outsider.subscribe("2026-01-01T00:00:00Z")
    for hour, plan in (("09", "team"), ("15", "pro")):
        outsider.change(subscription, f"2026-01-16T{hour}:00:00Z", plan=plan)
        outsider.night(f"2026-01-16T{hour}:30:00Z")
    notes = CreditNoteLine.objects.filter(amount__gt=0).order_by("pk")
    assert [str(line) for line in notes] == ["Base fee, unused", "Base fee"]
    assert outsider.totals() == ["31.00", "16.00", "16.00"]


def test_a_pause_costs_nothing_and_a_resumed_month_its_days(outsider: Outsider) -> None:
    outsider.plan(flat("31"))
    subscription = outsider.subscribe("2026-01-01T00:00:00Z")
    outsider.post(f"subscriptions/{subscription}/pause", at="2026-01-11T00:00:00Z")
    outsider.post(f"subscriptions/{subscription}/resume", at="2026-03-17T00:00:00Z")
    outsider.night("2026-04-02T00:00:00Z")
    assert outsider.totals() == ["10.00", "15.00"]


def test_a_trial_is_free_and_the_first_fee_is_for_what_is_left(outsider: Outsider) -> None:
    outsider.plan(flat("31", timing="advance"), trial_days=14)
    subscription = outsider.subscribe("2026-01-08T00:00:00Z")
    outsider.night("2026-01-22T01:00:00Z")
    [invoice] = outsider.invoices()
    assert (invoice["total"], invoice["lines"][0]["kind"]) == ("10.00", "fee")
    shown = outsider.client.get(f"/api/v1/subscriptions/{subscription}").json()
    assert [phase["state"] for phase in shown["phases"]] == ["trial", "active"]


def test_anniversaries_of_the_31st_are_safe_at_the_ends_of_months(outsider: Outsider) -> None:
    outsider.plan(flat("31"))
    outsider.subscribe("2026-01-31T00:00:00Z", anchor="anniversary")
    outsider.night("2026-04-02T00:00:00Z")
    assert [(each["period_start"][:10], each["total"]) for each in outsider.invoices()] == [
        ("2026-01-31", "31.00"),
        ("2026-02-28", "31.00"),
    ]


def test_one_invoice_bills_all_subscriptions_where_they_are_consolidated(
    outsider: Outsider,
) -> None:
    outsider.plan(flat("10"))
    outsider.plan(flat("5"), key="support")
    outsider.client.patch("/api/v1/customers/acme", {"consolidate_invoices": True}, format="json")
    ids = [outsider.subscribe("2026-01-01T00:00:00Z", plan) for plan in ("pro", "support")]
    outsider.night("2026-02-02T00:00:00Z")
    [invoice] = outsider.invoices()
    assert (invoice["total"], invoice["subscription"]) == ("15.00", None)
    assert [line["subscription"] for line in invoice["lines"]] == ids


def test_a_customer_may_have_a_grace_of_its_own(outsider: Outsider) -> None:
    outsider.plan(flat("10"))
    outsider.client.patch("/api/v1/customers/acme", {"grace_hours": 72}, format="json")
    outsider.subscribe("2026-01-01T00:00:00Z")
    outsider.night("2026-02-03T00:00:00Z")
    assert [each["finalize_at"][:10] for each in outsider.invoices()] == ["2026-02-04"]


def test_a_period_over_nothing_has_no_invoice_and_late_usage_finds_it(outsider: Outsider) -> None:
    outsider.meter()
    outsider.plan(CALLS | {"model": "per_unit", "unit_amount": "2"})
    outsider.subscribe("2026-01-01T00:00:00Z")
    outsider.night("2026-02-02T00:00:00Z")
    assert outsider.invoices() == []
    outsider.use("2026-01-10T00:00:00Z", 3)
    outsider.use("2026-02-10T00:00:00Z", 1)
    outsider.night("2026-03-02T00:00:00Z")
    [invoice] = outsider.invoices()
    assert [(line["kind"], line["amount"]) for line in invoice["lines"]] == [
        ("usage", "2.00"),
        ("adjustment", "6.00"),
    ]


def test_late_usage_of_an_ended_subscription_is_billed_at_once(outsider: Outsider) -> None:
    outsider.meter()
    outsider.plan(CALLS | {"model": "per_unit", "unit_amount": "2"})
    subscription = outsider.subscribe("2026-01-01T00:00:00Z")
    outsider.use("2026-01-10T00:00:00Z", 3)
    outsider.post(f"subscriptions/{subscription}/cancel", at="2026-02-01T00:00:00Z")
    outsider.night("2026-02-02T00:00:00Z")
    outsider.use("2026-01-11T00:00:00Z", 1)
    outsider.night("2026-02-03T00:00:00Z")
    outsider.night("2026-02-04T00:00:00Z")
    assert [(each["billing_reason"], each["total"]) for each in outsider.invoices()] == [
        ("cycle", "6.00"),
        ("adjustment", "2.00"),
    ]


def test_a_voided_event_comes_back_in_a_credit_note_where_no_invoice_will_come(
    outsider: Outsider,
) -> None:
    outsider.meter()
    outsider.plan(CALLS | {"model": "per_unit", "unit_amount": "2"})
    subscription = outsider.subscribe("2026-01-01T00:00:00Z")
    outsider.use("2026-01-10T00:00:00Z", 3)
    outsider.post(f"subscriptions/{subscription}/cancel", at="2026-02-01T00:00:00Z")
    outsider.night("2026-02-02T00:00:00Z")
    event = Event.objects.earliest("event_id").event_id
    outsider.post("corrections", customer="acme", event=event, action="void", reason="A test.")
    outsider.night("2026-02-03T00:00:00Z")
    assert outsider.totals() == ["6.00"]
    assert credit_notes() == [("CN-000001", "2.00", "INV-000001")]


def test_a_credit_note_lowers_what_is_still_owed(outsider: Outsider) -> None:
    outsider.plan(flat("31", timing="advance"))
    subscription = outsider.subscribe("2026-01-01T00:00:00Z")
    outsider.night("2026-01-01T02:00:00Z")
    outsider.post(f"subscriptions/{subscription}/cancel", at="2026-01-11T00:00:00Z")
    outsider.night("2026-02-03T00:00:00Z")
    [invoice] = outsider.invoices()
    [(_, credited, _)] = credit_notes()
    due = Decimal(invoice["total"]) - Decimal(credited)
    assert (invoice["total"], Decimal(invoice["amount_due"])) == ("31.00", due)
    assert due < 31


def test_an_invoice_is_billed_by_hand(outsider: Outsider) -> None:
    lines = [{"description": "Training", "unit_amount": "99.95", "quantity": "1.5"}]
    draft = outsider.post("invoices", customer="acme", lines=lines)
    issued = outsider.post("invoices", customer="acme", lines=lines, finalize=True)
    assert (draft["status"], draft["billing_reason"], draft["total"]) == (
        "draft",
        "manual",
        "149.93",
    )
    assert (issued["status"], issued["number"]) == ("open", "INV-000001")
    outsider.night("2026-02-02T00:00:00Z")
    assert outsider.post(f"invoices/{draft['id']}/finalize")["number"] == "INV-000002"


def test_a_line_billed_by_hand_has_the_decimals_it_was_written_with(outsider: Outsider) -> None:
    lines = [{"description": "Training", "unit_amount": "99.95", "quantity": "1.5"}]
    [line] = outsider.post("invoices", customer="acme", lines=lines, finalize=True)["lines"]
    assert (line["quantity"], line["discount"]) == ("1.5", "0.00")
    units, rounding = line["steps"]
    assert (units["quantity"], units["unit_amount"], units["amount"]) == ("1.5", "99.95", "149.925")
    assert rounding["amount"] == "0.005"


def test_no_phase_goes_on_after_the_end(outsider: Outsider) -> None:
    outsider.plan(flat("31"))
    outsider.plan(flat("62"), key="team")
    subscription = outsider.subscribe("2098-01-01T00:00:00Z")
    outsider.change(subscription, "2098-03-01T00:00:00Z", plan="team")
    path = f"subscriptions/{subscription}"
    ended = outsider.post(f"{path}/cancel", at="2098-02-10T00:00:00Z")
    assert [(each["plan"], each["end_at"]) for each in ended["phases"]] == [
        ("pro", "2098-02-10T00:00:00Z")
    ]
    goes_on = outsider.post(f"{path}/changes/{ended['changes'][1]['id']}/withdraw")
    assert [(each["plan"], each["end_at"]) for each in goes_on["phases"]] == [
        ("pro", "2098-03-01T00:00:00Z"),
        ("team", None),
    ]


def test_a_planned_change_is_taken_back(outsider: Outsider) -> None:
    outsider.plan(flat("10"))
    outsider.plan(flat("20"), key="team")
    subscription = outsider.subscribe("2026-01-01T00:00:00Z")
    planned = outsider.change(subscription, "period_end", plan="team")["changes"][-1]
    shown = outsider.post(f"subscriptions/{subscription}/changes/{planned['id']}/withdraw")
    assert [phase["plan"] for phase in shown["phases"]] == ["pro"]
    assert shown["changes"][-1]["withdrawn_at"]


def credit_notes() -> list[tuple[str | None, str, str | None]]:
    notes = CreditNote.objects.order_by("pk").select_related("invoice")
    return [(each.number, str(each.total), each.invoice.number) for each in notes]
