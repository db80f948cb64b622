"""Steps: how an amount came about, one printed line each. They always sum to the amount."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

from billing.rating.arithmetic import PRODUCT_PLACES, QUANTITY_PLACES, cut, plain

type StepKind = Literal[
    "conversion",
    "free",
    "flat",
    "units",
    "tier",
    "package",
    "dynamic",
    "percentage",
    "fixed",
    "event_minimum",
    "event_maximum",
    "unpriced",
    "proration",
    "minimum",
    "maximum",
    "reached",
    "rounding",
    "billed",
]


ZERO = Decimal(0)
ONE_PERCENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Step:
    """One line of an explanation, such as "Next 9,000", 500 at 0.008 each, 4.000.

    `rate` is the percentage of `quantity` that is charged, where it is one.
    `tier`, `tier_from` and `tier_up_to` are set on the steps of a tier: its number from 1, the
    quantity above which it begins, and the last one in it (`None` when it has no end).
    """

    kind: StepKind
    description: str
    amount: Decimal
    quantity: Decimal | None = None
    unit_amount: Decimal | None = None
    tier: int | None = None
    tier_from: Decimal | None = None
    tier_up_to: Decimal | None = None
    rate: Decimal | None = None

    def shown(self) -> "Step":
        """Return the step without the digits of a division that goes on for ever."""
        quantity = None if self.quantity is None else cut(self.quantity, QUANTITY_PLACES)
        amount = cut(self.amount, PRODUCT_PLACES)
        if quantity is self.quantity and amount is self.amount:
            return self
        return replace(self, quantity=quantity, amount=amount)

    def as_document(self) -> dict[str, object]:
        """Return the step as JSON carries it: what does not apply is left out."""
        document: dict[str, object] = {"kind": self.kind, "description": self.description}
        if self.tier is not None and self.tier_from is not None:
            document["tier"] = self.tier
            document["from"] = plain(self.tier_from)
            document["up_to"] = None if self.tier_up_to is None else plain(self.tier_up_to)
        if self.quantity is not None:
            document["quantity"] = plain(self.quantity)
        if self.unit_amount is not None:
            document["unit_amount"] = plain(self.unit_amount)
        if self.rate is not None:
            document["rate"] = plain(self.rate)
        document["amount"] = plain(self.amount)
        return document


def percentage_of(value: Decimal, percent: Decimal) -> Decimal:
    """Return a percentage of a value, called inside `exact_arithmetic`."""
    return value * percent * ONE_PERCENT


def total_of(steps: Iterable[Step]) -> Decimal:
    return sum([step.amount for step in steps], ZERO)
