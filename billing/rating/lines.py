"""Lines: what a period's usage costs under one price, less what was billed for it before."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from billing.rating.arithmetic import (
    GUARD_PLACES,
    cut,
    exact_arithmetic,
    grouped,
    plain,
    portion,
)
from billing.rating.money import round_amount
from billing.rating.prices import Price
from billing.rating.steps import Step, StepKind, total_of
from billing.rating.usage import Usage

WHOLE = Fraction(1)


@dataclass(frozen=True, slots=True)
class RatedLine:
    """An invoice line: an amount in whole minor units, and steps that sum to it exactly.

    `quantity` is the period's usage so far as it was metered, in one number (values and quantities
    by dimensions are added up); `billed_quantity` is what earlier invoices of the period billed, or
    `None` when this is the first.
    """

    price: str
    quantity: Decimal
    billed_quantity: Decimal | None
    amount: Decimal
    steps: tuple[Step, ...]

    def as_document(self) -> dict[str, object]:
        return {
            "price": self.price,
            "quantity": plain(self.quantity),
            "amount": plain(self.amount),
            "steps": [step.as_document() for step in self.steps],
        }


def price_usage(
    price: Price,
    usage: Usage,
    billed: Usage | None,
    currency: str,
    *,
    fraction: Fraction = WHOLE,
    is_final: bool = True,
) -> RatedLine:
    """Return `price(usage) - price(billed)`, each side rounded.

    Both are in the form that `price.model.reads` asks for: the period's usage so far, and what
    earlier invoices of the period billed. `billed` is `None` on the first; zero or no usage says
    that an earlier one billed that, with any flat fee due at zero. A difference of totals makes
    the sum of a period's invoices independent of how its usage was split among them.

    `fraction` is the part of a whole period that the subscription lasts: it prorates fees (prices
    without a meter) and the minimum. `is_final` says that no later invoice of the period follows:
    only then does the minimum apply. Raises `PriceError` for an unknown currency.

    A quantity below zero costs what zero costs, so a correction can give back all that a period
    was billed and never more. Stripe reports such usage as zero too.
    """
    if not 0 <= fraction <= 1:
        raise ValueError(f"A part of a period is between 0 and 1, not {fraction}.")
    with exact_arithmetic():
        total = _price_total(price, usage, currency, fraction, has_minimum=is_final)
        if billed is None:
            return RatedLine(price.key, total.quantity, None, total.amount, tuple(total.steps))
        before = _price_total(price, billed, currency, fraction, has_minimum=False)
        words = f"Already billed for {grouped(before.quantity)}"
        steps = (*total.steps, Step("billed", words, -before.amount, -before.quantity))
        amount = round_amount(total.amount - before.amount, currency)
    return RatedLine(price.key, total.quantity, before.quantity, amount, steps)


@dataclass(frozen=True, slots=True)
class _Total:
    """What a usage costs, rounded, and the steps that sum to it."""

    quantity: Decimal
    amount: Decimal
    steps: list[Step]


def _price_total(
    price: Price, usage: Usage, currency: str, fraction: Fraction, *, has_minimum: bool
) -> _Total:
    rated = price.rate(usage)
    steps = rated.steps
    amount = cut(total_of(steps), GUARD_PLACES)
    if price.meter is None and fraction != WHOLE:
        words = f"{fraction.numerator}/{fraction.denominator} of the period"
        amount = _move(steps, "proration", words, amount, portion(amount, fraction))
    if has_minimum and price.minimum_amount is not None:
        minimum = portion(price.minimum_amount, fraction)
        amount = _move(steps, "minimum", "Minimum of the period", amount, max(amount, minimum))
    if price.maximum_amount is not None:
        limited = min(amount, price.maximum_amount)
        amount = _move(steps, "maximum", "Maximum of the period", amount, limited)
    shown = [step.shown() for step in steps]
    amount = round_amount(amount, currency)
    _move(shown, "rounding", "Rounding", total_of(shown), amount)
    return _Total(rated.quantity, amount, shown)


def _move(
    steps: list[Step], kind: StepKind, description: str, amount: Decimal, moved: Decimal
) -> Decimal:
    """Add the step from `amount` to `moved` if there is a difference; return `moved`."""
    if moved != amount:
        steps.append(Step(kind, description, moved - amount))
    return moved
