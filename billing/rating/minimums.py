"""Minimum commitments: what a period's lines are short of the least they have to come to."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from billing.rating.arithmetic import GUARD_PLACES, cut, exact_arithmetic, grouped, portion
from billing.rating.lines import RatedLine
from billing.rating.money import round_amount
from billing.rating.steps import Step, StepKind, total_of

KEY = "minimum"
ONE = Decimal(1)
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Commitment:
    """The least that a whole period comes to, and the part of the period it is in force for."""

    minimum_amount: Decimal
    fraction: Fraction = Fraction(1)

    @property
    def amount(self) -> Decimal:
        return portion(self.minimum_amount, self.fraction)

    def as_step(self) -> Step:
        words = f"Minimum of {grouped(self.minimum_amount)} a period"
        if self.fraction != 1:
            words += f", {self.fraction.numerator}/{self.fraction.denominator} of it"
        return Step("minimum", words, self.amount).shown()


def least_of(commitments: Iterable[Commitment], currency: str) -> Decimal:
    """Return what the lines of a period have to come to, in whole minor units."""
    with exact_arithmetic():
        exact = sum((each.amount for each in commitments), ZERO)
        return round_amount(cut(exact, GUARD_PLACES), currency)


def true_up(commitments: Iterable[Commitment], reached: Decimal, currency: str) -> RatedLine:
    """Return what a period costs beyond the `reached` amount of its other lines.

    Once they reach the minimum it is nothing. Raises `PriceError` for an unknown currency.
    """
    commitments = list(commitments)
    least = least_of(commitments, currency)
    with exact_arithmetic():
        amount = max(least - reached, round_amount(ZERO, currency))
        steps = [each.as_step() for each in commitments]
        counted = max(min(reached, total_of(steps)), ZERO)
        words = f"Fees and usage come to {round_amount(reached, currency):,f}"
        _add(steps, "reached", words, -counted)
        _add(steps, "rounding", "Rounding", amount - total_of(steps))
    return RatedLine(KEY, ONE, None, amount, tuple(steps))


def _add(steps: list[Step], kind: StepKind, description: str, amount: Decimal) -> None:
    """Add a step, unless it is over nothing."""
    if amount:
        steps.append(Step(kind, description, amount))
