"""What staff do to rows: each action asks first, calls its service, and tells what happened."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_q.models import Failure, OrmQ, Schedule
from pytest_django import Settings

from billing.models import Invoice, Plan, StripeEvent, StripePush, Subscription
from billing.services.coupons import create_coupon
from config.admin import change_url
from customers.models import ApiKey, Customer
from tests.admin import world
from tests.billing.plans import publish_plan
from tests.metering.ingest.reports import event, report

SEATS = {"key": "seats", "model": "per_unit", "unit_amount": "7"}


def button(row: Model, action: str) -> str:
    options = row._meta
    return reverse(f"admin:{options.app_label}_{options.model_name}_{action}", args=[row.pk])


def press(desk: Client, url: str, **values: Any) -> str:
    """Submit an action's dialog and return the messages on the page that follows."""
    response = desk.post(url, values, follow=True)
    assert response.status_code == 200
    return " ".join(str(message) for message in response.context["messages"])


def queued() -> list[tuple[str, tuple[Any, ...]]]:
    return [(task.func(), task.args()) for task in OrmQ.objects.all()]


@pytest.fixture
def shop(standing_shop: Customer, db: None) -> Customer:
    return Customer.objects.get(pk=standing_shop.pk)


@pytest.fixture
def draft(shop: Customer) -> Invoice:
    return Invoice.objects.get(customer=shop, number=None)


@pytest.fixture
def issued(shop: Customer) -> Invoice:
    return Invoice.objects.get(customer=shop, number__isnull=False)


def test_a_button_only_asks(desk: Client, draft: Invoice) -> None:
    response = desk.get(button(draft, "finalize"))

    assert "From then on it cannot be changed" in response.content.decode()
    draft.refresh_from_db()
    assert draft.is_draft


def test_a_button_asks_in_a_dialog_when_a_script_is_there(desk: Client, draft: Invoice) -> None:
    url = button(draft, "finalize")

    asked = desk.get(url, headers={"HX-Request": "true"}).content.decode()
    done = desk.post(url, headers={"HX-Request": "true"})

    assert '<div id="dialog">' in asked
    assert "<html" not in asked
    assert done["HX-Redirect"] == reverse("admin:billing_invoice_change", args=[draft.pk])


def test_finalize_issues_a_draft_and_notes_who_did_it(desk: Client, draft: Invoice) -> None:
    message = press(desk, button(draft, "finalize"))

    draft.refresh_from_db()
    assert draft.status == Invoice.Status.OPEN
    assert message == f"Invoice {draft.number} over $12.24 is issued."
    entry = LogEntry.objects.get(object_id=str(draft.pk), user__email="staff@example.com")
    assert "Finalize" in entry.get_change_message()


def test_what_a_service_refuses_is_told(desk: Client, issued: Invoice) -> None:
    message = press(desk, button(issued, "finalize"))

    assert message == f"Invoice {issued.number} is already open."


def test_recompute_takes_late_usage_in(desk: Client, draft: Invoice) -> None:
    late = event("late", customer="acme", timestamp=world.MARCH.replace(day=25).isoformat())
    report([late], at=world.APRIL)

    message = press(desk, button(draft, "recompute"))

    assert message == "The draft is now over $12.36."


def test_void_says_that_nothing_is_owed(desk: Client, draft: Invoice) -> None:
    press(desk, button(draft, "finalize"))

    press(desk, button(draft, "void"))

    draft.refresh_from_db()
    assert draft.status == Invoice.Status.VOID


def test_money_that_came_otherwise_makes_an_invoice_paid(desk: Client, draft: Invoice) -> None:
    press(desk, button(draft, "finalize"))
    received = {"reference": "Transfer 9", "paid_at_0": "2026-04-02", "paid_at_1": "12:00"}

    message = press(desk, button(draft, "paid"), **received)

    draft.refresh_from_db()
    assert message == f"Invoice {draft} is paid."
    assert (draft.status, draft.payments.get().amount) == ("paid", draft.total)


def test_an_invoice_with_payments_is_not_voided(desk: Client, issued: Invoice) -> None:
    message = press(desk, button(issued, "void"))

    issued.refresh_from_db()
    assert "refund that first" in message
    assert issued.status == Invoice.Status.OPEN


@pytest.mark.parametrize(
    ("status", "shown", "hidden"),
    [
        ("draft", {"recompute", "finalize"}, {"push", "void"}),
        ("open", {"push", "void"}, {"finalize"}),
    ],
)
def test_an_invoice_offers_what_suits_it(
    desk: Client, shop: Customer, status: str, shown: set[str], hidden: set[str]
) -> None:
    invoice = Invoice.objects.get(customer=shop, status=status)

    page = desk.get(reverse("admin:billing_invoice_change", args=[invoice.pk])).content.decode()

    assert all(button(invoice, action) in page for action in shown)
    assert not any(button(invoice, action) in page for action in hidden)


def test_push_is_queued_for_a_worker(
    desk: Client, issued: Invoice, settings: Settings, django_capture_on_commit_callbacks: Any
) -> None:
    settings.STRIPE_SECRET_KEY = "sk_test_1"

    with django_capture_on_commit_callbacks(execute=True):
        message = press(desk, button(issued, "push"))

    assert message == f"The push of {issued.number} is queued."
    assert ("billing.tasks.push_invoice", (issued.pk,)) in queued()


