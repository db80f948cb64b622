"""Money received, and what Stripe says has become of an invoice."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from django.db import transaction

from billing.gateways.values import InvoiceState, PaymentState
from billing.models import Invoice, Payment, StripePush
from config.errors import DomainError

# An invoice only moves forward: to a state of higher rank, or from owed to void.
RANKS = {
    Invoice.Status.DRAFT: 0,
    Invoice.Status.OPEN: 1,
    Invoice.Status.UNCOLLECTIBLE: 2,
    Invoice.Status.PAID: 3,
}
OWED = frozenset({Invoice.Status.OPEN, Invoice.Status.UNCOLLECTIBLE})


@transaction.atomic
def record_payment(
    *, invoice: Invoice, source: str, external_id: str, amount: Decimal, paid_at: datetime
) -> Payment:
    """Record money received against an issued invoice, once for each `external_id`.

    `amount` is in the invoice's currency. An invoice that is paid in full becomes paid. Raises
    DomainError for an invoice nothing can be owed on, or an amount that is not positive.
    """
    locked = Invoice.objects.select_for_update().get(pk=invoice.pk)
    known = Payment.objects.filter(external_id=external_id).first()
    if known:
        return known
    if locked.status not in OWED | {Invoice.Status.PAID}:
        raise DomainError(
            f"Invoice {locked} is {locked.status}: no payment can be recorded on it.",
            code="not_payable",
        )
    if amount <= 0:
        raise DomainError("A payment is more than nothing.", code="amount_not_positive")
    payment = Payment.objects.create(
        invoice=locked, source=source, external_id=external_id, amount=amount, paid_at=paid_at
    )
    locked.amount_paid += amount
    if locked.status in OWED and locked.amount_paid >= locked.total:
        locked.status, locked.paid_at = Invoice.Status.PAID, paid_at
    locked.save(update_fields=["amount_paid", "status", "paid_at"])
    return payment


@transaction.atomic
def apply_stripe_state(
    *, invoice: Invoice, state: InvoiceState, payments: Sequence[PaymentState], at: datetime
) -> None:
    """Bring our invoice up to what was just read from Stripe; the order of news does not matter.

    Payments are recorded once each. What would move our invoice backwards is left for a person,
    as is a paid invoice that brought another amount than its total.
    """
    locked = Invoice.objects.select_for_update().get(pk=invoice.pk)
    mirror(locked, state)
    if not can_follow(locked, state):
        if state.status not in {locked.status, Invoice.Status.DRAFT}:
            ask_for_attention(
                locked, f"Invoice {locked} is {locked.status} here and {state.status} at Stripe."
            )
        return
    for payment in received(state, payments):
        record_payment(
            invoice=locked,
            source=Payment.Source.STRIPE,
            external_id=payment.id,
            amount=payment.amount,
            paid_at=payment.paid_at,
        )
    locked.refresh_from_db()
    follow(locked, state, at)


def mirror(invoice: Invoice, state: InvoiceState) -> None:
    """Keep what Stripe calls the invoice and where it shows it."""
    StripePush.objects.filter(invoice=invoice).update(
        stripe_status=state.status,
        stripe_number=state.number,
        hosted_invoice_url=state.hosted_invoice_url,
        invoice_pdf=state.invoice_pdf,
    )


def can_follow(invoice: Invoice, state: InvoiceState) -> bool:
    if state.status == Invoice.Status.VOID:
        return invoice.status in OWED
    if invoice.status not in RANKS or state.status not in RANKS:
        return False
    return RANKS[Invoice.Status(state.status)] >= RANKS[Invoice.Status(invoice.status)]


def received(state: InvoiceState, payments: Sequence[PaymentState]) -> list[PaymentState]:
    """Return the payments, and one more for money that Stripe was told of but never saw."""
    found = [payment for payment in payments if payment.amount > 0]
    known = sum((payment.amount for payment in found), start=Decimal(0))
    if state.status == Invoice.Status.PAID and state.amount_paid > known and state.paid_at:
        rest = state.amount_paid - known
        found.append(PaymentState(f"{state.id}:out_of_band", rest, state.paid_at))
    return found


def follow(invoice: Invoice, state: InvoiceState, at: datetime) -> None:
    if state.status == Invoice.Status.PAID and invoice.amount_paid != invoice.total:
        ask_for_attention(
            invoice,
            f"Stripe calls invoice {invoice} paid, having received {invoice.amount_paid} of "
            f"{invoice.total} {invoice.currency}.",
        )
    if invoice.status == state.status or state.status == Invoice.Status.OPEN:
        return
    invoice.status = state.status
    if state.status == Invoice.Status.PAID:
        invoice.paid_at = state.paid_at or at
    if state.status == Invoice.Status.VOID:
        invoice.voided_at = at
    invoice.save(update_fields=["status", "paid_at", "voided_at"])


def ask_for_attention(invoice: Invoice, message: str) -> None:
    StripePush.objects.filter(invoice=invoice).update(attention=message)
