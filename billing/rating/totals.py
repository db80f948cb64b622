"""Totals of an invoice: lines, then discounts in their order, then tax, then credits."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from billing.rating.arithmetic import exact_arithmetic
from billing.rating.money import allocate_amount, round_amount

ZERO = Decimal(0)
ONE_PERCENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Discount:
    """A part off (`percent_off`) or an amount off (`amount_off`), one of the two.

    `prices` are the keys of the prices whose lines it applies to; `None` means every line.
    """

    percent_off: Decimal | None = None
    amount_off: Decimal | None = None
    prices: tuple[str, ...] | None = None

    def applies_to(self, price: str) -> bool:
        return self.prices is None or price in self.prices

    def amount(self, base: Decimal, currency: str) -> Decimal:
        """Return what comes off `base`, rounded; never more than `base`, never below zero."""
        if base <= 0:
            return round_amount(ZERO, currency)
        if self.percent_off is not None:
            return round_amount(base * self.percent_off * ONE_PERCENT, currency)
        return min(base, round_amount(self.amount_off or ZERO, currency))


@dataclass(frozen=True, slots=True)
class Totals:
    """The sums at the foot of an invoice, all in whole minor units.

    `discounts` and `taxes` hold one amount for each discount and tax rate given, `line_discounts`
    one for each line: what all discounts together took off it.
    """

    subtotal: Decimal
    discount: Decimal
    tax: Decimal
    credits: Decimal
    total: Decimal
    discounts: tuple[Decimal, ...]
    taxes: tuple[Decimal, ...]
    line_discounts: tuple[Decimal, ...]


def total_lines(
    lines: Sequence[tuple[str, Decimal]],
    currency: str,
    *,
    discounts: Sequence[Discount] = (),
    tax_rates: Sequence[Decimal] = (),
    credits: Decimal = ZERO,
) -> Totals:
    """Sum up `lines`, pairs of a price's key and a rounded amount.

    A discount takes off what the discounts before it left of its lines, is rounded once, and is
    shared out among the lines in proportion. A tax rate (in percent) applies to what all discounts
    left and is rounded once; rates add, they do not compound. `credits` is the balance there is:
    as much of it is used as the total needs, none when the total is not above zero.
    """
    with exact_arithmetic():
        left = [amount for _, amount in lines]
        subtotal = round_amount(sum(left, ZERO), currency)
        taken = tuple(_take_off(discount, lines, left, currency) for discount in discounts)
        taxable = sum(left, ZERO)
        taxes = tuple(round_amount(taxable * rate * ONE_PERCENT, currency) for rate in tax_rates)
        owed = taxable + sum(taxes)
        used = round_amount(min(credits, max(owed, ZERO)), currency)
        return Totals(
            subtotal=subtotal,
            discount=subtotal - taxable,
            tax=round_amount(sum(taxes, ZERO), currency),
            credits=used,
            total=owed - used,
            discounts=taken,
            taxes=taxes,
            line_discounts=tuple(
                before - after for (_, before), after in zip(lines, left, strict=True)
            ),
        )


def _take_off(
    discount: Discount, lines: Sequence[tuple[str, Decimal]], left: list[Decimal], currency: str
) -> Decimal:
    """Apply a discount to what is `left` of the lines, in place; return its amount."""
    scope = [index for index, (price, _) in enumerate(lines) if discount.applies_to(price)]
    base = sum((left[index] for index in scope), ZERO)
    amount = discount.amount(base, currency)
    if amount:
        weights = [left[index] for index in scope]
        for index, part in zip(scope, allocate_amount(amount, weights, currency), strict=True):
            left[index] -= part
    return amount
