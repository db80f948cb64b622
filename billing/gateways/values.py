"""What goes to Stripe and what comes back, as plain values."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any


@dataclass(frozen=True, slots=True)
class CustomerDraft:
    """A customer to be made or changed there; an empty text is a field without a value."""

    name: str
    email: str
    locale: str
    address: dict[str, str]
    metadata: dict[str, str]


@dataclass(frozen=True, slots=True)
class CustomerState:
    id: str
    is_deleted: bool
    metadata: dict[str, str]


@dataclass(frozen=True, slots=True)
class InvoiceDraft:
    """An invoice to be made there. Without `days_until_due` the customer's card is charged."""

    customer_id: str
    currency: str
    number: str
    days_until_due: int | None
    metadata: dict[str, str]


@dataclass(frozen=True, slots=True)
class LineDraft:
    """One line; the period is half-open as everywhere here."""

    reference: str
    description: str
    amount: Decimal
    currency: str
    period_start: datetime
    period_end: datetime


@dataclass(frozen=True, slots=True)
class LineState:
    id: str
    reference: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class InvoiceState:
    """An invoice as Stripe has it; amounts in its currency, which is upper case."""

    id: str
    status: str
    customer_id: str
    currency: str
    number: str
    total: Decimal
    amount_paid: Decimal
    hosted_invoice_url: str
    invoice_pdf: str
    paid_at: datetime | None
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PaymentState:
    """Money that reached an invoice."""

    id: str
    amount: Decimal
    paid_at: datetime


@dataclass(frozen=True, slots=True)
class WebhookMessage:
    """A verified event. It is a hint that something changed, not the state itself."""

    event_id: str
    type: str
    account: str
    livemode: bool
    api_version: str
    object_kind: str
    object_id: str
    created_at: datetime
    payload: dict[str, Any]
