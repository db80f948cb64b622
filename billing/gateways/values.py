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
    tax_exempt: str = "none"


@dataclass(frozen=True, slots=True)
class CustomerState:
    """A customer as Stripe has it; one that was deleted has nothing but its id."""

    id: str
    is_deleted: bool
    metadata: dict[str, str]
    name: str = ""
    email: str = ""
    payment_method: str = ""


@dataclass(frozen=True, slots=True)
class InvoiceDraft:
    """An invoice to be made there. Without `days_until_due` the customer's card is charged."""

    customer_id: str
    currency: str
    number: str
    days_until_due: int | None
    metadata: dict[str, str]
    custom_fields: tuple[tuple[str, str], ...] = ()
    footer: str = ""


@dataclass(frozen=True, slots=True)
class TaxDraft:
    """The part of a tax that is shown on one line; `percent` is that of its rate."""

    name: str
    percent: Decimal
    amount: Decimal
    taxable_amount: Decimal


@dataclass(frozen=True, slots=True)
class LineDraft:
    """One line; the period is half-open as everywhere here."""

    reference: str
    description: str
    amount: Decimal
    currency: str
    period_start: datetime
    period_end: datetime
    taxes: tuple[TaxDraft, ...] = ()

    @property
    def tax(self) -> Decimal:
        return sum((tax.amount for tax in self.taxes), start=Decimal(0))


@dataclass(frozen=True, slots=True)
class CreditNoteDraft:
    """What is taken back of an invoice, in finished amounts.

    On an invoice that is paid, `refund` of it goes back the way the money came and `balance` onto
    the customer's balance at Stripe; what is left of the total is given back outside Stripe.
    """

    invoice_id: str
    currency: str
    lines: tuple[tuple[str, Decimal], ...]
    memo: str
    is_paid: bool
    metadata: dict[str, str]
    refund: Decimal = Decimal(0)
    balance: Decimal = Decimal(0)

    @property
    def total(self) -> Decimal:
        return sum((amount for _, amount in self.lines), start=Decimal(0))

    @property
    def out_of_band(self) -> Decimal:
        return self.total - self.refund - self.balance


@dataclass(frozen=True, slots=True)
class CreditNoteState:
    """A credit note as Stripe has it; `refunded` is what its refunds come to."""

    id: str
    invoice_id: str
    status: str
    currency: str
    total: Decimal
    refunded: Decimal = Decimal(0)
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReversalState:
    """A refund or a dispute as Stripe has it; `payment_intent` leads to the payment."""

    id: str
    kind: str
    payment_intent: str
    amount: Decimal
    currency: str
    status: str
    reason: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class LineState:
    id: str
    reference: str
    amount: Decimal
    tax: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class InvoiceState:
    """An invoice as Stripe has it; amounts in its currency, which is upper case.

    When it was finalized, `from_balance` was paid with what the customer had on balance there, or
    `to_balance`, an amount too small to collect, was put there for the next invoice. `debt` is what
    the customer owed there before, and is asked for beside the total.
    """

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
    created_at: datetime
    credited: Decimal = Decimal(0)
    credited_after_payment: Decimal = Decimal(0)
    from_balance: Decimal = Decimal(0)
    to_balance: Decimal = Decimal(0)
    debt: Decimal = Decimal(0)
    finalized_at: datetime | None = None
    attempt_count: int = 0
    next_payment_attempt_at: datetime | None = None
    finalization_error: str = ""
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PaymentState:
    """Money that reached an invoice."""

    id: str
    amount: Decimal
    paid_at: datetime
    invoice_id: str = ""


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
