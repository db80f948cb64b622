"""Price lists as billing reads them: the rows, and what their documents say."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from billing.models import PlanVersion
from billing.models import Price as PriceRow
from billing.rating.money import words_for_amount
from billing.rating.prices import Price, parse_price


@dataclass(frozen=True, slots=True)
class ListedPrice:
    """A price of a list: its row, and what its document says."""

    row: PriceRow
    price: Price

    @property
    def is_licensed(self) -> bool:
        """Whether the subscription states how many units there are."""
        return self.price.meter is None and self.price.counts_units


@dataclass(frozen=True, slots=True)
class PriceList:
    """A plan version with its prices."""

    version: PlanVersion
    prices: tuple[ListedPrice, ...]

    @property
    def cadence(self) -> tuple[str, int]:
        return self.version.interval, self.version.interval_count

    @property
    def licensed(self) -> list[str]:
        """Return the keys of the prices whose quantity the subscription states."""
        return [each.price.key for each in self.prices if each.is_licensed]

    @property
    def threshold(self) -> Decimal | None:
        threshold: Decimal | None = self.version.invoice_threshold
        return threshold

    @property
    def minimum(self) -> Decimal | None:
        """Return the least that the lines of a whole period come to, if the version says so."""
        minimum: Decimal | None = self.version.minimum_amount
        return minimum or None

    @property
    def proration(self) -> str:
        """Return how the list's flat fee is prorated, and with it the minimum; by days without."""
        fees = [each.price for each in self.prices if each.price.meter is None]
        flat = [price for price in fees if not price.model.takes_usage]
        return next((price.proration for price in [*flat, *fees]), "day")


def price_lists(version_ids: Iterable[int]) -> dict[int, PriceList]:
    """Return the lists of some versions by their ids, in a fixed number of queries."""
    versions = PlanVersion.objects.filter(pk__in=set(version_ids)).select_related("plan")
    return {
        version.pk: PriceList(version, tuple(map(listed_price, version.prices.all())))
        for version in versions.prefetch_related("prices__meter")
    }


def words_of(version: PlanVersion) -> Iterator[tuple[str, str]]:
    """Yield the name of each price and the sentence that customers read of it, the minimum last."""
    for price in version.prices.all():
        yield price.name, parse_price(price.document).describe(version.currency)
    if version.minimum_amount:
        least = words_for_amount(version.minimum_amount, version.currency)
        yield "Minimum", f"at least {least} a period, fees and usage together"


def listed_price(row: PriceRow) -> ListedPrice:
    return ListedPrice(row, parse_price(row.document))
