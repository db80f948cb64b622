"""What a document's lines add up to: discounts, then taxes, then credits."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any, Protocol

from billing.rating.money import round_amount
from billing.rating.totals import total_lines
from billing.selectors.taxes import tax_summary, taxation_of
from customers.models import Customer

ZERO = Decimal(0)


class Amount(Protocol):
    """What sums need to know of a line."""

    @property
    def price(self) -> str: ...

    @property
    def amount(self) -> Decimal: ...

    @property
    def discount(self) -> Decimal: ...


@dataclass(frozen=True, slots=True)
class Sums:
    """The foot of a document, in whole minor units; the names are those of Invoice.

    `discounts` has one entry for each coupon: `coupon`, `name` and `amount`. `taxes` has one entry for each rate: `key`, `name`, `percent`, the `base` it is on and its
    `amount`. `tax_note` is the sentence that says why no tax is charged.
    """

    subtotal: Decimal
    discount: Decimal
    tax: Decimal
    credits: Decimal
    total: Decimal
    discounts: list[dict[str, Any]]
    taxes: list[dict[str, Any]]
    tax_note: str


TOTAL_FIELDS = tuple(each.name for each in fields(Sums))


def sums_of(
    customer: Customer,
    currency: str,
    lines: Sequence[Amount],
    discounts: Sequence[dict[str, Any]] = (),
) -> Sums:
    """Add lines, whose discounts are worked out, up as the customer's taxes are now."""
    taxation = taxation_of(customer)
    discount = sum((line.discount for line in lines), round_amount(ZERO, currency))
    left = [(line.price, line.amount - line.discount) for line in lines]
    totals = total_lines(left, currency, tax_rates=taxation.percents)
    return Sums(
        subtotal=totals.subtotal + discount,
        discount=discount,
        discounts=list(discounts),
        tax=totals.tax,
        credits=totals.credits,
        total=totals.total,
        taxes=tax_summary(taxation, totals.subtotal, totals.taxes),
        tax_note=taxation.note,
    )
