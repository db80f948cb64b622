"""What an invoice for a period says: its lines with their explanations, and its totals.

Drafts, previews and the portal's cost so far are all made from here, so they always agree.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from billing import formatting
from billing.models import InvoiceLine, Subscription
from billing.models import Price as PriceRow
from billing.rating.lines import price_usage
from billing.rating.periods import BillingPeriod, Period
from billing.rating.prices import Price, parse_price
from billing.rating.proration import proration_fraction
from billing.rating.totals import total_lines
from billing.selectors.subscriptions import current_period, current_subscriptions
from config.errors import DomainError, InvalidInputError
from customers.models import Customer
from metering.models import Meter
from metering.selectors.usage import usage_quantity

ZERO = Decimal(0)
ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class StatementLine:
    """An invoice line that is not on an invoice yet; the names are those of InvoiceLine."""

    kind: str
    price: str
    meter: str
    description: str
    quantity: Decimal
    amount: Decimal
    period_start: datetime
    period_end: datetime
    document: dict[str, Any]
    steps: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Statement:
    """Lines and totals in one currency; the names are those of Invoice."""

    customer: Customer
    currency: str
    period_start: datetime
    period_end: datetime
    lines: tuple[StatementLine, ...]
    subtotal: Decimal
    discount: Decimal
    tax: Decimal
    credits: Decimal
    total: Decimal


def statement(
    subscription: Subscription, period: BillingPeriod, *, used_until: datetime | None = None
) -> Statement:
    """Return what a subscription owes for a period: usage as metered, fees prorated.

    `used_until` leaves later usage out; fees are for the whole period all the same.
    """
    prices = subscription.plan_version.prices.all()
    lines = [statement_line(subscription, row, period, used_until) for row in prices]
    return summed(subscription.customer, subscription.plan_version.currency, period, lines)


def statement_line(
    subscription: Subscription, row: PriceRow, period: BillingPeriod, used_until: datetime | None
) -> StatementLine:
    price = parse_price(row.document)
    quantity = ONE
    if row.meter is not None:
        end = min(period.end, used_until or period.end)
        quantity = used_quantity(subscription.customer, row.meter, period.start, end)
    fraction = fee_fraction(subscription, price, period)
    currency = subscription.plan_version.currency
    rated = price_usage(price, quantity, None, currency, fraction=fraction)
    return StatementLine(
        kind=InvoiceLine.Kind.FEE if row.meter is None else InvoiceLine.Kind.USAGE,
        price=row.key,
        meter="" if row.meter is None else row.meter.key,
        description=line_description(subscription.customer, row, period, fraction),
        quantity=rated.quantity,
        amount=rated.amount,
        period_start=period.start,
        period_end=period.end,
        document=row.document,
        steps=[step.as_document() for step in rated.steps],
    )


def used_quantity(customer: Customer, meter: Meter, start: datetime, end: datetime) -> Decimal:
    """Return usage in `[start, end)`, which is empty at the first instant of a period."""
    if start == end:
        return ZERO
    return usage_quantity(meter=meter, customer=customer, start=start, end=end)


def fee_fraction(subscription: Subscription, price: Price, period: BillingPeriod) -> Fraction:
    """Return how much of a full period's fee is due for the part that the subscription lasts."""
    full = period.full
    part = Period(max(period.start, full.start), min(period.end, full.end))
    return proration_fraction(
        price.proration,
        part,
        full,
        subscription.customer.zone,
        is_last=period.end == subscription.end_at,
    )


def line_description(
    customer: Customer, row: PriceRow, period: BillingPeriod, fraction: Fraction
) -> str:
    """Return the words of a line; a fee for part of a period says which part."""
    if row.meter is not None or fraction == 1:
        return row.name
    part = formatting.period(period.start, period.end, customer.zone, customer.locale)
    return f"{row.name}, {part}"


def summed(
    customer: Customer, currency: str, period: Period, lines: Iterable[StatementLine]
) -> Statement:
    """Return the lines with their totals."""
    lines = tuple(lines)
    totals = total_lines([(line.price, line.amount) for line in lines], currency)
    return Statement(
        customer=customer,
        currency=currency,
        period_start=period.start,
        period_end=period.end,
        lines=lines,
        subtotal=totals.subtotal,
        discount=totals.discount,
        tax=totals.tax,
        credits=totals.credits,
        total=totals.total,
    )


def preview_invoice(subscription: Subscription, at: datetime) -> Statement:
    """Return the invoice there would be if the current period ended at `at`.

    The subscription must run at `at`. Usage after it does not count; fees do in full.
    """
    return statement(subscription, current_period(subscription, at), used_until=at)


def cost_so_far(customer: Customer, at: datetime) -> list[Statement]:
    """Return a customer's running subscriptions' previews summed, one statement per currency."""
    by_currency: dict[str, list[Statement]] = {}
    for subscription in current_subscriptions(customer, at):
        preview = preview_invoice(subscription, at)
        by_currency.setdefault(preview.currency, []).append(preview)
    return [combined(previews) for previews in by_currency.values()]


def combined(statements: list[Statement]) -> Statement:
    """Return statements of one currency as one; each line keeps its own period."""
    period = Period(
        min(each.period_start for each in statements), max(each.period_end for each in statements)
    )
    lines = [line for each in statements for line in each.lines]
    return summed(statements[0].customer, statements[0].currency, period, lines)


def preview_for_customer(
    customer: Customer, at: datetime, currency: str | None = None
) -> Statement:
    """Return what a customer would be invoiced for if its current periods ended at `at`.

    Raises DomainError when no subscription runs then, and InvalidInputError when they run in
    several currencies and `currency` names none of them.
    """
    previews = {preview.currency: preview for preview in cost_so_far(customer, at)}
    if not previews:
        raise DomainError(f"{customer} has no running subscription.", code="no_subscription")
    if currency is None and len(previews) == 1:
        return next(iter(previews.values()))
    if currency not in previews:
        known = ", ".join(sorted(previews))
        raise InvalidInputError(
            f"{customer} has subscriptions in {known}: name one of them.", field="currency"
        )
    return previews[currency]
