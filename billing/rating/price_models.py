"""The price models: what a quantity costs, and the words for it.

A new model is one class here, registered. Its dataclass fields are the fields of its documents;
validation, API, admin forms, documentation and tests are derived from the registry.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Self, override

from billing.rating.arithmetic import grouped
from billing.rating.documents import Fields, described, field_names
from billing.rating.documents import as_document as value_as_document
from billing.rating.errors import PriceError
from billing.rating.money import words_for_amount
from billing.rating.steps import Step

ZERO = Decimal(0)


class PriceModel(ABC):
    """How a quantity becomes an amount. Subclasses are frozen dataclasses.

    `key` names the model in documents, `label` in forms, `summary` says in a sentence what it is
    for. `takes_usage` is false for a model that charges the same whatever was used.
    """

    key: ClassVar[str]
    label: ClassVar[str]
    summary: ClassVar[str]
    takes_usage: ClassVar[bool] = True

    @classmethod
    @abstractmethod
    def parse(cls, fields: Fields) -> Self:
        """Read the model's own fields; raise `PriceError` naming the one that is wrong."""

    @abstractmethod
    def rate(self, quantity: Decimal) -> tuple[Step, ...]:
        """Return the steps whose amounts sum to the unrounded price of a quantity of 0 or more.

        Called inside `exact_arithmetic`.
        """

    @abstractmethod
    def describe(self, currency: str) -> str:
        """Return the phrase that customers read: "first 1,000 free, then $0.002 each"."""

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the names of the model's own fields."""
        return field_names(cls)

    def as_document(self) -> dict[str, object]:
        """Return the model's own fields; `parse` reads them back."""
        return {name: value_as_document(getattr(self, name)) for name in self.names()}


PRICE_MODELS: dict[str, type[PriceModel]] = {}


def register[Model: type[PriceModel]](model: Model) -> Model:
    PRICE_MODELS[model.key] = model
    return model


@register
@dataclass(frozen=True, slots=True)
class Flat(PriceModel):
    key: ClassVar[str] = "flat"
    label: ClassVar[str] = "Flat fee"
    summary: ClassVar[str] = "The same amount every period, whatever is used."
    takes_usage: ClassVar[bool] = False

    amount: Decimal

    @override
    @classmethod
    def parse(cls, fields: Fields) -> Self:
        return cls(amount=fields.rate("amount"))

    @override
    def rate(self, quantity: Decimal) -> tuple[Step, ...]:
        return (Step("flat", "Flat fee", self.amount),)

    @override
    def describe(self, currency: str) -> str:
        return words_for_amount(self.amount, currency)


@register
@dataclass(frozen=True, slots=True)
class PerUnit(PriceModel):
    key: ClassVar[str] = "per_unit"
    label: ClassVar[str] = "Per unit"
    summary: ClassVar[str] = "Every unit costs the same."

    unit_amount: Decimal

    @override
    @classmethod
    def parse(cls, fields: Fields) -> Self:
        return cls(unit_amount=fields.rate("unit_amount"))

    @override
    def rate(self, quantity: Decimal) -> tuple[Step, ...]:
        amount = quantity * self.unit_amount
        return (Step("units", "All units", amount, quantity, self.unit_amount),)

    @override
    def describe(self, currency: str) -> str:
        return _each(self.unit_amount, currency)


@dataclass(frozen=True, slots=True)
class Tier:
    """Quantities above the tier before, up to and including `up_to`; the last has no end."""

    up_to: Decimal | None
    unit_amount: Decimal = ZERO
    flat_amount: Decimal = ZERO

    @classmethod
    def parse(cls, fields: Fields, *, above: Decimal, is_last: bool) -> Self:
        fields.only(field_names(cls), "A tier")
        return cls(
            up_to=cls._bound(fields, above=above, is_last=is_last),
            unit_amount=fields.rate("unit_amount", ZERO),
            flat_amount=fields.rate("flat_amount", ZERO),
        )

    @staticmethod
    def _bound(fields: Fields, *, above: Decimal, is_last: bool) -> Decimal | None:
        value = fields.get("up_to")
        if is_last:
            if value is not None:
                message = "The last tier takes everything above the others: write null, not {}."
                raise PriceError(fields.at("up_to"), message.format(described(value)))
            return None
        if value is None:
            message = "Only the last tier has no end: write a number above {}."
            raise PriceError(fields.at("up_to"), message.format(grouped(above)))
        bound = fields.quantity("up_to")
        if bound <= above:
            message = "Tiers ascend without overlap: write a number above {}, not {}."
            raise PriceError(fields.at("up_to"), message.format(grouped(above), grouped(bound)))
        return bound

    def steps(self, number: int, start: Decimal, quantity: Decimal, words: str) -> tuple[Step, ...]:
        """Return what `quantity` units cost in this tier, and its flat fee."""
        place = (number, start, self.up_to)
        steps: list[Step] = []
        if quantity or not self.flat_amount:
            amount = quantity * self.unit_amount
            steps.append(Step("tier", words, amount, quantity, self.unit_amount, *place))
        if self.flat_amount:
            steps.append(Step("flat", f"{words}: flat fee", self.flat_amount, None, None, *place))
        return tuple(steps)

    def describe(self, opening: str, currency: str) -> str:
        if not self.flat_amount:
            joint = "at " if opening and self.unit_amount else ""
            return f"{opening}{joint}{_each(self.unit_amount, currency)}"
        joint = "for " if opening else ""
        flat = words_for_amount(self.flat_amount, currency)
        each = f" plus {_each(self.unit_amount, currency)}" if self.unit_amount else ""
        return f"{opening}{joint}{flat}{each}"


