"""Invoices that are billed by hand: for what no plan has a price for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import transaction

from billing.models import Invoice, InvoiceLine
from billing.rating.arithmetic import exact_arithmetic, plain, trimmed
from billing.rating.money import round_amount
from billing.rating.periods import Period
from billing.rating.steps import Step
from billing.selectors.statements import StatementLine, summed
from billing.selectors.sums import TOTAL_FIELDS
from billing.services.drafting import LINE_FIELDS
from billing.services.invoicing import finalize_invoice, lock_customers
from config.errors import InvalidInputError
from customers.models import Customer

MOST_LINES = 250
PRICE = "one_off"
INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class OneOffLine:
    """What a line says: units of something, and the price of one in the invoice's currency."""

    description: str
    unit_amount: Decimal
    quantity: Decimal = Decimal(1)


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
    content = [line_of(line, customer, at) for line in lines]
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


def line_of(line: OneOffLine, customer: Customer, at: datetime) -> StatementLine:
    """Return the line, its amount rounded to the currency."""
    quantity, unit_amount = trimmed(line.quantity), trimmed(line.unit_amount)
    with exact_arithmetic():
        exact = quantity * unit_amount
        amount = round_amount(exact, customer.currency)
        steps = [Step("units", "All units", exact, quantity, unit_amount)]
        if amount != exact:
            steps.append(Step("rounding", "Rounding", amount - exact))
    return StatementLine(
        kind=InvoiceLine.Kind.ONE_OFF,
        price=PRICE,
        meter="",
        description=line.description,
        quantity=quantity,
        amount=amount,
        discount=round_amount(Decimal(0), customer.currency),
        period_start=at,
        period_end=at,
        document={"unit_amount": plain(unit_amount)},
        steps=[step.as_document() for step in steps],
    )
