"""What a document's lines add up to: discounts, then taxes, then credits."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any, Protocol

from billing.rating.totals import total_lines
from billing.selectors.taxes import tax_summary, taxation_of
from customers.models import Customer


class Amount(Protocol):
    """What sums need to know of a line."""

    @property
    def price(self) -> str: ...

    @property
    def amount(self) -> Decimal: ...


@dataclass(frozen=True, slots=True)
class Sums:
    """The foot of a document, in whole minor units; the names are those of Invoice.

    `taxes` has one entry for each rate: `key`, `name`, `percent`, the `base` it is on and its
    `amount`. `tax_note` is the sentence that says why no tax is charged.
    """

    subtotal: Decimal
    discount: Decimal
    tax: Decimal
    credits: Decimal
    total: Decimal
    taxes: list[dict[str, Any]]
    tax_note: str


TOTAL_FIELDS = tuple(each.name for each in fields(Sums))


def sums_of(customer: Customer, currency: str, lines: Iterable[Amount]) -> Sums:
    """Add lines up as the customer's terms are now."""
    taxation = taxation_of(customer)
    amounts: Sequence[tuple[str, Decimal]] = [(line.price, line.amount) for line in lines]
    totals = total_lines(amounts, currency, tax_rates=taxation.percents)
    return Sums(
        subtotal=totals.subtotal,
        discount=totals.discount,
        tax=totals.tax,
        credits=totals.credits,
        total=totals.total,
        taxes=tax_summary(taxation, totals.subtotal - totals.discount, totals.taxes),
        tax_note=taxation.note,
    )
