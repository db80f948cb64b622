"""Prices by combinations of dimensions: region and instance type, endpoint and method."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import ClassVar, Self, override

from billing.rating.documents import Fields, parse_text
from billing.rating.errors import PriceError
from billing.rating.price_models.base import (
    PRICE_MODELS,
    TARIFF_READERS,
    ZERO,
    PriceModel,
    Rated,
    Tariff,
    register,
)
from billing.rating.steps import Step
from billing.rating.usage import Group, GroupedQuantities, UsageKind, UsageRead

# As many as usage can be grouped by.
MOST_DIMENSIONS = 5


@dataclass(frozen=True, slots=True)
class Cell:
    """What costs `price`: usage whose dimensions have the values of `match`, whatever the others."""

    match: Mapping[str, str]
    price: Tariff

    @classmethod
    def parse(cls, fields: Fields, dimensions: Collection[str]) -> Self:
        fields.only(("match", "price"), "A cell")
        match = fields.object("match", "what a cell matches")
        match.only(dimensions, "What a cell matches")
        texts = {
            name: parse_text(value, match.at(name))
            for name, value in match.document.items()
            if value is not None
        }
        if not texts:
            raise PriceError(
                match.path, "Name at least one dimension; default prices all that no cell matches."
            )
        return cls(texts, parse_tariff(fields, "price"))

    def words(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in self.match.items())


@register
@dataclass(frozen=True, slots=True)
class Matrix(PriceModel[GroupedQuantities]):
    """The first cell that matches a combination prices it; what falls in one cell is added up."""

    key: ClassVar[str] = "matrix"
    label: ClassVar[str] = "Matrix"
    summary: ClassVar[str] = "Each combination of dimensions has its own price."
    usage_kind: ClassVar[UsageKind] = UsageKind.QUANTITIES

    dimensions: tuple[str, ...]
    cells: tuple[Cell, ...]
    default: Tariff | None = None

    @override
    @property
    def reads(self) -> UsageRead:
        return UsageRead(self.usage_kind, dimensions=self.dimensions)

    @override
    @classmethod
    def parse(cls, fields: Fields) -> Self:
        dimensions = _parse_dimensions(fields)
        cells = [Cell.parse(cell, dimensions) for cell in fields.objects("cells", "a cell")]
        if not cells:
            raise PriceError(fields.at("cells"), "Write a list of at least one cell.")
        _check_reachable(cells, fields.at("cells"))
        default = None if fields.get("default") is None else parse_tariff(fields, "default")
        return cls(dimensions, tuple(cells), default)

    @override
    def rate_usage(self, usage: GroupedQuantities, tariff: Tariff) -> Rated:
        cell_of = _finder(self.cells)
        quantities = [ZERO for _ in range(len(self.cells) + 1)]
        for group, quantity in usage:
            quantities[cell_of(group)] += quantity
        steps: list[Step] = []
        for cell, quantity in zip(self.cells, quantities, strict=False):
            steps += _cell_steps(cell.words(), cell.price, quantity)
        if self.default is not None:
            steps += _cell_steps("All others", self.default, quantities[-1])
        elif quantities[-1]:
            steps.append(Step("unpriced", "All others: not priced", ZERO, quantities[-1], ZERO))
        return Rated(sum(quantities, ZERO), steps)

    @override
    def describe(self, currency: str) -> str:
        phrases = [f"{cell.words()}: {cell.price.describe(currency)}" for cell in self.cells]
        others = "free" if self.default is None else self.default.describe(currency)
        return "; ".join([*phrases, f"all others: {others}"])

    @override
    def as_document(self) -> dict[str, object]:
        return {
            "dimensions": list(self.dimensions),
            "cells": [
                {"match": dict(cell.match), "price": cell.price.as_document()}
                for cell in self.cells
            ],
            "default": None if self.default is None else self.default.as_document(),
        }


def parse_tariff(fields: Fields, name: str) -> Tariff:
    """Read the price of a cell: a model, per_unit when it is left out, that reads a quantity."""
    fields.required(name, "an object")
    document = fields.object(name, "the price of a cell")
    models = {key for key, model in PRICE_MODELS.items() if model.usage_kind is UsageKind.QUANTITY}
    model = PRICE_MODELS[
        "per_unit" if document.get("model") is None else document.choice("model", models)
    ]
    document.only((*Tariff.names(), *model.names()), f"A {model.key} price of a cell")
    return Tariff(model=model.parse(document), **document.given(TARIFF_READERS))


def _parse_dimensions(fields: Fields) -> tuple[str, ...]:
    names = [
        parse_text(name, f"{fields.at('dimensions')}.{index}")
        for index, name in enumerate(fields.items("dimensions"))
    ]
    if not 1 <= len(names) <= MOST_DIMENSIONS or len(set(names)) < len(names):
        raise PriceError(
            fields.at("dimensions"),
            f"Write a list of 1 to {MOST_DIMENSIONS} event properties, each named once.",
        )
    return tuple(names)


def _finder(cells: Collection[Cell]) -> Callable[[Group], int]:
    """Return what finds the first cell that matches a combination, or else the number of cells."""
    # By which dimensions cells name: one look-up for each such set, however many cells there are.
    by_names: dict[tuple[str, ...], dict[tuple[str | None, ...], int]] = {}
    for position, cell in enumerate(cells):
        names = tuple(sorted(cell.match))
        by_names.setdefault(names, {}).setdefault(_values(names, cell.match), position)

    def first(group: Group) -> int:
        found = [
            positions.get(_values(names, group), len(cells))
            for names, positions in by_names.items()
        ]
        return min(found, default=len(cells))

    return first


def _values(names: tuple[str, ...], group: Group) -> tuple[str | None, ...]:
    return tuple(group.get(name) for name in names)


def _check_reachable(cells: Collection[Cell], path: str) -> None:
    """Refuse a cell that matches nothing which an earlier one does not match."""
    first = _finder(cells)
    for position, cell in enumerate(cells):
        if (earlier := first(cell.match)) < position:
            raise PriceError(
                f"{path}.{position}.match",
                f"Cell {earlier} of the list matches all of this: put this one before it, "
                "or leave it out.",
            )


def _cell_steps(words: str, price: Tariff, quantity: Decimal) -> list[Step]:
    """Return the steps of a cell, nothing for one that was not used and costs nothing then."""
    steps = [
        replace(step, description=f"{words}: {step.description[0].lower()}{step.description[1:]}")
        for step in price.rate(quantity).steps
    ]
    return steps if quantity or any(step.amount for step in steps) else []
