"""Giving back: what part of an issued document a credit note takes, never more than is left.

A part says how much of each line and of each tax is given back. Whatever parts a document is given
back in, together they are the document, to the last minor unit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from billing.rating.arithmetic import exact_arithmetic
from billing.rating.money import allocate_amount, round_amount

ZERO = Decimal(0)
ONE_PERCENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Part:
    """What is left of a document, or given back of it: of each line without tax, of each tax."""

    lines: tuple[Decimal, ...]
    taxes: tuple[Decimal, ...]

    @property
    def net(self) -> Decimal:
        with exact_arithmetic():
            return sum(self.lines, ZERO)

    @property
    def tax(self) -> Decimal:
        with exact_arithmetic():
            return sum(self.taxes, ZERO)

    @property
    def total(self) -> Decimal:
        return self.net + self.tax


def part_by_lines(
    left: Part, amounts: Mapping[int, Decimal], percents: Sequence[Decimal], currency: str
) -> Part:
    """Return the part that gives back `amounts` of some lines, by position, with their tax.

    Each tax is its percent of what is given back, rounded, as on a document of its own; but never
    more than is left of it, and all of it with the last of the lines.
    """
    lines = tuple(
        round_amount(amounts.get(position, ZERO), currency) for position in range(len(left.lines))
    )
    with exact_arithmetic():
        return Part(lines, taxes_with(left, sum(lines, ZERO), percents, currency))


def taxes_with(
    left: Part, net: Decimal, percents: Sequence[Decimal], currency: str
) -> tuple[Decimal, ...]:
    """Return the taxes that are given back with `net`; see `part_by_lines`."""
    if net == left.net:
        return left.taxes
    with exact_arithmetic():
        return tuple(
            min(there, round_amount(net * percent * ONE_PERCENT, currency))
            for there, percent in zip(left.taxes, percents, strict=True)
        )


def part_by_amount(left: Part, amount: Decimal, currency: str) -> Part:
    """Return the part that comes to `amount`, tax included, in the proportions of what is left.

    The amount is in whole minor units and at most what is left.
    """
    if amount == left.total:
        return left
    net, *taxes = allocate_amount(amount, [left.net, *left.taxes], currency)
    if not left.net:
        return Part(tuple(round_amount(ZERO, currency) for _ in left.lines), tuple(taxes))
    return Part(allocate_amount(net, left.lines, currency), tuple(taxes))
