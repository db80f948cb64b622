"""Payments count once, and what contradicts Stripe is left to a person."""

from datetime import datetime
from decimal import Decimal

import pytest
from pytest_django import Settings

from billing import tasks
from billing.gateways.stripe import StripeGateway
from billing.models import Invoice, StripePush
from billing.sandbox import actions
from billing.sandbox.faults import Fault, Kind
from billing.sandbox.server import StripeSandbox
from billing.services.payments import follow_stripe, record_payment
from billing.services.stripe_push import push_invoice
from config.errors import DomainError
from tests.billing.stripe import cases


def test_the_tasks_push_handle_and_retry(
    sandbox: StripeSandbox, invoice: Invoice, at: datetime, settings: Settings
) -> None:
    settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE = cases.KEY, sandbox.url
    sandbox.api.faults.add(Fault(Kind.INVALID, "POST /v1/invoices"))
    assert tasks.push_invoice(invoice.pk) == "attention"
    StripePush.objects.update(status="pending", retry_at=at)
    tasks.retry_stripe()
    invoice_id = StripePush.objects.get(status="completed").stripe_invoice_id
    actions.pay(sandbox.account, invoice_id)
    tasks.handle_stripe_event(cases.received(at, object_id=invoice_id).pk)
    invoice.refresh_from_db()
    assert invoice.status == "paid"


def test_a_payment_is_recorded_once_and_only_where_something_is_owed(
    invoice: Invoice, at: datetime
) -> None:
    def pay(amount: str, external_id: str = "bank-1") -> None:
        record_payment(
            invoice=invoice, source="manual", external_id=external_id, amount=Decimal(amount),
            paid_at=at,
        )  # fmt: skip

    pay("100")
    pay("100")
    invoice.refresh_from_db()
    assert (invoice.status, invoice.amount_paid) == ("open", 100)
    pay("203", "bank-2")
    invoice.refresh_from_db()
    assert (invoice.status, invoice.paid_at) == ("paid", at)
    with pytest.raises(DomainError, match="more than nothing"):
        pay("0", "bank-3")
    void = cases.make_invoice(at=at, status="void")
    with pytest.raises(DomainError, match="no payment can be recorded"):
        record_payment(
            invoice=void, source="manual", external_id="b", amount=Decimal(1), paid_at=at
        )


def test_paid_here_and_open_at_stripe_is_left_to_a_person(
    gateway: StripeGateway, invoice: Invoice, at: datetime
) -> None:
    push_invoice(invoice=invoice, gateway=gateway, at=at)
    record_payment(
        invoice=invoice, source="manual", external_id="bank", amount=invoice.total, paid_at=at
    )
    push = StripePush.objects.get()
    follow_stripe(invoice=invoice, stripe_invoice_id=push.stripe_invoice_id, gateway=gateway, at=at)
    push.refresh_from_db()
    assert push.attention == f"Invoice {invoice} is paid here and open at Stripe."


def test_a_paid_invoice_that_brought_less_is_left_to_a_person(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime
) -> None:
    push_invoice(invoice=invoice, gateway=gateway, at=at)
    push = StripePush.objects.get()
    (record,) = cases.records(sandbox, "invoice")
    record["status"], record["status_transitions"]["paid_at"] = "paid", record["created"]
    follow_stripe(invoice=invoice, stripe_invoice_id=push.stripe_invoice_id, gateway=gateway, at=at)
    push.refresh_from_db()
    assert "having received 0 of 303.00 USD" in push.attention
