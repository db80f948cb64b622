"""Amounts that Stripe collects none of: too little, which it would owe itself, and too much."""

from datetime import datetime
from decimal import Decimal

import pytest
from pytest_django import Settings

from billing.gateways.stripe import StripeGateway
from billing.models import Invoice, StripeCustomer, StripePush
from billing.sandbox import control
from billing.sandbox.server import StripeSandbox
from billing.selectors.stripe import invoices_to_push
from billing.services.invoicing import mark_paid, void_invoice
from billing.services.stripe_operations import run_operation
from billing.services.stripe_push import push_due_invoices, push_invoice
from billing.services.stripe_queue import PushOutcome
from billing.services.stripe_reconcile import reconcile_stripe
from tests.billing.stripe import cases

LATE = datetime.fromisoformat("2027-02-01T00:00:00Z")


def test_what_stripe_would_not_collect_stays_open_here_and_is_never_sent(
    sandbox: StripeSandbox, gateway: StripeGateway, db: None, at: datetime
) -> None:
    invoice = cases.make_invoice(["0.30", "0.19"], at=at)
    report = push_due_invoices(gateway=gateway, at=at)
    assert report.counts == {PushOutcome.SKIPPED: 1}
    push = StripePush.objects.get()
    assert (push.status, push.last_error) == (
        "below_minimum",
        "Stripe collects no less than 0.50 USD.",
    )
    invoice.refresh_from_db()
    assert (invoice.status, sandbox.api.faults.requests) == ("open", 0)
    assert not invoices_to_push()
    assert reconcile_stripe(gateway=gateway, at=LATE).is_clean
    assert void_invoice(invoice=invoice, at=at).status == "void"


@pytest.mark.parametrize(
    ("currency", "amount", "status"),
    [
        ("USD", "0.50", "completed"),
        ("GBP", "0.29", "below_minimum"),
        ("JPY", "49", "below_minimum"),
        ("JPY", "50", "completed"),
        ("DKK", "3.99", "below_minimum"),
        ("USD", "999999.99", "completed"),
        ("USD", "1000000.00", "attention"),
        ("JPY", "9999999999", "completed"),
    ],
)
def test_the_least_and_the_most_are_those_of_the_currency(
    sandbox: StripeSandbox, gateway: StripeGateway, db: None, at: datetime, settings: Settings,
    currency: str, amount: str, status: str,
) -> None:  # fmt: skip
    # Danish crowns are paid out as euros here, so that less than Stripe's 2.50 does not do.
    settings.STRIPE_MINIMUM_AMOUNTS = {"DKK": Decimal(4)}
    invoice = cases.make_invoice([amount], at=at, currency=currency)
    push_invoice(invoice=invoice, gateway=gateway, at=at)
    assert StripePush.objects.get().status == status
    assert bool(cases.records(sandbox, "invoice")) == (status == "completed")


def test_too_large_an_invoice_is_left_to_a_person_with_what_to_do(
    gateway: StripeGateway, db: None, at: datetime
) -> None:
    invoice = cases.make_invoice(["1000000.00"], at=at)
    assert push_invoice(invoice=invoice, gateway=gateway, at=at) == PushOutcome.ATTENTION
    attention = StripePush.objects.get().attention
    assert (
        "at most 999,999.99 USD at once, and this is over 1,000,000.00. Have it paid" in attention
    )


def test_what_stripe_moves_to_the_balance_after_all_is_not_paid_here(
    sandbox: StripeSandbox, gateway: StripeGateway, db: None, at: datetime, settings: Settings
) -> None:
    # Nobody has said here that there is a least amount of rands, and Stripe has one.
    invoice = cases.make_invoice(["5.00"], at=at, currency="ZAR")
    assert push_invoice(invoice=invoice, gateway=gateway, at=at) == PushOutcome.COMPLETED
    (found,) = cases.records(sandbox, "invoice")
    assert (found["status"], found["ending_balance"], found["amount_paid"]) == ("paid", 500, 0)
    report = reconcile_stripe(gateway=gateway, at=at)
    invoice.refresh_from_db()
    push = StripePush.objects.get()
    assert (invoice.status, invoice.amount_due) == ("open", Decimal(5))
    assert [each["kind"] for each in report.differences] == ["status"]
    assert "too little to collect" in push.attention
    assert "STRIPE_MINIMUM_AMOUNTS" in push.attention
    settings.STRIPE_SECRET_KEY = cases.KEY
    mark_paid(invoice=invoice, reference="Cash", paid_at=at, at=at)
    run_operation(operation=invoice.stripe_operations.get(), gateway=gateway, at=at)
    invoice.refresh_from_db()
    assert (invoice.status, invoice.payments.get().amount) == ("paid", Decimal(5))
    assert reconcile_stripe(gateway=gateway, at=at).is_clean


def test_a_push_that_had_begun_before_the_least_was_known_ends_once_its_draft_is_deleted(
    sandbox: StripeSandbox, gateway: StripeGateway, db: None, at: datetime, settings: Settings
) -> None:
    invoice = cases.make_invoice(["5.00"], at=at, currency="ZAR")
    fault = {"kind": "unauthorized", "operation": "POST /v1/invoices/{id}/add_lines"}
    control.handle(sandbox.api, "POST", "/_sandbox/faults", fault)
    push_invoice(invoice=invoice, gateway=gateway, at=at)
    settings.STRIPE_MINIMUM_AMOUNTS = {"ZAR": Decimal(9)}
    gateway = cases.gateway_to(sandbox, secret_key="sk_test_new")
    assert push_invoice(invoice=invoice, gateway=gateway, at=at) == PushOutcome.ATTENTION
    push = StripePush.objects.get()
    assert push.attention.endswith(f"Delete draft {push.stripe_invoice_id} at Stripe.")
    gateway.delete_draft(push.stripe_invoice_id)
    assert push_invoice(invoice=invoice, gateway=gateway, at=at) == PushOutcome.SKIPPED
    push.refresh_from_db()
    assert (push.status, push.stripe_invoice_id) == ("below_minimum", "")
    assert StripeCustomer.objects.get().stripe_id
    assert Invoice.objects.get().status == "open"
