"""Models with one rate: flat, per unit, package, dynamic."""

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Self, override

from billing.rating.arithmetic import grouped
from billing.rating.documents import Fields, choice_of
from billing.rating.money import words_for_amount
from billing.rating.price_models.base import (
    ONE,
    PriceModel,
    QuantityModel,
    Rated,
    Tariff,
    register,
)
from billing.rating.steps import Step
from billing.rating.usage import UsageKind


@register
@dataclass(frozen=True, slots=True)
class Flat(PriceModel[Decimal]):
    key: ClassVar[str] = "flat"
    label: ClassVar[str] = "Flat fee"
    summary: ClassVar[str] = "The same amount every period, whatever is used."
    usage_kind: ClassVar[UsageKind] = UsageKind.NOTHING

    amount: Decimal

    @override
    @classmethod
    def parse(cls, fields: Fields) -> Self:
        return cls(amount=fields.rate("amount"))

    @override
    def rate_usage(self, usage: Decimal, tariff: Tariff) -> Rated:
        return Rated(usage, [Step("flat", "Flat fee", self.amount)])

    @override
    def describe(self, currency: str) -> str:
        return words_for_amount(self.amount, currency)


@register
@dataclass(frozen=True, slots=True)
class PerUnit(QuantityModel):
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
        return (
            f"{words_for_amount(self.unit_amount, currency)} each" if self.unit_amount else "free"
        )


@register
@dataclass(frozen=True, slots=True)
class Package(QuantityModel):
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
            **fields.given({"round": choice_of(("up", "down"))}),
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


@register
@dataclass(frozen=True, slots=True)
class Dynamic(QuantityModel):
    key: ClassVar[str] = "dynamic"
    label: ClassVar[str] = "Dynamic"
    summary: ClassVar[str] = "The amounts that the events carry, times a multiplier."
    reads_money: ClassVar[bool] = True

    multiplier: Decimal = ONE

    @override
    @classmethod
    def parse(cls, fields: Fields) -> Self:
        return cls(multiplier=fields.rate("multiplier", ONE))

    @override
    def rate(self, quantity: Decimal) -> tuple[Step, ...]:
        words = f"Amounts of the events, times {grouped(self.multiplier)}"
        return (Step("dynamic", words, quantity * self.multiplier, quantity),)

    @override
    def describe(self, currency: str) -> str:
        if self.multiplier == 1:
            return "what each event says"
        return f"{grouped(self.multiplier)} times what each event says"
