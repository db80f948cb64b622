"""What coupons take off the lines of a document."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, Protocol

from billing.models import Coupon, CouponRedemption, InvoiceLine, Subscription
from billing.rating.arithmetic import exact_arithmetic, portion
from billing.rating.money import round_amount
from billing.rating.totals import Discount, total_lines
from billing.selectors.accounts import Account, Ledger, key_of

ZERO = Decimal(0)


class Discountable(Protocol):
    """What coupons need to know of a line."""

    @property
    def price(self) -> str: ...

    @property
    def amount(self) -> Decimal: ...

    @property
    def period_start(self) -> datetime: ...

    @property
    def subscription(self) -> Subscription | None: ...

    @property
    def original(self) -> InvoiceLine | None: ...


@dataclass(frozen=True, slots=True)
class Discounts:
    """One amount for each line, and what the document says of each coupon that took some."""

    amounts: tuple[Decimal, ...]
    coupons: list[dict[str, Any]]


def discounts_of(account: Account, currency: str, lines: Sequence[Discountable]) -> Discounts:
    """Work out what comes off each line.

    A coupon is for the lines of its subscription that cost something, and for those alone that
    begin while it lasts. What is given back is given back less its part of what coupons had taken off
    all that was billed of the charge.
    One that is for once is used up by the first document that it takes something off; the caller
    comes with an account's documents in their order.
    """
    back = [given_back(account.ledger, line, currency) for line in lines]
    net = [(str(at), line.amount - back[at]) for at, line in enumerate(lines)]
    found = [
        (redemption, discount_of(redemption.coupon, scope))
        for redemption in account.redemptions
        if redemption.pk not in account.spent and (scope := scope_of(redemption, currency, lines))
    ]
    if not found:
        return Discounts(tuple(back), [])
    totals = total_lines(net, currency, discounts=[discount for _, discount in found])
    taken = [
        (redemption, amount)
        for (redemption, _), amount in zip(found, totals.discounts, strict=True)
        if amount
    ]
    account.spent |= {
        redemption.pk
        for redemption, _ in taken
        if redemption.coupon.duration == Coupon.Duration.ONCE
    }
    return Discounts(
        tuple(b + off for b, off in zip(back, totals.line_discounts, strict=True)),
        [
            {
                "coupon": redemption.coupon.key,
                "name": redemption.coupon.name,
                "redemption": redemption.pk,
                "amount": f"{amount:f}",
            }
            for redemption, amount in taken
        ],
    )


def given_back(ledger: Ledger, line: Discountable, currency: str) -> Decimal:
    """Return the part of what coupons took off a charge that goes with what is given back of it."""
    if line.amount >= 0 or line.original is None:
        return round_amount(ZERO, currency)
    key = key_of(line.original)
    billed, discount = ledger.billed[key].amount, ledger.discounts[key]
    if not discount or billed <= 0:
        return round_amount(ZERO, currency)
    part = Fraction(discount) / Fraction(billed)
    with exact_arithmetic():
        return round_amount(portion(line.amount, part), currency)


def scope_of(
    redemption: CouponRedemption, currency: str, lines: Sequence[Discountable]
) -> tuple[str, ...]:
    """Return the lines that a coupon is for, by their place."""
    coupon = redemption.coupon
    if coupon.currency not in {"", currency}:
        return ()
    return tuple(
        str(at)
        for at, line in enumerate(lines)
        if line.amount > 0
        and line.subscription is not None
        and line.subscription.pk == redemption.subscription_id
        and (not coupon.prices or line.price in coupon.prices)
        and redemption.covers(line.period_start)
    )


def discount_of(coupon: Coupon, scope: tuple[str, ...]) -> Discount:
    return Discount(coupon.percent_off, coupon.amount_off, scope)
