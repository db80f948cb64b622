"""What is billed by hand, at once or with the next invoice: what no plan has a price for."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import transaction

from billing.models import Invoice, InvoiceLine, OneOffCharge
from billing.rating.periods import Period
from billing.selectors.one_offs import one_off_line
from billing.selectors.statements import summed
from billing.selectors.sums import TOTAL_FIELDS
from billing.services.drafting import LINE_FIELDS
from billing.services.invoicing import finalize_invoice, lock_customers, recompute_drafts
from config.errors import DomainError, InvalidInputError
from config.validation import validate
from customers.models import Customer

MOST_LINES = 250
ONE = Decimal(1)
INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class OneOffLine:
    """What a line says: units of something, and the price of one in the invoice's currency."""

    description: str
    unit_amount: Decimal
    quantity: Decimal = ONE


@transaction.atomic
def create_one_off_invoice(
    *, customer: Customer, lines: Sequence[OneOffLine], at: datetime, finalizes: bool = False
) -> Invoice:
    """Make an invoice of these lines, a draft until it is finalized or at once.

    Raises InvalidInputError for no lines, too many, and lines that come to less than nothing.
    """
    if not 1 <= len(lines) <= MOST_LINES:
        raise InvalidInputError(f"Write 1 to {MOST_LINES} lines.", field="lines")
    [customer] = lock_customers([customer.pk])
    now = Period(at, at + INSTANT)
    content = [one_off_line(**asdict(line), currency=customer.currency, at=at) for line in lines]
    statement = summed(customer, customer.currency, now, content)
    if statement.total < 0:
        raise InvalidInputError("The lines come to less than nothing.", field="lines")
    invoice = Invoice.objects.create(
        customer=customer,
        billing_reason=Invoice.Reason.MANUAL,
        currency=customer.currency,
        period_start=at,
        period_end=at,
        finalize_at=at,
        created_at=at,
        **{name: getattr(statement, name) for name in TOTAL_FIELDS},
    )
    InvoiceLine.objects.bulk_create(
        InvoiceLine(
            invoice=invoice,
            position=position,
            **{name: getattr(line, name) for name in LINE_FIELDS},
        )
        for position, line in enumerate(statement.lines)
    )
    return finalize_invoice(invoice=invoice, at=at) if finalizes else invoice


@transaction.atomic
def create_charge(
    *,
    customer: Customer,
    description: str,
    unit_amount: Decimal,
    at: datetime,
    quantity: Decimal = ONE,
) -> OneOffCharge:
    """Have something billed with a customer's next invoice; drafts say it at once.

    If none will come by itself the next nightly run makes one for it. Raises InvalidInputError
    naming the field for what comes to nothing or less.
    """
    charge = OneOffCharge(
        customer=customer,
        description=description,
        quantity=quantity,
        unit_amount=unit_amount,
        currency=customer.currency,
        created_at=at,
    )
    validate(charge)
    if not charge.amount:
        raise InvalidInputError(
            f"That comes to nothing in {charge.currency}: write a higher price.",
            field="unit_amount",
        )
    charge.save()
    recompute_drafts(customer=customer, at=at)
    return charge


@transaction.atomic
def cancel_charge(*, charge: OneOffCharge, at: datetime) -> OneOffCharge:
    """Take a charge back before it is billed. Raises DomainError for one that is billed."""
    lock_customers([charge.customer_id])
    found = OneOffCharge.objects.filter(pk=charge.pk)
    if not found.waiting().update(canceled_at=at):
        raise DomainError(
            "Only a charge that waits for its invoice can be canceled: give back what is billed in "
            "a credit note.",
            code="not_waiting",
        )
    recompute_drafts(customer=charge.customer, at=at)
    return found.get()
