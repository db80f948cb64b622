"""Credit notes of ours at Stripe: lowered, refunded there, or settled outside."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from pytest_django import Settings

from billing.gateways.stripe import StripeGateway
from billing.models import CreditNote, Invoice, StripePush
from billing.sandbox import actions
from billing.sandbox.server import StripeSandbox
from billing.services.crediting import CreditWish, create_credit_note
from billing.services.payments import follow_stripe
from billing.services.stripe_operations import retry_operations
from billing.services.stripe_push import push_due_invoices, push_invoice
from tests.billing.stripe import cases

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def configured(settings: Settings) -> None:
    settings.STRIPE_SECRET_KEY = cases.KEY


@pytest.fixture
def pushed(gateway: StripeGateway, invoice: Invoice, at: datetime) -> Invoice:
    push_invoice(invoice=invoice, gateway=gateway, at=at)
    return invoice


def send(gateway: StripeGateway, at: datetime) -> None:
    """Bring to Stripe what was asked for, as the schedule does."""
    for minutes in (0, 20):
        retry_operations(gateway=gateway, at=at + timedelta(minutes=minutes))


def credit(
    invoice: Invoice,
    gateway: StripeGateway,
    at: datetime,
    *,
    amount: str = "303.00",
    settlement: str = "credit",
) -> CreditNote:
    """Issue a credit note and bring it to Stripe."""
    wish = CreditWish(invoice, amount=Decimal(amount), settlement=settlement)
    note = create_credit_note(wish=wish, at=at)
    send(gateway, at)
    note.refresh_from_db()
    invoice.refresh_from_db()
    return note


def pay(sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime) -> None:
    stripe_id = StripePush.objects.get().stripe_invoice_id
    actions.pay(sandbox.account, stripe_id)
    follow_stripe(invoice=invoice, stripe_invoice_id=stripe_id, gateway=gateway, at=at)
    invoice.refresh_from_db()


def attention() -> str:
    return StripePush.objects.get().attention


def test_an_open_invoice_credited_in_full_is_paid_on_both_sides(
    sandbox: StripeSandbox, gateway: StripeGateway, pushed: Invoice, at: datetime
) -> None:
    note = create_credit_note(wish=CreditWish(pushed), at=at)
    stripe_id = StripePush.objects.get().stripe_invoice_id
    follow_stripe(invoice=pushed, stripe_invoice_id=stripe_id, gateway=gateway, at=at)
    assert attention() == ""
    send(gateway, at)
    (found,) = cases.records(sandbox, "invoice")
    assert (note.taken_off_due, found["status"], attention()) == (pushed.total, "paid", "")


def test_a_refund_goes_through_stripe_once(
    sandbox: StripeSandbox, gateway: StripeGateway, pushed: Invoice, at: datetime
) -> None:
    pay(sandbox, gateway, pushed, at)
    note = credit(pushed, gateway, at, amount="60.00", settlement="refund")
    (refund,) = cases.records(sandbox, "refund")
    (there,) = cases.records(sandbox, "credit_note")
    assert (refund["amount"], there["out_of_band_amount"]) == (6000, None)
    assert (note.refund_through, note.refunded_at is not None) == ("stripe", True)
    send(gateway, at)
    assert len(cases.records(sandbox, "refund")) == 1
    assert attention() == ""


@pytest.mark.parametrize("settlement", ["credit", "out_of_band"])
def test_what_is_settled_outside_moves_no_money_at_stripe(
    sandbox: StripeSandbox, gateway: StripeGateway, pushed: Invoice, at: datetime, settlement: str
) -> None:
    pay(sandbox, gateway, pushed, at)
    credit(pushed, gateway, at, settlement=settlement)
    (there,) = cases.records(sandbox, "credit_note")
    assert there["out_of_band_amount"] == 30300
    assert cases.records(sandbox, "refund") == []
    assert attention() == ""


def test_what_credits_had_paid_is_not_given_back_at_stripe(
    sandbox: StripeSandbox, gateway: StripeGateway, at: datetime, db: None
) -> None:
    invoice = cases.make_invoice(("100.00",), at=at, totals={"credits": "30.00"})
    push_invoice(invoice=invoice, gateway=gateway, at=at)
    pay(sandbox, gateway, invoice, at)
    note = credit(invoice, gateway, at, amount="100.00", settlement="refund")
    (there,) = cases.records(sandbox, "credit_note")
    assert (note.total, note.refunded, note.granted) == (100, 70, 30)
    assert there["total"] == 7000
    assert attention() == ""


def test_an_invoice_credited_before_its_push_goes_there_with_its_credit_note(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime
) -> None:
    create_credit_note(wish=CreditWish(invoice), at=at)
    push_due_invoices(gateway=gateway, at=at)
    send(gateway, at)
    cases.assert_one(sandbox, invoice, status="paid")
    assert attention() == ""


def test_money_that_came_after_a_credit_note_is_left_to_a_person(
    sandbox: StripeSandbox, gateway: StripeGateway, pushed: Invoice, at: datetime
) -> None:
    actions.pay(sandbox.account, StripePush.objects.get().stripe_invoice_id)
    credit(pushed, gateway, at, amount="60.00")
    assert "60.00 USD were paid beyond what credit notes had left" in attention()
