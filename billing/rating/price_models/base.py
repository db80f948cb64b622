"""What a price model is, and how metered quantities become the units that it prices."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from typing import Any, ClassVar, Self, get_type_hints, override

from billing.rating.arithmetic import grouped, quotient
from billing.rating.documents import Fields, Reader, as_document, choice_of, field_names
from billing.rating.steps import Step
from billing.rating.usage import UsageKind, UsageRead

ZERO = Decimal(0)
ONE = Decimal(1)
UNIT_ROUNDINGS = {"up": ROUND_CEILING, "down": ROUND_FLOOR, "half_up": ROUND_HALF_UP}


@dataclass(frozen=True, slots=True)
class Rated:
    """What a period's usage costs, unrounded: the amounts of `steps` sum to it.

    `quantity` is the usage in one number: all values or all groups added up.
    """

    quantity: Decimal
    steps: list[Step]


class PriceModel[Used](ABC):
    """How a period's usage becomes an amount. Subclasses are frozen dataclasses.

    `key` names the model in documents, `label` in forms, `summary` says in a sentence what it is
    for. `usage_kind` is the form of usage (`Used`) that it reads. Most models read a quantity:
    those extend `QuantityModel`.
    """

    key: ClassVar[str]
    label: ClassVar[str]
    summary: ClassVar[str]
    usage_kind: ClassVar[UsageKind]
    # Whether what it reads are amounts of money that events carry, which nobody can state.
    reads_money: ClassVar[bool] = False

    @property
    def reads(self) -> UsageRead:
        """What to fetch from metering to price a period."""
        return UsageRead(self.usage_kind)

    @property
    def takes_usage(self) -> bool:
        """Whether the model charges by usage: false if it costs the same whatever was used."""
        return self.usage_kind is not UsageKind.NOTHING

    @classmethod
    @abstractmethod
    def parse(cls, fields: Fields) -> Self:
        """Read the model's own fields; raise `PriceError` naming the one that is wrong."""

    @abstractmethod
    def rate_usage(self, usage: Used, tariff: "Tariff") -> Rated:
        """Return the unrounded price of a period's usage, called inside `exact_arithmetic`."""

    @abstractmethod
    def describe(self, currency: str) -> str:
        """Return the phrase that customers read: "first 1,000 free, then $0.002 each"."""

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the names of the model's own fields."""
        return field_names(cls)

    @classmethod
    def types(cls) -> dict[str, Any]:
        """Return the types of the model's own fields: forms are made from them."""
        hints = get_type_hints(cls)
        return {name: hints[name] for name in cls.names()}

    def as_document(self) -> dict[str, object]:
        """Return the model's own fields; `parse` reads them back."""
        return {name: as_document(getattr(self, name)) for name in self.names()}


class QuantityModel(PriceModel[Decimal]):
    """A model that prices a quantity, after units are converted and free ones taken off."""

    usage_kind = UsageKind.QUANTITY

    @abstractmethod
    def rate(self, quantity: Decimal) -> tuple[Step, ...]:
        """Return the steps whose amounts sum to the unrounded price of a quantity of 0 or more."""

    @override
    def rate_usage(self, usage: Decimal, tariff: "Tariff") -> Rated:
        units, steps = tariff.billable_units(usage)
        if units or tariff.charge_flat_on_zero:
            steps += self.rate(units)
        return Rated(usage, steps)


PRICE_MODELS: dict[str, type[PriceModel[Any]]] = {}


def register[Model: type[PriceModel[Any]]](model: Model) -> Model:
    PRICE_MODELS[model.key] = model
    return model


@dataclass(frozen=True, slots=True)
class UnitConversion:
    """How metered units become priced units: divided, then rounded up, down, half up or not."""

    divide_by: Decimal = ONE
    round: str | None = None

    @classmethod
    def read(cls, fields: Fields, name: str) -> Self:
        document = fields.object(name, "a unit conversion")
        document.only(field_names(cls), "A unit conversion")
        return cls(**document.given(_CONVERSION_READERS))

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


_CONVERSION_READERS: dict[str, Reader] = {
    "divide_by": Fields.positive_quantity,
    "round": choice_of(UNIT_ROUNDINGS),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """A model, and what happens to a quantity before the model prices it."""

    model: PriceModel[Any]
    free_units: Decimal = ZERO
    unit_conversion: UnitConversion = UnitConversion()
    charge_flat_on_zero: bool = True

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the names of the fields that a document may have beside the model's own."""
        return field_names(cls)

    def rate(self, usage: Any) -> Rated:
        """Return what usage costs under the model, called inside `exact_arithmetic`.

        `usage` has the form that `model.reads` names.
        """
        return self.model.rate_usage(usage, self)

    def billable_units(self, quantity: Decimal) -> tuple[Decimal, list[Step]]:
        """Return what is left to price of a quantity, and the steps that say why."""
        steps: list[Step] = []
        used = max(quantity, ZERO)
        units = self.unit_conversion.convert(used)
        if not self.unit_conversion.is_identity:
            words = f"{grouped(used)} {self.unit_conversion.describe()}"
            steps.append(Step("conversion", words, ZERO, units))
        free = min(units, self.free_units)
        if free:
            steps.append(Step("free", "Free units", ZERO, free, ZERO))
        return units - free, steps

    def as_document(self) -> dict[str, object]:
        """Return the document that is read back as an equal tariff: the model's fields are its."""
        document = {name: as_document(getattr(self, name)) for name in self.names()}
        return {**document, "model": self.model.key, **self.model.as_document()}

    def describe(self, currency: str) -> str:
        """Return the phrase that customers read, amounts in `currency`."""
        free = f"first {grouped(self.free_units)} free, then " if self.free_units else ""
        words = f"{free}{self.model.describe(currency)}"
        return (
            words
            if self.unit_conversion.is_identity
            else f"{words}; {self.unit_conversion.describe()}"
        )


# How a document's fields beside the model's own are read; what it leaves out has its default.
TARIFF_READERS: dict[str, Reader] = {
    "free_units": Fields.quantity,
    "unit_conversion": UnitConversion.read,
    "charge_flat_on_zero": Fields.boolean,
}