def test_push_without_a_stripe_key_says_so(
    desk: Client, issued: Invoice, settings: Settings
) -> None:
    settings.STRIPE_SECRET_KEY = ""

    assert "STRIPE_SECRET_KEY is not set" in press(desk, button(issued, "push"))


def test_a_held_push_and_an_unhandled_message_are_taken_up_again(
    desk: Client, shop: Customer, settings: Settings, django_capture_on_commit_callbacks: Any
) -> None:
    settings.STRIPE_SECRET_KEY = "sk_test_1"
    push, message = StripePush.objects.get(), StripeEvent.objects.get()

    with django_capture_on_commit_callbacks(execute=True):
        press(desk, button(push, "push"))
        press(desk, button(message, "handle"))

    assert ("billing.tasks.push_invoice", (push.invoice_id,)) in queued()
    assert ("billing.tasks.handle_stripe_event", (message.pk,)) in queued()


@pytest.mark.parametrize(
    ("action", "task"),
    [
        ("admin:billing_billingrun_run_now", "billing.tasks.nightly"),
        ("admin:metering_ingestbatch_fold_now", "metering.tasks.aggregate"),
    ],
)
def test_work_on_everything_is_queued(
    desk: Client, action: str, task: str, django_capture_on_commit_callbacks: Any
) -> None:
    before = queued()

    with django_capture_on_commit_callbacks(execute=True):
        press(desk, reverse(action))

    assert queued() == [*before, (task, ())]


def test_a_subscription_is_cancelled_with_its_period(desk: Client, shop: Customer) -> None:
    subscription = Subscription.objects.get(customer=shop)

    press(desk, button(subscription, "cancel"), when="period_end")

    subscription.refresh_from_db()
    next_month = (timezone.now().replace(day=1) + timedelta(days=32)).replace(day=1)
    assert subscription.end_at is not None
    assert subscription.end_at.date() == next_month.date()


def test_a_time_that_is_asked_for_is_missed_in_the_dialog(desk: Client, shop: Customer) -> None:
    subscription = Subscription.objects.get(customer=shop)

    response = desk.post(button(subscription, "cancel"), {"when": "at"})

    assert "Say when." in response.content.decode()


def test_a_refusal_of_a_value_stands_beside_its_field(desk: Client, shop: Customer) -> None:
    subscription = Subscription.objects.get(customer=shop)
    values = {"when": "at", "at_0": "2020-01-01", "at_1": "00:00:00"}

    response = desk.post(button(subscription, "cancel"), values)

    assert "name that instant or a later one" in response.context["form"].errors["at"][0]


def test_a_subscription_goes_through_all_that_can_happen_to_it(
    desk: Client, shop: Customer
) -> None:
    subscription = Subscription.objects.get(customer=shop)
    publish_plan(SEATS, key="team")
    later = {"when": "at", "at_0": "2099-01-01", "at_1": "00:00:00"}
    plan = Plan.objects.get(key="team")
    refused = desk.post(button(subscription, "change_plan"), {"plan": plan.pk, "when": "now"})
    assert "charges for units of seats" in refused.content.decode()
    press(desk, button(subscription, "change_plan"), plan=plan.pk, quantities="seats = 5", **later)
    planned = subscription.changes.latest("pk")
    press(desk, button(subscription, "withdraw"), change=planned.pk)
    press(desk, button(subscription, "change_plan"), plan=plan.pk, quantities="seats=5", when="now")
    press(desk, button(subscription, "change_quantities"), quantities="seats = 7", when="now")
    press(desk, button(subscription, "pause"), when="period_end")
    page = desk.get(change_url(subscription)).content.decode()
    assert [each.quantities.get("seats") for each in subscription.phases.all()] == [
        None,
        "5",
        "7",
        "7",
    ]
    assert subscription.phases.latest("start_at").state == "paused"
    assert "Changed: Team v1, seats 5" in page
    assert "Changed: seats 7" in page


def test_coupons_come_and_go_in_the_admin(desk: Client, shop: Customer) -> None:
    subscription = Subscription.objects.get(customer=shop)
    coupon = create_coupon(key="more", name="More", percent_off=5)
    press(desk, button(subscription, "redeem"), coupon=coupon.pk)
    assert coupon in subscription.coupons
    press(desk, button(subscription, "remove"), coupon=coupon.pk)
    subscription = Subscription.objects.get(pk=subscription.pk)
    assert coupon not in subscription.coupons


def test_a_revoked_key_stays_revoked(desk: Client, shop: Customer) -> None:
    api_key = ApiKey.objects.get(customer=shop)

    press(desk, button(api_key, "revoke"))
    again = press(desk, button(api_key, "revoke"))

    api_key.refresh_from_db()
    assert api_key.revoked_at is not None
    assert again == "This key is already revoked."


def test_a_failed_task_runs_again_with_its_arguments(desk: Client, shop: Customer) -> None:
    failure = Failure.objects.get()
    OrmQ.objects.all().delete()

    press(desk, button(failure, "run_again"))

    assert queued() == [("billing.tasks.nightly", (1,))]


def test_a_schedule_runs_now(desk: Client, shop: Customer) -> None:
    schedule = Schedule.objects.get(func="billing.tasks.nightly")
    OrmQ.objects.all().delete()

    press(desk, button(schedule, "run_now"))

    assert queued() == [("billing.tasks.nightly", ())]


def test_an_action_on_nothing_is_not_found(desk: Client) -> None:
    assert desk.post(reverse("admin:billing_invoice_void", args=[0])).status_code == 404
