"""Models with tiers: graduated and volume over units, graduated percentage over value."""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar, Self, override

from billing.rating.arithmetic import grouped
from billing.rating.documents import Fields, described, field_names
from billing.rating.errors import PriceError
from billing.rating.money import words_for_amount
from billing.rating.price_models.base import ZERO, QuantityModel, register
from billing.rating.steps import Step, percentage_of

type Place = tuple[int, Decimal, Decimal | None]


@dataclass(frozen=True, slots=True)
class Tier:
    """Quantities above the tier before, up to and including `up_to`; the last has no end."""

    up_to: Decimal | None
    flat_amount: Decimal = ZERO

    @classmethod
    def parse(cls, fields: Fields, *, above: Decimal, is_last: bool) -> Self:
        fields.only(field_names(cls), "A tier")
        bound, *amounts = field_names(cls)
        return cls(
            _bound(fields, bound, above=above, is_last=is_last),
            *(fields.rate(name, ZERO) for name in amounts),
        )

    @abstractmethod
    def charge(self, words: str, quantity: Decimal, place: Place) -> Step:
        """Return the step for what is used in this tier."""

    @abstractmethod
    def words(self, currency: str) -> str:
        """Write the rate, nothing for a rate of zero."""

    @staticmethod
    def bound_words(bound: Decimal, currency: str) -> str:
        return grouped(bound)

    def steps(self, number: int, start: Decimal, quantity: Decimal, words: str) -> tuple[Step, ...]:
        """Return what `quantity` units cost in this tier, and its flat fee."""
        place = (number, start, self.up_to)
        steps: list[Step] = []
        if quantity or not self.flat_amount:
            steps.append(self.charge(words, quantity, place))
        if self.flat_amount:
            flat = Step("flat", f"{words}: flat fee", self.flat_amount, None, None, *place)
            steps.append(flat)
        return tuple(steps)

    def describe(self, opening: str, currency: str) -> str:
        rate = self.words(currency)
        if not self.flat_amount:
            joint = "at " if opening and rate else ""
            return f"{opening}{joint}{rate or 'free'}"
        joint = "for " if opening else ""
        flat = words_for_amount(self.flat_amount, currency)
        return f"{opening}{joint}{flat}{f' plus {rate}' if rate else ''}"


@dataclass(frozen=True, slots=True)
class UnitTier(Tier):
    unit_amount: Decimal = ZERO

    @override
    def charge(self, words: str, quantity: Decimal, place: Place) -> Step:
        amount = quantity * self.unit_amount
        return Step("tier", words, amount, quantity, self.unit_amount, *place)

    @override
    def words(self, currency: str) -> str:
        return f"{words_for_amount(self.unit_amount, currency)} each" if self.unit_amount else ""


@dataclass(frozen=True, slots=True)
class PercentTier(Tier):
    rate: Decimal = ZERO

    @override
    def charge(self, words: str, quantity: Decimal, place: Place) -> Step:
        amount = percentage_of(quantity, self.rate)
        return Step("tier", words, amount, quantity, None, *place, rate=self.rate)

    @override
    def words(self, currency: str) -> str:
        return f"{grouped(self.rate)}%" if self.rate else ""

    @override
    @staticmethod
    def bound_words(bound: Decimal, currency: str) -> str:
        return words_for_amount(bound, currency)


def _bound(fields: Fields, name: str, *, above: Decimal, is_last: bool) -> Decimal | None:
    value = fields.get(name)
    if is_last:
        if value is not None:
            message = "The last tier takes everything above the others: write null, not {}."
            raise PriceError(fields.at(name), message.format(described(value)))
        return None
    if value is None:
        message = "Only the last tier has no end: write a number above {}."
        raise PriceError(fields.at(name), message.format(grouped(above)))
    bound = fields.quantity(name)
    if bound <= above:
        message = "Tiers ascend without overlap: write a number above {}, not {}."
        raise PriceError(fields.at(name), message.format(grouped(above), grouped(bound)))
    return bound


@dataclass(frozen=True, slots=True)
class TieredModel(QuantityModel):
    """What models with tiers share: they ascend from 0 without a gap, and the last is open."""

    tier_class: ClassVar[type[Tier]] = UnitTier

    tiers: tuple[Tier, ...]

    @override
    @classmethod
    def types(cls) -> dict[str, Any]:
        return {"tiers": tuple[cls.tier_class, ...]}  # type: ignore[name-defined]

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
            is_last = document is documents[-1]
            tiers.append(cls.tier_class.parse(document, above=above, is_last=is_last))
            above = tiers[-1].up_to or above
        return cls(tiers=tuple(tiers))

    def placed_tiers(self) -> Iterator[tuple[int, Decimal, Tier]]:
        """Yield each tier with its number from 1 and the quantity above which it begins."""
        start = ZERO
        for number, tier in enumerate(self.tiers, 1):
            yield number, start, tier
            start = tier.up_to or start

    def writer(self, currency: str) -> Callable[[Decimal], str]:
        """Return what writes the bound of a tier."""
        return lambda bound: self.tier_class.bound_words(bound, currency)


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
            steps += tier.steps(number, start, end - start, _span(start, tier.up_to, grouped))
        return tuple(steps)

    @override
    def describe(self, currency: str) -> str:
        phrases = []
        for _, start, tier in self.placed_tiers():
            if tier.up_to is not None:
                opening = f"{_span(start, tier.up_to, self.writer(currency)).lower()} "
                phrases.append(tier.describe(opening, currency))
            else:
                phrases.append(f"{'then ' if start else ''}{tier.describe('', currency)}")
        return ", ".join(phrases)


@register
@dataclass(frozen=True, slots=True)
class GraduatedPercentage(Graduated):
    key: ClassVar[str] = "graduated_percentage"
    label: ClassVar[str] = "Graduated percentage"
    summary: ClassVar[str] = "A percentage of the events' summed value, by the tier it falls in."
    reads_money: ClassVar[bool] = True
    tier_class: ClassVar[type[Tier]] = PercentTier


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


def _span(start: Decimal, up_to: Decimal | None, write: Callable[[Decimal], str]) -> str:
    """Name the units of a tier: First 1,000; Next 9,000; Above 10,000."""
    if up_to is None:
        return f"Above {write(start)}" if start else "All units"
    return f"{'Next' if start else 'First'} {write(up_to - start)}"


def _reach(start: Decimal, up_to: Decimal | None) -> str:
    """Name the totals of a tier: up to 1,000; above 10,000; any number."""
    if up_to is not None:
        return f"up to {grouped(up_to)}"
    return f"above {grouped(start)}" if start else "any number"
