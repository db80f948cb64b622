"""Which tax rates customers are charged: their own, otherwise those of their country."""

from collections.abc import Sequence

from django.db.models import prefetch_related_objects

from customers.models import Customer, TaxRate


def charged_rates(customer: Customer) -> tuple[TaxRate, ...]:
    """Return the rates that a customer is charged if it is taxable, in the order of their keys."""
    own = tuple(customer.tax_rates.all())
    if own or not is_by_country(customer):
        return own
    if customer.rates_of_country is None:
        prefetch_rates([customer])
    return tuple(customer.rates_of_country or ())


def prefetch_rates(customers: Sequence[Customer]) -> None:
    """Read what `charged_rates` needs to know, for all of these customers at once."""
    prefetch_related_objects(customers, "tax_rates")
    asking = [each for each in customers if is_by_country(each) and not each.tax_rates.all()]
    if not asking:
        return
    defaults = list(
        TaxRate.objects.filter(
            is_default=True, is_active=True, country__in={each.country for each in asking}
        )
    )
    for customer in asking:
        customer.rates_of_country = [rate for rate in defaults if is_of(rate, customer)]


def is_by_country(customer: Customer) -> bool:
    return customer.is_taxed_by_country and bool(customer.country)


def is_of(rate: TaxRate, customer: Customer) -> bool:
    """Say whether a rate is one of the place where a customer is, by its address."""
    region = rate.region.strip().casefold()
    return rate.country == customer.country and region in {"", customer.state.strip().casefold()}
