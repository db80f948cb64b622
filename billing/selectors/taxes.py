"""Which taxes a customer's documents carry, and what they say about them."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from customers.models import Customer, TaxRate
from customers.selectors import charged_rates
from customers.tax_ids import EU_COUNTRIES

EXEMPT = "No tax is charged: the customer is exempt."
REVERSE_CHARGE = "Reverse charge: the customer is liable for the tax."
REVERSE_CHARGE_EU = (
    "Reverse charge: the customer is liable for the tax "
    "(Article 196 of Council Directive 2006/112/EC)."
)


@dataclass(frozen=True, slots=True)
class Taxation:
    """The rates that are charged, or why there are none."""

    rates: tuple[TaxRate, ...] = ()
    note: str = ""

    @property
    def percents(self) -> list[Decimal]:
        return [rate.percent for rate in self.rates]


def taxation_of(customer: Customer) -> Taxation:
    """Return how a customer is taxed now."""
    match customer.tax_status:
        case Customer.TaxStatus.EXEMPT:
            return Taxation(note=EXEMPT)
        case Customer.TaxStatus.REVERSE_CHARGE:
            is_european = customer.country in EU_COUNTRIES
            return Taxation(note=REVERSE_CHARGE_EU if is_european else REVERSE_CHARGE)
    return Taxation(charged_rates(customer))


def tax_summary(
    taxation: Taxation, base: Decimal, amounts: Sequence[Decimal]
) -> list[dict[str, Any]]:
    """Return what a document says of its taxes: for each rate what it is on, and how much it is."""
    return [
        {
            "key": rate.key,
            "name": rate.name,
            "percent": f"{rate.percent.normalize():f}",
            "country": rate.country,
            "region": rate.region,
            "base": f"{base:f}",
            "amount": f"{amount:f}",
        }
        for rate, amount in zip(taxation.rates, amounts, strict=True)
    ]
