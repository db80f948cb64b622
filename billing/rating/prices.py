"""Prices: a model, and what applies around it to any quantity.

The documents, their defaults and their rules are described in docs/pricing.md.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from typing import Self

from billing.rating.arithmetic import exact_arithmetic, grouped, quotient
from billing.rating.documents import Fields, as_document, field_names
from billing.rating.errors import PriceError
from billing.rating.money import words_for_amount
from billing.rating.price_models import PRICE_MODELS, PriceModel
from billing.rating.proration import PRORATIONS

ZERO = Decimal(0)
ONE = Decimal(1)

TIMINGS = ("arrears", "advance")
UNIT_ROUNDINGS = {"up": ROUND_CEILING, "down": ROUND_FLOOR, "half_up": ROUND_HALF_UP}


@dataclass(frozen=True, slots=True)
class UnitConversion:
    """How metered units become priced units: divided, then rounded up, down, half up or not."""

    divide_by: Decimal = ONE
    round: str | None = None

    @classmethod
    def parse(cls, fields: Fields) -> Self:
        fields.only(field_names(cls), "A unit conversion")
        return cls(
            divide_by=fields.positive_quantity("divide_by", ONE),
            round=fields.optional_choice("round", UNIT_ROUNDINGS),
        )

    @property
    def is_identity(self) -> bool:
        return self.divide_by == 1 and self.round is None

    def convert(self, quantity: Decimal) -> Decimal:
        """Return the priced units of a quantity, called inside `exact_arithmetic`."""
        units = quantity if self.divide_by == 1 else quotient(quantity, self.divide_by)
        if self.round is None:
            return units
        return units.to_integral_value(UNIT_ROUNDINGS[self.round])

    def describe(self) -> str:
        rounding = f", rounded {self.round.replace('_', ' ')}" if self.round else ""
        return f"in units of {grouped(self.divide_by)}{rounding}"


@dataclass(frozen=True, slots=True)
class Price:
    """One price of a plan: what a price document says.

    `meter` is `None` for a fee, which does not depend on metered usage: a flat amount, or a
    quantity that the subscription itself states, such as seats. Fees are prorated; usage is not.
    """

    key: str
    name: str
    meter: str | None
    model: PriceModel
    free_units: Decimal = ZERO
    minimum_amount: Decimal | None = None
    maximum_amount: Decimal | None = None
    unit_conversion: UnitConversion = UnitConversion()
    charge_flat_on_zero: bool = True
    timing: str = "arrears"
    proration: str = "day"

    def as_document(self) -> dict[str, object]:
        """Return the document that `parse_price` reads back as an equal price."""
        document = {name: as_document(getattr(self, name)) for name in field_names(Price)}
        return {**document, "model": self.model.key, **self.model.as_document()}

    def describe(self, currency: str) -> str:
        """Return the sentence that customers read, amounts in `currency`."""
        with exact_arithmetic():
            words = self.model.describe(currency)
        free = f"first {grouped(self.free_units)} free, then " if self.free_units else ""
        phrases = [f"{free}{words}"]
        if not self.unit_conversion.is_identity:
            phrases.append(self.unit_conversion.describe())
        if self.minimum_amount:
            phrases.append(f"at least {words_for_amount(self.minimum_amount, currency)}")
        if self.maximum_amount is not None:
            phrases.append(f"at most {words_for_amount(self.maximum_amount, currency)}")
        return "; ".join(phrases)


def parse_price(document: object, path: str = "") -> Price:
    """Read a price document found at `path`; raise `PriceError` on the first fault."""
    fields = Fields(document, path, what="a price")
    model = PRICE_MODELS[fields.choice("model", PRICE_MODELS)]
    fields.only({*field_names(Price), *model.names()}, f"A {model.key} price")
    conversion = fields.object("unit_conversion", "a unit conversion")
    key = fields.key("key")
    price = Price(
        key=key,
        name=fields.text("name", key),
        meter=fields.optional_key("meter"),
        model=model.parse(fields),
        free_units=fields.quantity("free_units", ZERO),
        minimum_amount=fields.optional_rate("minimum_amount"),
        maximum_amount=fields.optional_rate("maximum_amount"),
        unit_conversion=UnitConversion.parse(conversion),
        charge_flat_on_zero=fields.boolean("charge_flat_on_zero", default=True),
        timing=fields.choice("timing", TIMINGS, "arrears"),
        proration=fields.choice("proration", PRORATIONS, "day"),
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
    if not price.model.takes_usage:
        _check_counts_nothing(price, fields)


def _check_counts_nothing(price: Price, fields: Fields) -> None:
    plainest = Price(key=price.key, name=price.name, meter=None, model=price.model)
    for name in ("meter", "free_units", "unit_conversion"):
        if getattr(price, name) != getattr(plainest, name):
            raise PriceError(
                fields.at(name), f"A {price.model.key} price counts no units: leave {name} out."
            )
