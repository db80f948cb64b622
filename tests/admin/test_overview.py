"""The first page: its figures are right, and it says what is not."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django_q.models import Task

from billing.admin.tiles import Tile
from billing.models import BillingRun, Invoice, StripePush, StripeReconciliation, Subscription
from customers.models import Customer
from metering.models import FoldingRound
from tests.admin import world
from tests.admin.test_registry import check_budget
from tests.factories import make_customer, make_plan, make_subscription
from tests.metering.ingest.reports import event, report

INDEX = reverse("admin:index")


@pytest.fixture
def now() -> datetime:
    return timezone.now()


@pytest.fixture
def subscription(acme: Customer) -> Subscription:
    version = make_plan({"key": "base", "model": "flat", "amount": "10"})
    return make_subscription(acme, version, datetime(2026, 1, 1, tzinfo=UTC))


def make_invoice(subscription: Subscription, number: str, at: datetime, **fields: Any) -> Invoice:
    """Make an invoice of the month before `at`; one without a number is a draft."""
    return Invoice.objects.create(
        customer=subscription.customer,
        subscription=subscription,
        number=number or None,
        status=fields.pop("status", "open" if number else "draft"),
        period_start=at - timedelta(days=30, seconds=Invoice.objects.count()),
        period_end=at,
        finalize_at=fields.pop("finalize_at", at + timedelta(hours=24)),
        issued_at=at if number else None,
        due_at=at + fields.pop("due", timedelta(days=14)),
        **{"currency": "USD", "total": Decimal(10)} | fields,
    )


def overview(desk: Client) -> dict[str, Any]:
    found: dict[str, Any] = desk.get(INDEX).context["overview"]
    return found


def tile(desk: Client, title: str) -> Tile:
    shown = overview(desk)
    [found] = [tile for tile in shown["usage"] + shown["billing"] if tile.title == title]
    return found  # type: ignore[no-any-return]


def alarms(desk: Client) -> list[str]:
    return [alarm.text for alarm in overview(desk)["alarms"]]


def good_run(now: datetime, **fields: Any) -> BillingRun:
    return BillingRun.objects.create(
        at=now, finished_at=now, **{"status": BillingRun.Status.COMPLETED} | fields
    )


def test_all_is_right_when_the_night_went_well(desk: Client, now: datetime) -> None:
    good_run(now)

    assert alarms(desk) == []
    assert "Everything is all right" in desk.get(INDEX).content.decode()


def test_events_are_counted_by_hour_and_day(desk: Client, acme: Customer, now: datetime) -> None:
    report([event("a"), event("b"), event("bad", timestamp="x")], at=now)
    report([event("c")], at=now - timedelta(hours=3))
    report([event("d")], at=now - timedelta(hours=30))

    assert tile(desk, "Events in the last 24 hours").figures == ("3",)
    assert tile(desk, "Refused in the last 24 hours").figures == ("1",)
    hours = [bar.text for bar in overview(desk)["hours"]]
    assert (len(hours), hours[-1], hours[-4]) == (24, "2", "1")


def test_money_is_told_by_currency(desk: Client, subscription: Subscription, now: datetime) -> None:
    make_invoice(subscription, "A-1", now)
    make_invoice(subscription, "A-2", now, amount_paid=Decimal(4))
    make_invoice(subscription, "A-3", now, currency="JPY", total=Decimal(500))
    make_invoice(subscription, "A-4", now, status="void")
    make_invoice(subscription, "A-5", now - timedelta(days=62), status="paid", amount_paid=10)

    assert tile(desk, "Open invoices").figures == ("¥500", "$16.00")
    assert tile(desk, "Open invoices").note == "3 invoices, 0 past due"
    assert tile(desk, "Invoiced this month").figures == ("¥500", "$20.00")


def test_a_comparison_cut_off_hides_nothing_of_the_one_before(desk: Client, now: datetime) -> None:
    good_run(now)
    earlier = now - timedelta(days=1)
    differences = [{"kind": "missing", "invoice": "A-1", "message": "It is gone."}]
    StripeReconciliation.objects.create(
        at=earlier, started_at=earlier, finished_at=earlier, differences=differences
    )
    StripeReconciliation.objects.create(at=now, finished_at=now, halted="Stripe did not answer.")

    assert alarms(desk) == [
        "1 difference from Stripe found when last compared.",
        "The last comparison with Stripe was not carried through: Stripe did not answer.",
    ]


def test_what_is_late_is_told(desk: Client, subscription: Subscription, now: datetime) -> None:
    good_run(now)
    make_invoice(subscription, "A-1", now - timedelta(days=20))
    make_invoice(subscription, "", now)
    make_invoice(subscription, "", now, finalize_at=now - timedelta(hours=1))

    assert alarms(desk) == [
        "1 invoice past due: $10.00.",
        "1 draft past the grace and not issued yet.",
    ]
    assert tile(desk, "Drafts").note == "1 in their grace, 1 past it"


@pytest.mark.parametrize(
    ("run", "text"),
    [
        ({"status": BillingRun.Status.FAILED}, "The last nightly run was cut off."),
        (
            {"status": "incomplete", "failures": [{"customer": "acme", "message": "No."}]},
            "The last nightly run had 1 failure.",
        ),
        (
            {"pushes_halted": "The key is refused."},
            "The last nightly run stopped pushing to Stripe: The key is refused.",
        ),
    ],
)
def test_a_bad_night_is_told(desk: Client, now: datetime, run: dict[str, Any], text: str) -> None:
    made = good_run(now, **run)

    assert alarms(desk) == [text]
    assert overview(desk)["alarms"][0].address.endswith(f"/billingrun/{made.pk}/change/")


def test_a_night_without_a_run_is_told(desk: Client, now: datetime) -> None:
    assert alarms(desk) == ["No nightly run has been made yet."]
    good_run(now, started_at=now - timedelta(days=2))

    assert alarms(desk) == ["The last nightly run was 2\xa0days ago."]


def test_trouble_with_stripe_and_tasks_is_told(
    desk: Client, subscription: Subscription, now: datetime
) -> None:
    good_run(now)
    push = StripePush.objects.create(
        invoice=make_invoice(subscription, "A-1", now), attention="The totals differ."
    )
    Task.objects.create(
        id="1", name="t", func="billing.tasks.nightly", started=now, stopped=now, success=False
    )

    assert alarms(desk) == [
        "1 push to Stripe held for a person.",
        "1 background task failed in the last 24 hours.",
    ]
    listed = desk.get(overview(desk)["alarms"][0].address)
    assert list(listed.context["cl"].result_list) == [push]


def test_events_that_wait_to_be_folded_are_told(
    desk: Client, acme: Customer, now: datetime
) -> None:
    report([event("a")], at=now - timedelta(hours=3))
    FoldingRound.objects.create(began_at=now - timedelta(hours=2), events=1)
    good_run(now)
    assert alarms(desk) == []
    report([event("b")], at=now - timedelta(hours=1))
    assert alarms(desk) == ["Events have come in that are not folded yet."]
    FoldingRound.objects.update(began_at=now - timedelta(minutes=3))

    assert alarms(desk) == []
    assert tile(desk, "Roll-ups").figures == ("3\xa0minutes ago",)


def test_every_figure_leads_to_a_page_that_opens(desk: Client, shop: Customer) -> None:
    shown = overview(desk)

    for item in [*shown["usage"], *shown["billing"], *shown["alarms"]]:
        assert desk.get(item.address).status_code == 200, item.address


def test_the_overview_takes_a_constant_number_of_queries(desk: Client, shop: Customer) -> None:
    desk.get(INDEX)
    with CaptureQueriesContext(connection) as before:
        desk.get(INDEX)
    world.build("globex")
    make_customer("other")

    with CaptureQueriesContext(connection) as after:
        desk.get(INDEX)

    assert len(after) == len(before)
    check_budget("index", len(after))


def test_a_run_under_way_shows_how_far_it_is_and_loads_itself_anew(
    desk: Client, now: datetime
) -> None:
    run = BillingRun.objects.create(
        at=now, customers=65, customers_total=100, durations={"credits": "1.5", "usage": "2.5"}
    )
    address = f"/admin/billing/billingrun/{run.pk}/change/"
    page = desk.get(address)
    words = page.content.decode()
    assert page["Refresh"] == "5"
    assert "65 of 100 customers (65 %)" in words
    assert words.index("usage: 2.5") < words.index("credits: 1.5")
    BillingRun.objects.update(status=BillingRun.Status.FAILED)
    assert "Refresh" not in desk.get(address)


def test_a_runs_page_leads_to_whom_it_failed_for(
    desk: Client, acme: Customer, now: datetime
) -> None:
    failures = [{"customer": "acme", "message": "No <room>."}, {"step": "usage", "message": "No."}]
    run = good_run(now, failures=failures, events_folded=1234567, durations={"usage": "4523.1"})
    page = desk.get(f"/admin/billing/billingrun/{run.pk}/change/").content.decode()
    link = f'<a href="/admin/customers/customer/{acme.pk}/change/" class="text-link">acme</a>'
    assert f"Customer {link}: No &lt;room&gt;." in page
    assert all(words in page for words in ("Step usage: No.", "1,234,567", "usage: 1 h 15 min"))
