"""What a price would charge over a range of quantities, for pictures and tables of it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal

from billing.charts import axis_top
from billing.rating.lines import price_usage
from billing.rating.prices import Price
from billing.rating.usage import Usage, UsageKind

# So many steps a range is cut into.
STEPS = 40
ONE = Decimal(1)
ORDINARY_REACH = Decimal(1000)
# What says, in the document of any price, where something begins or ends.
LANDMARKS = {"up_to", "size", "free_units", "free_amount"}
# How a quantity is used by a price, where one number says it all. A value is that of one event.
SAMPLES: dict[UsageKind, Callable[[Decimal], Usage]] = {
    UsageKind.QUANTITY: lambda quantity: quantity,
    UsageKind.VALUES: lambda value: [(value, 1)],
}


def is_sampled(price: Price) -> bool:
    """Whether what a price charges can be shown over a range of one quantity."""
    return price.model.usage_kind in SAMPLES


def amount_at(price: Price, quantity: Decimal, currency: str) -> Decimal:
    """Return what a quantity costs in a whole period, rounded as an invoice line is."""
    usage = SAMPLES[price.model.usage_kind](quantity)
    return price_usage(price, usage, None, currency).amount


def amounts(price: Price, quantities: Sequence[Decimal], currency: str) -> list[Decimal]:
    return [amount_at(price, quantity, currency) for quantity in quantities]


def quantities_up_to(reach: Decimal, steps: int = STEPS) -> list[Decimal]:
    """Return `steps` + 1 quantities from zero to `reach`, spread evenly."""
    return [reach * step / steps for step in range(steps + 1)]


def reach_of(prices: Sequence[Price]) -> Decimal:
    """Return a round quantity that shows all that prices do: half as far again as their last bound."""
    marks = [
        mark * price.unit_conversion.divide_by
        for price in prices
        for mark in (ONE, *landmarks(price.as_document()))
    ]
    furthest = max(marks, default=Decimal(0))
    return axis_top(furthest * 3 / 2) if furthest > 1 else ORDINARY_REACH


def landmarks(document: object, name: str = "") -> Iterator[Decimal]:
    """Yield the quantities at which a price begins to charge otherwise."""
    if isinstance(document, Mapping):
        for key, value in document.items():
            yield from landmarks(value, str(key))
    elif isinstance(document, list):
        for item in document:
            yield from landmarks(item, name)
    elif name in LANDMARKS and isinstance(document, str):
        yield Decimal(document)
