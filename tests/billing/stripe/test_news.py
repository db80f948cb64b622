"""Every kind of news from Stripe has an effect that people see, whenever and however often it comes."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pytest_django import Settings

from billing.gateways.stripe import StripeGateway
from billing.models import (
    Email,
    Invoice,
    PaymentReversal,
    StripeCustomer,
    StripeEvent,
    StripePush,
)
from billing.sandbox import actions, control, reversals
from billing.sandbox.faults import Fault, Kind
from billing.sandbox.lifecycle import AUTHENTICATION, DECLINED, pay_invoice
from billing.sandbox.refusals import RefusalError
from billing.sandbox.server import StripeSandbox
from billing.services.stripe_events import handle_stripe_event, handle_waiting_events
from billing.services.stripe_push import push_invoice
from billing.services.stripe_queue import PushOutcome
from tests.billing.stripe import cases

type Hear = Callable[[], None]


@pytest.fixture
def push(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime
) -> StripePush:
    """The push of an open invoice; what Stripe told until now is forgotten."""
    push_invoice(invoice=invoice, gateway=gateway, at=at)
    sandbox.account.store.table("event").clear()
    return StripePush.objects.get()


@pytest.fixture
def hear(sandbox: StripeSandbox, gateway: StripeGateway, at: datetime) -> Hear:
    """Return how everything that Stripe has to tell is handled, the newest first and twice."""

    def all_of_it() -> None:
        for told in 2 * list(reversed(cases.records(sandbox, "event"))):
            about = told["data"]["object"]
            event, _ = StripeEvent.objects.get_or_create(
                event_id=told["id"],
                defaults={
                    "livemode": False, "type": told["type"], "object_id": about["id"],
                    "created_at": at, "payload": told,
                },
            )  # fmt: skip
            handle_stripe_event(event=event, gateway=gateway, at=at)

    return all_of_it


def try_card(sandbox: StripeSandbox, push: StripePush, card: str) -> None:
    with pytest.raises(RefusalError):
        pay_invoice(sandbox.account, {"payment_method": card}, push.stripe_invoice_id)


def test_a_failed_payment_is_told_until_the_invoice_is_paid(
    sandbox: StripeSandbox, push: StripePush, hear: Hear
) -> None:
    try_card(sandbox, push, DECLINED)
    hear()
    push.refresh_from_db()
    assert push.collection_problem == (
        "A payment failed, attempt 1. Stripe does not try again by itself."
    )
    actions.pay(sandbox.account, push.stripe_invoice_id)
    hear()
    push.refresh_from_db()
    assert (push.collection_problem, push.stripe_status) == ("", "paid")


def test_a_bank_that_wants_a_confirmation_is_told(
    sandbox: StripeSandbox, push: StripePush, hear: Hear
) -> None:
    try_card(sandbox, push, AUTHENTICATION)
    hear()
    push.refresh_from_db()
    assert "asks for a confirmation" in push.collection_problem


def test_a_refund_made_at_stripe_is_recorded_once_and_asks_for_a_credit_note(
    sandbox: StripeSandbox, push: StripePush, hear: Hear
) -> None:
    actions.pay(sandbox.account, push.stripe_invoice_id)
    reversals.refund(sandbox.account, push.stripe_invoice_id, 1000)
    hear()
    push.refresh_from_db()
    reversal = PaymentReversal.objects.get()
    assert (reversal.kind, reversal.amount, reversal.status) == (
        "refund", Decimal("10.00"), "succeeded",
    )  # fmt: skip
    assert "10.00 USD were refunded at Stripe" in push.attention
    assert push.invoice.payments.get().amount == push.invoice.total


def test_a_dispute_is_told_while_it_is_open_and_when_it_is_lost(
    sandbox: StripeSandbox, push: StripePush, hear: Hear
) -> None:
    actions.pay(sandbox.account, push.stripe_invoice_id)
    reversals.dispute(sandbox.account, push.stripe_invoice_id)
    hear()
    push.refresh_from_db()
    assert "A dispute over 303.00 USD is open" in push.attention
    reversals.lose_dispute(sandbox.account, PaymentReversal.objects.get().external_id)
    hear()
    push.refresh_from_db()
    assert "A dispute over 303.00 USD was lost" in push.attention


def test_a_credit_note_made_at_stripe_is_told(
    sandbox: StripeSandbox, gateway: StripeGateway, push: StripePush, hear: Hear
) -> None:
    item: Any = {
        "type": "custom_line_item",
        "description": "By hand",
        "quantity": 1,
        "unit_amount": 500,
    }
    gateway.api.credit_notes.create(
        {"invoice": push.stripe_invoice_id, "lines": [item]},
        {"idempotency_key": "tests:credit-by-hand"},
    )
    hear()
    push.refresh_from_db()
    assert push.attention == "Credit notes at Stripe come to 5.00 USD, those from here to 0."


def test_a_customer_changed_at_stripe_is_told_and_becomes_ours_again(
    sandbox: StripeSandbox, gateway: StripeGateway, push: StripePush, hear: Hear, at: datetime
) -> None:
    row = StripeCustomer.objects.get()
    gateway.api.customers.update(row.stripe_id, {"name": "X"}, {"idempotency_key": "tests:name"})
    hear()
    row.refresh_from_db()
    assert row.attention == "Another name at Stripe; ours goes there with the next push."
    second = cases.make_invoice(customer=push.invoice.customer, at=at)
    push_invoice(invoice=second, gateway=gateway, at=at)
    assert cases.records(sandbox, "customer")[0]["name"] == push.invoice.customer.name
    hear()
    row.refresh_from_db()
    assert row.attention == ""


def test_a_customer_deleted_at_stripe_is_told(
    gateway: StripeGateway, push: StripePush, hear: Hear, at: datetime
) -> None:
    row = StripeCustomer.objects.get()
    gateway.api.customers.delete(row.stripe_id)
    hear()
    row.refresh_from_db()
    assert (row.deleted_at, row.attention) == (
        at, "Deleted at Stripe. No invoice can be pushed for it any more.",
    )  # fmt: skip


def test_a_new_card_is_tried_on_what_the_old_one_did_not_pay(
    sandbox: StripeSandbox, gateway: StripeGateway, push: StripePush, hear: Hear, at: datetime
) -> None:
    stripe_id = StripeCustomer.objects.get().stripe_id
    actions.use_card(sandbox.account, stripe_id, DECLINED)
    StripeCustomer.objects.update(collection_method="charge_automatically")
    second = cases.make_invoice(customer=push.invoice.customer, at=at)
    push_invoice(invoice=second, gateway=gateway, at=at)
    actions.use_card(sandbox.account, stripe_id, "pm_card_visa")
    hear()
    assert second.stripe_operations.get().kind == "pay"
    assert not push.invoice.stripe_operations.exists()


def test_a_draft_that_stripe_could_not_finalize_needs_attention(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, hear: Hear, at: datetime
) -> None:
    sandbox.api.faults.add(Fault(Kind.DROP_BEFORE, "POST /v1/invoices/{id}/finalize"))
    push_invoice(invoice=invoice, gateway=gateway, at=at)
    push = StripePush.objects.get()
    actions.fail_finalization(sandbox.account, push.stripe_invoice_id)
    hear()
    push.refresh_from_db()
    assert (push.status, push.attention) == (
        "attention",
        "Stripe could not finalize the invoice: The customer's location isn't recognized.",
    )


def test_events_wait_without_a_call_while_the_key_is_refused(
    sandbox: StripeSandbox, gateway: StripeGateway, push: StripePush, at: datetime
) -> None:
    event = cases.received(at, object_id=push.stripe_invoice_id)
    sandbox.api.faults.clear()
    sandbox.api.faults.add(Fault(Kind.UNAUTHORIZED))
    handle_stripe_event(event=event, gateway=gateway, at=at)
    handle_waiting_events(gateway=gateway, at=at + timedelta(minutes=2))
    assert sandbox.api.faults.requests == 1
    assert (
        push_invoice(invoice=cases.make_invoice(at=at), gateway=gateway, at=at)
        == PushOutcome.HALTED
    )
    handle_waiting_events(gateway=gateway, at=at + timedelta(hours=2))
    event.refresh_from_db()
    assert event.outcome == "Applied: the invoice is open at Stripe."
    assert control.state(sandbox.api)["requests"] == 2


def test_a_failed_payment_is_told_to_the_customer_once_for_each_attempt(
    sandbox: StripeSandbox, push: StripePush, hear: Hear, settings: Settings
) -> None:
    settings.CUSTOMER_EMAILS = ("payment_failed",)
    for _ in range(2):
        try_card(sandbox, push, DECLINED)
        hear()
        hear()
    found = Email.objects.order_by("pk")
    assert [(each.kind, each.occasion) for each in found] == [
        ("payment_failed", "1"),
        ("payment_failed", "2"),
    ]
