"""What a document says: its lines and its totals.

Drafts, previews and the portal's cost so far are all made from here, so they always agree.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from billing.rating.money import round_amount
from billing.rating.periods import Period
from billing.selectors.accounts import Account
from billing.selectors.credits import Wallets
from billing.selectors.discounts import discounts_of
from billing.selectors.statement_lines import StatementLine
from billing.selectors.sums import TOTAL_FIELDS, sums_of
from customers.models import Customer


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
    discounts: list[dict[str, Any]]
    taxes: list[dict[str, Any]]
    tax_note: str

    @property
    def is_giving_back(self) -> bool:
        """Whether it comes to less than nothing, so that credit notes are to say so instead."""
        return self.total + self.credits < 0


def summed(
    customer: Customer,
    currency: str,
    period: Period,
    lines: Iterable[StatementLine],
    discounts: Sequence[dict[str, Any]] = (),
) -> Statement:
    """Return the lines, whose discounts are worked out, with their totals."""
    lines = tuple(lines)
    sums = sums_of(customer, currency, lines, discounts)
    return Statement(
        customer=customer,
        currency=currency,
        period_start=period.start,
        period_end=period.end,
        lines=lines,
        **{name: getattr(sums, name) for name in TOTAL_FIELDS},
    )


def discounted(
    account: Account, currency: str, period: Period, lines: Sequence[StatementLine]
) -> Statement:
    """Take off the lines what coupons do, and return them with their totals."""
    found = discounts_of(account, currency, lines)
    for line, discount in zip(lines, found.amounts, strict=True):
        line.discount = discount
    return summed(account.customer, currency, period, lines, found.coupons)


def paid_with(wallets: Wallets, statement: Statement) -> Statement:
    """Return a statement with what credits pay of it; the next one finds so much less of them."""
    taken = wallets.take(
        statement.customer, statement.currency, statement.lines, statement.total + statement.credits
    )
    if not taken:
        return statement
    paid = sum((amount for _, amount in taken), round_amount(Decimal(0), statement.currency))
    return replace(statement, credits=paid, total=statement.total + statement.credits - paid)
