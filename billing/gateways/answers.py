"""What Stripe answers: its objects as our plain values."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from billing.gateways.minor_units import from_minor
from billing.gateways.values import CustomerState, InvoiceState, LineState, PaymentState

if TYPE_CHECKING:
    import stripe


def customer_state(found: "stripe.Customer") -> CustomerState:
    is_deleted = bool(getattr(found, "deleted", False))
    metadata = {} if is_deleted else texts(found.metadata)
    return CustomerState(id=found.id, is_deleted=is_deleted, metadata=metadata)


def invoice_state(found: "stripe.Invoice") -> InvoiceState:
    currency = found.currency.upper()
    paid_at = found.status_transitions.paid_at
    return InvoiceState(
        id=found.id,
        status=found.status or "",
        customer_id=str(found.customer or ""),
        currency=currency,
        number=found.number or "",
        total=from_minor(found.total, currency),
        amount_paid=from_minor(found.amount_paid, currency),
        hosted_invoice_url=found.hosted_invoice_url or "",
        invoice_pdf=found.invoice_pdf or "",
        paid_at=instant(paid_at) if paid_at else None,
        metadata=texts(found.metadata),
    )


def line_state(found: "stripe.InvoiceLineItem") -> LineState:
    return LineState(
        id=found.id,
        reference=texts(found.metadata).get("line", ""),
        amount=from_minor(found.amount, found.currency),
    )


def payment_state(found: "stripe.InvoicePayment") -> PaymentState:
    paid_at = found.status_transitions.paid_at or found.created
    amount = from_minor(found.amount_paid or 0, found.currency)
    return PaymentState(id=found.id, amount=amount, paid_at=instant(paid_at))


def texts(metadata: Any) -> dict[str, str]:
    found: dict[str, str] = metadata.to_dict() if metadata else {}
    return found


def instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
