"""What is left to bill of a charge, when documents have billed a part of it before.

What is left is the difference of two totals: what the charge is worth now, less what was billed.
So the sum of all documents is the same however often and whenever a charge was billed.
"""

from dataclasses import dataclass, replace
from decimal import Decimal

from billing.rating.arithmetic import exact_arithmetic, grouped
from billing.rating.lines import RatedLine
from billing.rating.steps import Step


@dataclass(frozen=True, slots=True)
class Billed:
    """What documents have billed of a charge: money, the total it was for, and in how many parts."""

    amount: Decimal
    quantity: Decimal
    parts: int

    def with_line(self, amount: Decimal, quantity: Decimal, part: int) -> "Billed":
        """Return this with a line more; the last part says what total has been billed."""
        with exact_arithmetic():
            amount = self.amount + amount
        if part < self.parts:
            return Billed(amount, self.quantity, self.parts)
        return Billed(amount, quantity, part + 1)


def left_to_bill(
    worth: RatedLine, billed: Billed | None, *, counts_units: bool = True
) -> RatedLine:
    """Return the line for what a charge is `worth` beyond what was `billed`.

    Its steps are those of the worth and one for what was billed, and add up to its amount. What
    `counts_units` says for how many it was.
    """
    if billed is None:
        return worth
    with exact_arithmetic():
        amount = worth.amount - billed.amount
        step = Step("billed", "Already billed", -billed.amount)
        if counts_units:
            words = f"Already billed for {grouped(billed.quantity)}"
            step = Step("billed", words, -billed.amount, -billed.quantity)
    return replace(
        worth, billed_quantity=billed.quantity, amount=amount, steps=(*worth.steps, step)
    )


def nothing_left(
    price: str, billed: Billed, zero: Decimal, *, counts_units: bool = True
) -> RatedLine:
    """Return the line that takes back all of a charge that is no more; `zero` has its places."""
    worth = RatedLine(price, Decimal(0), None, zero, ())
    return left_to_bill(worth, billed, counts_units=counts_units)
