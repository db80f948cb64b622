"""What Stripe answers: its objects as our plain values."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from billing.gateways.minor_units import from_minor
from billing.gateways.values import (
    CreditNoteState,
    CustomerState,
    InvoiceState,
    LineState,
    PaymentState,
    ReversalState,
    WebhookMessage,
)

if TYPE_CHECKING:
    import stripe


def customer_state(found: "stripe.Customer") -> CustomerState:
    if getattr(found, "deleted", False):
        return CustomerState(id=found.id, is_deleted=True, metadata={})
    settings = found.invoice_settings
    return CustomerState(
        id=found.id,
        is_deleted=False,
        metadata=texts(found.metadata),
        name=found.name or "",
        email=found.email or "",
        payment_method=identifier(settings.default_payment_method if settings else None),
    )


def invoice_state(found: "stripe.Invoice") -> InvoiceState:
    currency = found.currency.upper()
    failed = found.last_finalization_error
    from_balance, to_balance = balance_moves(found)
    return InvoiceState(
        id=found.id,
        status=found.status or "",
        customer_id=identifier(found.customer),
        currency=currency,
        number=found.number or "",
        total=from_minor(found.total, currency),
        amount_paid=from_minor(found.amount_paid, currency),
        credited=from_minor(found.pre_payment_credit_notes_amount, currency),
        credited_after_payment=from_minor(found.post_payment_credit_notes_amount, currency),
        from_balance=from_minor(from_balance, currency),
        to_balance=from_minor(to_balance, currency),
        debt=from_minor(max(found.starting_balance, 0), currency),
        hosted_invoice_url=found.hosted_invoice_url or "",
        invoice_pdf=found.invoice_pdf or "",
        paid_at=instant_or_none(found.status_transitions.paid_at),
        finalized_at=instant_or_none(found.status_transitions.finalized_at),
        created_at=instant(found.created),
        attempt_count=found.attempt_count,
        next_payment_attempt_at=instant_or_none(found.next_payment_attempt),
        finalization_error=str(failed.message or failed.code or "") if failed else "",
        metadata=texts(found.metadata),
    )


def balance_moves(found: "stripe.Invoice") -> tuple[int, int]:
    """Return what finalizing took from the customer's balance, and what it added to their debt.

    A balance below zero is money of the customer's, one above zero is owed by them.
    """
    before, after = found.starting_balance, found.ending_balance
    if after is None:
        return 0, 0
    return max(min(after, 0) - before, 0), max(after - max(before, 0), 0)


def line_state(found: "stripe.InvoiceLineItem") -> LineState:
    added = [tax for tax in found.taxes or [] if tax.tax_behavior == "exclusive"]
    return LineState(
        id=found.id,
        reference=texts(found.metadata).get("line", ""),
        amount=from_minor(found.amount, found.currency),
        tax=from_minor(sum(tax.amount for tax in added), found.currency),
    )


def payment_state(found: "stripe.InvoicePayment") -> PaymentState:
    paid_at = found.status_transitions.paid_at or found.created
    amount = from_minor(found.amount_paid or 0, found.currency)
    return PaymentState(
        id=found.id,
        amount=amount,
        paid_at=instant(paid_at),
        invoice_id=identifier(found.invoice),
    )


def credit_note_state(found: "stripe.CreditNote") -> CreditNoteState:
    return CreditNoteState(
        id=found.id,
        invoice_id=identifier(found.invoice),
        status=found.status,
        currency=found.currency.upper(),
        total=from_minor(found.total, found.currency),
        refunded=from_minor(
            sum(refund.amount_refunded for refund in found.refunds or []), found.currency
        ),
        metadata=texts(found.metadata),
    )


def reversal_state(found: "stripe.Refund | stripe.Dispute") -> ReversalState:
    return ReversalState(
        id=found.id,
        kind=found.object,
        payment_intent=identifier(found.payment_intent),
        amount=from_minor(found.amount, found.currency),
        currency=found.currency.upper(),
        status=found.status or "",
        reason=found.reason or "",
        created_at=instant(found.created),
    )


def webhook_message(document: dict[str, Any]) -> WebhookMessage:
    """Return an event as plain values. Raises a built-in error for what is none."""
    if document["object"] != "event":
        raise ValueError("no event")
    subject = document["data"]["object"]
    return WebhookMessage(
        event_id=str(document["id"]),
        type=str(document["type"]),
        account=str(document.get("account") or ""),
        livemode=bool(document["livemode"]),
        api_version=str(document.get("api_version") or ""),
        object_kind=str(subject.get("object") or ""),
        object_id=str(subject.get("id") or ""),
        created_at=instant(int(document["created"])),
        payload=document,
    )


def identifier(reference: Any) -> str:
    """Return the id of what may be an id, the object itself, or nothing."""
    return "" if reference is None else str(getattr(reference, "id", reference))


def texts(metadata: Any) -> dict[str, str]:
    found: dict[str, str] = metadata.to_dict() if metadata else {}
    return found


def instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def instant_or_none(seconds: int | None) -> datetime | None:
    return None if seconds is None else instant(seconds)
