"""Prices: a model, and what applies around it to any quantity.

The documents, their defaults and their rules are described in docs/pricing.md.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any, override

from billing.rating.arithmetic import exact_arithmetic
from billing.rating.documents import Fields, Reader, choice_of
from billing.rating.errors import PriceError
from billing.rating.money import words_for_amount
from billing.rating.price_models import PRICE_MODELS
from billing.rating.price_models.base import TARIFF_READERS, PriceModel, Tariff
from billing.rating.proration import PRORATIONS
from billing.rating.usage import UsageKind

TIMINGS = ("arrears", "advance")


@dataclass(frozen=True, slots=True, kw_only=True)
class Price(Tariff):
    """One price of a plan: what a price document says.

    `meter` is `None` for a fee, which does not depend on metered usage: a flat amount, or a
    quantity that the subscription itself states, such as seats. Fees are prorated; usage is not.
    """

    key: str
    name: str
    meter: str | None = None
    minimum_amount: Decimal | None = None
    maximum_amount: Decimal | None = None
    timing: str = "arrears"
    proration: str = "day"

    @property
    def counts_units(self) -> bool:
        """Whether it is for a number of units, metered or stated; a flat fee is not."""
        return self.model.takes_usage

    @override
    def describe(self, currency: str) -> str:
        """Return the sentence that customers read, amounts in `currency`."""
        with exact_arithmetic():
            phrases = [Tariff.describe(self, currency)]
        if self.minimum_amount:
            phrases.append(f"at least {words_for_amount(self.minimum_amount, currency)}")
        if self.maximum_amount is not None:
            phrases.append(f"at most {words_for_amount(self.maximum_amount, currency)}")
        return "; ".join(phrases)


_PRICE_READERS: dict[str, Reader] = {
    **TARIFF_READERS,
    "name": Fields.text,
    "meter": Fields.key,
    "minimum_amount": Fields.rate,
    "maximum_amount": Fields.rate,
    "timing": choice_of(TIMINGS),
    "proration": choice_of(PRORATIONS),
}


@cache
def _names_with(model: type[PriceModel[Any]]) -> tuple[str, ...]:
    return (*Price.names(), *model.names())


def parse_price(document: object, path: str = "") -> Price:
    """Read a price document found at `path`; raise `PriceError` on the first fault."""
    fields = Fields(document, path, what="a price")
    model = PRICE_MODELS[fields.choice("model", PRICE_MODELS)]
    fields.only(_names_with(model), f"A {model.key} price")
    key = fields.key("key")
    price = Price(
        model=model.parse(fields), **{"key": key, "name": key, **fields.given(_PRICE_READERS)}
    )
    _check(price, fields)
    return price


def parse_prices(documents: Iterable[object], path: str = "prices") -> tuple[Price, ...]:
    """Read a price list; no two prices have one key."""
    prices: dict[str, Price] = {}
    for index, document in enumerate(documents):
        price = parse_price(document, f"{path}.{index}")
        if price.key in prices:
            raise PriceError(
                f"{path}.{index}.key",
                f'Another price of this list has the key "{price.key}": write a different one.',
            )
        prices[price.key] = price
    return tuple(prices.values())


def _check(price: Price, fields: Fields) -> None:
    """Refuse fields that contradict each other."""
    if (
        price.minimum_amount is not None
        and price.maximum_amount is not None
        and price.maximum_amount < price.minimum_amount
    ):
        raise PriceError(
            fields.at("maximum_amount"), "Write an amount that is not below minimum_amount."
        )
    if price.meter is not None and price.timing == "advance":
        raise PriceError(
            fields.at("timing"), "Usage is known at the end of its period: write arrears."
        )
    if price.meter is not None and not price.model.takes_usage:
        raise PriceError(
            fields.at("meter"), f"A {price.model.key} price counts no units: leave meter out."
        )
    if price.model.usage_kind is not UsageKind.QUANTITY:
        _check_counts_no_units(price, fields)


def _check_counts_no_units(price: Price, fields: Fields) -> None:
    """Refuse what would change a quantity where the model reads none."""
    plainest = Tariff(model=price.model)
    advice = _NO_UNITS.get(price.model.usage_kind, "leave {} out")
    for name in ("free_units", "unit_conversion"):
        if getattr(price, name) != getattr(plainest, name):
            raise PriceError(
                fields.at(name),
                f"A {price.model.key} price counts no units: {advice.format(name)}.",
            )


_NO_UNITS = {UsageKind.QUANTITIES: "write {} in the price of each cell"}
