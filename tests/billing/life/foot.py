"""The foot of a document in plain Python: coupons in their order, then each tax, then credits.

DESIGN 5.4: lines -> discounts in the order given (never below zero) -> tax on what is left, each
rate rounded once, rates add -> credits -> total. What a coupon takes off is shared out among its
lines in proportion, so that each says what it costs in the end.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from tests.billing.life.plain import PLACES, Charge, rounded


@dataclass(frozen=True)
class Coupon:
    """What comes off, in percent or as an amount, and of what: of these prices, or all.

    `months` are those it is for, from the start of charging on; `is_once` is for one document.
    """

    percent: str | None = None
    amount: str | None = None
    prices: tuple[str, ...] = ()
    months: int | None = None
    is_once: bool = False

    @property
    def is_sure(self) -> bool:
        """Whether what it takes off does not depend on how usage is split among documents."""
        return self.percent is not None and not self.is_once


COUPONS = {
    "half": Coupon(percent="50"),
    "third-of-calls": Coupon(percent="33.3", prices=("calls",)),
    "two-months": Coupon(percent="20", months=2),
    "ten": Coupon(amount="10"),
    "first": Coupon(amount="15", is_once=True),
    "first-seats": Coupon(percent="50", prices=("seats",), is_once=True),
}


@dataclass(frozen=True)
class Redeemed:
    """A coupon on a subscription, for what begins in `[start, end)`.

    One that is not `from_start` takes nothing off what was billed before it came.
    """

    key: str
    start: datetime
    end: datetime | None
    from_start: bool = True

    @property
    def coupon(self) -> Coupon:
        return COUPONS[self.key]

    def is_for(self, price: str, start: datetime) -> bool:
        in_time = self.start <= start and (self.end is None or start < self.end)
        return in_time and (not self.coupon.prices or price in self.coupon.prices)


def with_coupons(charge: Charge, redeemed: Sequence[Redeemed]) -> Fraction:
    """Return what a charge costs after the coupons that take the same off however it is split."""
    left = Fraction(charge.amount)
    for each in redeemed:
        is_sure = each.from_start and each.coupon.is_sure
        if is_sure and each.is_for(charge.price, charge.start):
            left *= 1 - Fraction(each.coupon.percent or 0) / 100
    return left


@dataclass(frozen=True)
class Line:
    """A line: its amount, and which subscription, price and stretch of time it is for."""

    amount: Decimal
    discount: Decimal
    subscription: int | None
    price: str
    start: datetime


def taken_off(
    lines: Sequence[Line], redeemed: Sequence[tuple[int, Redeemed]], currency: str
) -> list[Decimal]:
    """Return what each of these coupons takes off, each of what the ones before left."""
    left = [line.amount if line.amount > 0 else Decimal(0) for line in lines]
    found = []
    for subscription, each in redeemed:
        scope = [
            at
            for at, line in enumerate(lines)
            if line.subscription == subscription
            and line.amount > 0
            and each.is_for(line.price, line.start)
        ]
        there = sum((left[at] for at in scope), Decimal(0))
        if each.coupon.percent is not None:
            off = rounded(Fraction(there) * Fraction(each.coupon.percent) / 100, currency)
        else:
            off = min(there, rounded(Fraction(each.coupon.amount or 0), currency))
        for at, share in zip(scope, shared(off, [left[at] for at in scope], currency), strict=True):
            left[at] -= share
        found.append(off)
    return found


def shared(amount: Decimal, weights: Sequence[Decimal], currency: str) -> list[Decimal]:
    """Share out in proportion; the coins left over go to the largest remainders, earlier first."""
    if not amount:
        return [Decimal(0)] * len(weights)
    coin = Decimal(1).scaleb(-PLACES[currency])
    exact = [
        Fraction(amount) * Fraction(each) / Fraction(sum(weights)) / Fraction(coin)
        for each in weights
    ]
    coins = [each.numerator // each.denominator for each in exact]
    by_remainder = sorted(range(len(exact)), key=lambda at: coins[at] - exact[at])
    for at in by_remainder[: int(amount / coin) - sum(coins)]:
        coins[at] += 1
    return [each * coin for each in coins]


def tax_of(base: Decimal, percent: str, currency: str) -> Decimal:
    return rounded(Fraction(base) * Fraction(percent) / 100, currency)
