"""What is billed by hand, at once or with the next invoice, as lines."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from billing.models import InvoiceLine, OneOffCharge
from billing.models.one_offs import OneOffChargeQuerySet
from billing.rating.arithmetic import exact_arithmetic, plain, trimmed
from billing.rating.money import round_amount
from billing.rating.steps import Step
from billing.selectors.statement_lines import StatementLine

PRICE = "one_off"
ZERO = Decimal(0)


def waiting_charges(
    customer_ids: Iterable[int], *, drafts_count: bool = False
) -> OneOffChargeQuerySet:
    """Return what is to be on these customers' next invoices, in the order it was asked for."""
    waiting = OneOffCharge.objects.filter(customer__any=customer_ids)
    return waiting.waiting(drafts_count=drafts_count).with_parts().order_by("created_at", "pk")


def one_off_line(
    *, description: str, quantity: Decimal, unit_amount: Decimal, currency: str, at: datetime
) -> StatementLine:
    """Return so many units at a price each, rounded to the currency."""
    quantity, unit_amount = trimmed(quantity), trimmed(unit_amount)
    with exact_arithmetic():
        exact = quantity * unit_amount
        amount = round_amount(exact, currency)
        steps = [Step("units", "All units", exact, quantity, unit_amount)]
        if amount != exact:
            steps.append(Step("rounding", "Rounding", amount - exact))
    return StatementLine(
        kind=InvoiceLine.Kind.ONE_OFF,
        price=PRICE,
        meter="",
        description=description,
        quantity=quantity,
        amount=amount,
        discount=round_amount(ZERO, currency),
        period_start=at,
        period_end=at,
        document={"unit_amount": plain(unit_amount)},
        steps=[step.as_document() for step in steps],
    )


def line_of_charge(charge: OneOffCharge) -> StatementLine:
    line = one_off_line(
        description=charge.description,
        quantity=charge.quantity,
        unit_amount=charge.unit_amount,
        currency=charge.currency,
        at=charge.created_at,
    )
    return replace(line, part=charge.parts, one_off=charge)
