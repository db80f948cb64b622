"""Money of payments that went back, or may: refunds and disputes."""

from collections.abc import Collection
from decimal import Decimal

from django.db.models import Sum

from billing.models import Invoice, Payment, PaymentReversal, StripeOperation

# What Stripe calls refunds that have happened or will, those that came to nothing, and disputes
# that are not decided.
REFUNDED = ("succeeded", "pending", "requires_action")
NOT_REFUNDED = ("failed", "canceled")
DISPUTED = (
    "needs_response",
    "under_review",
    "warning_needs_response",
    "warning_under_review",
    "appeal_needs_response",
    "appeal_under_review",
)
# Payments that Stripe was told of, or that came from what it keeps for the customer: no card has
# them.
OUT_OF_BAND = "out_of_band"
FROM_BALANCE = "balance"


def money_back(invoice: Invoice, *, kind: str, statuses: Collection[str]) -> Decimal:
    found = PaymentReversal.objects.filter(
        payment__invoice=invoice, kind=kind, status__in=statuses
    ).aggregate(amount=Sum("amount"))
    return found["amount"] or Decimal(0)


def refundable(invoice: Invoice) -> Decimal:
    """Return what came in through Stripe on an invoice and neither went back nor is to go back.

    A refund that was asked for and one that was reported may be the same: the greater sum counts,
    and what that leaves open Stripe refuses.
    """
    payments = Payment.objects.filter(invoice=invoice, source=Payment.Source.STRIPE)
    for other in (OUT_OF_BAND, FROM_BALANCE):
        payments = payments.exclude(external_id__endswith=f":{other}")
    received = payments.aggregate(amount=Sum("amount"))["amount"] or Decimal(0)
    gone = money_back(invoice, kind=PaymentReversal.Kind.REFUND, statuses=REFUNDED)
    lost = money_back(invoice, kind=PaymentReversal.Kind.DISPUTE, statuses=(*DISPUTED, "lost"))
    return Decimal(received - max(gone, refunds_asked(invoice)) - lost)


def refunds_asked(invoice: Invoice) -> Decimal:
    """Return what the credit notes of an invoice are to refund through Stripe, made there or not."""
    notes = invoice.stripe_operations.filter(kind=StripeOperation.Kind.CREDIT_NOTE)
    return sum((Decimal(note.content.get("refund", 0)) for note in notes), start=Decimal(0))