@dataclass(frozen=True, slots=True)
class TieredModel(PriceModel):
    """What graduated and volume share: tiers that ascend from 0 without a gap, the last open."""

    tiers: tuple[Tier, ...]

    @override
    @classmethod
    def parse(cls, fields: Fields) -> Self:
        documents = list(fields.objects("tiers", "a tier"))
        if not documents:
            raise PriceError(
                fields.at("tiers"), "Write a list of at least one tier; the last has up_to null."
            )
        tiers: list[Tier] = []
        above = ZERO
        for document in documents:
            tiers.append(Tier.parse(document, above=above, is_last=document is documents[-1]))
            above = tiers[-1].up_to or above
        return cls(tiers=tuple(tiers))

    def placed_tiers(self) -> Iterator[tuple[int, Decimal, Tier]]:
        """Yield each tier with its number from 1 and the quantity above which it begins."""
        start = ZERO
        for number, tier in enumerate(self.tiers, 1):
            yield number, start, tier
            start = tier.up_to or start


@register
@dataclass(frozen=True, slots=True)
class Graduated(TieredModel):
    key: ClassVar[str] = "graduated"
    label: ClassVar[str] = "Graduated tiers"
    summary: ClassVar[str] = "Each unit costs what the tier it falls in says."

    @override
    def rate(self, quantity: Decimal) -> tuple[Step, ...]:
        steps: list[Step] = []
        for number, start, tier in self.placed_tiers():
            if number > 1 and quantity <= start:
                break
            end = quantity if tier.up_to is None else min(quantity, tier.up_to)
            steps += tier.steps(number, start, end - start, _span(start, tier.up_to))
        return tuple(steps)

    @override
    def describe(self, currency: str) -> str:
        phrases = []
        for _, start, tier in self.placed_tiers():
            if tier.up_to is not None:
                opening = f"{_span(start, tier.up_to).lower()} "
                phrases.append(tier.describe(opening, currency))
            else:
                phrases.append(f"{'then ' if start else ''}{tier.describe('', currency)}")
        return ", ".join(phrases)


@register
@dataclass(frozen=True, slots=True)
class Volume(TieredModel):
    key: ClassVar[str] = "volume"
    label: ClassVar[str] = "Volume tiers"
    summary: ClassVar[str] = "All units cost what the tier that their total reaches says."

    @override
    def rate(self, quantity: Decimal) -> tuple[Step, ...]:
        number, start, tier = next(
            place
            for place in self.placed_tiers()
            if place[2].up_to is None or quantity <= place[2].up_to
        )
        return tier.steps(number, start, quantity, f"All units, {_reach(start, tier.up_to)}")

    @override
    def describe(self, currency: str) -> str:
        return "all units, by their total: " + ", ".join(
            tier.describe(f"{_reach(start, tier.up_to)} ", currency)
            for _, start, tier in self.placed_tiers()
        )


@register
@dataclass(frozen=True, slots=True)
class Package(PriceModel):
    key: ClassVar[str] = "package"
    label: ClassVar[str] = "Package"
    summary: ClassVar[str] = "Units are sold in packages of a size."

    size: Decimal
    amount: Decimal
    round: str = "up"

    @override
    @classmethod
    def parse(cls, fields: Fields) -> Self:
        return cls(
            size=fields.positive_quantity("size"),
            amount=fields.rate("amount"),
            round=fields.choice("round", ("up", "down"), "up"),
        )

    @override
    def rate(self, quantity: Decimal) -> tuple[Step, ...]:
        packages, rest = divmod(quantity, self.size)
        if rest and self.round == "up":
            packages += 1
        description = f"Packages of {grouped(self.size)}"
        return (Step("package", description, packages * self.amount, packages, self.amount),)

    @override
    def describe(self, currency: str) -> str:
        whole = "every started" if self.round == "up" else "every full"
        return f"{words_for_amount(self.amount, currency)} for {whole} {grouped(self.size)}"


def _each(unit_amount: Decimal, currency: str) -> str:
    return f"{words_for_amount(unit_amount, currency)} each" if unit_amount else "free"


def _span(start: Decimal, up_to: Decimal | None) -> str:
    """Name the units of a tier: First 1,000; Next 9,000; Above 10,000."""
    if up_to is None:
        return f"Above {grouped(start)}" if start else "All units"
    return f"{'Next' if start else 'First'} {grouped(up_to - start)}"


def _reach(start: Decimal, up_to: Decimal | None) -> str:
    """Name the totals of a tier: up to 1,000; above 10,000; any number."""
    if up_to is not None:
        return f"up to {grouped(up_to)}"
    return f"above {grouped(start)}" if start else "any number"
