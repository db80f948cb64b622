"""Price documents as forms: the inputs are derived from the fields of the price models.

Every input is named by its dotted path in the list of documents (`prices.0.tiers.1.up_to`), which
is also what a refusal names. So a refusal finds its input, and a new model has its form at once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from dataclasses import fields as dataclass_fields
from decimal import Decimal
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from django.http import QueryDict

from billing.rating.price_models import PRICE_MODELS
from billing.rating.prices import TIMINGS, Price
from billing.rating.proration import PRORATIONS

type Shape = Literal["text", "flag", "words", "table", "group", "json"]

ROOT = "prices"
DEEPEST = 8
# In this order; what else a price may say is asked for under "More".
MAIN = ("key", "name", "model", "meter")
OPTIONS: dict[str, tuple[str, ...]] = {
    "timing": TIMINGS,
    "proration": tuple(PRORATIONS),
    "charge_flat_on_zero": ("true", "false"),
}
HELP = {
    "key": "How programs name this price.",
    "name": "What customers read on invoices.",
    "meter": "What is counted. None for a fee.",
    "free_units": "Units that cost nothing, each period.",
    "minimum_amount": "The least a period costs.",
    "maximum_amount": "The most a period costs.",
    "charge_flat_on_zero": "Whether a period without usage pays the first tier's flat amount.",
    "timing": "arrears: after the period. advance: before it, fees alone.",
    "proration": "How a part of a period is charged.",
    "unit_conversion": "How metered units become priced ones.",
    "dimensions": "Event properties, with commas between them.",
    "cells": "A JSON list as docs/pricing.md describes it; the first cell that matches counts.",
    "default": "A JSON object: the price of what no cell matches. Empty: it costs nothing.",
}


class ExactDecoder(json.JSONDecoder):
    """Reads 0.1 as the decimal that was written."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options | {"parse_float": Decimal})


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a price, and how it is asked for; `inner` are a table's columns."""

    name: str
    shape: Shape
    inner: tuple[Field, ...] = ()

    @property
    def label(self) -> str:
        return self.name.replace("_", " ").capitalize()

    @property
    def help_text(self) -> str:
        return HELP.get(self.name, "")

    def read(self, sent: Any) -> Any:
        """Return what a form sent as a document has it; None where nothing was written.

        Raises ValueError for JSON that is none.
        """
        match self.shape:
            case "table":
                return [row_of(self.inner, row) for row in sent] if isinstance(sent, list) else None
            case "group":
                return (row_of(self.inner, sent) or None) if isinstance(sent, Mapping) else None
        text = sent.strip() if isinstance(sent, str) else ""
        return READERS[self.shape](text) if text else None


def words_of(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def flag_of(text: str) -> object:
    return {"true": True, "false": False}.get(text, text)


READERS: dict[Shape, Any] = {
    "text": str,
    "words": words_of,
    "flag": flag_of,
    "json": lambda text: json.loads(text, cls=ExactDecoder),
}


def row_of(inner: tuple[Field, ...], sent: Any) -> dict[str, Any]:
    sent = sent if isinstance(sent, Mapping) else {}
    values = {field.name: field.read(sent.get(field.name)) for field in inner}
    return {name: value for name, value in values.items() if value is not None}


def field_of(name: str, hint: Any) -> Field:
    hint = without_none(hint)
    if hint is bool:
        return Field(name, "flag")
    if get_origin(hint) is tuple:
        item = get_args(hint)[0]
        if item is str:
            return Field(name, "words")
        columns = flat_fields(item)
        return Field(name, "table", columns) if columns else Field(name, "json")
    if isinstance(hint, type) and is_dataclass(hint):
        columns = flat_fields(hint)
        return Field(name, "group", columns) if columns else Field(name, "json")
    return Field(name, "text")


def flat_fields(owner: Any) -> tuple[Field, ...]:
    """Return the fields of a dataclass of single values; of any other, none."""
    if not is_dataclass(owner) or not isinstance(owner, type):
        return ()
    hints = {name: without_none(hint) for name, hint in get_type_hints(owner).items()}
    names = [field.name for field in dataclass_fields(owner)]
    if any(hints[name] not in {Decimal, str, int, bool} for name in names):
        return ()
    return tuple(Field(name, "flag" if hints[name] is bool else "text") for name in names)


def without_none(hint: Any) -> Any:
    if get_origin(hint) in {Union, UnionType}:
        return next(item for item in get_args(hint) if item is not NoneType)
    return hint


PRICE_FIELDS = {
    name: field_of(name, hint)
    for name, hint in get_type_hints(Price).items()
    if name in Price.names() and name != "model"
}
MORE = tuple(field for name, field in PRICE_FIELDS.items() if name not in MAIN)


def model_fields(key: object) -> tuple[Field, ...]:
    """Return the fields of a price model; none for a key that names no model."""
    model = PRICE_MODELS.get(str(key))
    return () if model is None else tuple(field_of(*each) for each in model.types().items())


def documents_of_form(sent: QueryDict) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Return the price documents that a form describes, and what is wrong with its JSON by path."""
    documents: list[dict[str, Any]] = []
    problems: dict[str, str] = {}
    found = nested(sent).get(ROOT)
    for position, price in enumerate(found if isinstance(found, list) else []):
        values = price if isinstance(price, Mapping) else {}
        document: dict[str, Any] = {"model": values.get("model", "")}
        for field in (*PRICE_FIELDS.values(), *model_fields(document["model"])):
            try:
                value = field.read(values.get(field.name))
            except ValueError as error:
                problems[f"{ROOT}.{position}.{field.name}"] = f"This is no JSON: {error}."
                value = values.get(field.name)
            if value is not None:
                document[field.name] = value
        documents.append(document)
    return documents, problems


def nested(sent: QueryDict) -> dict[str, Any]:
    """Return what a form sent as mappings and lists: its names are dotted paths."""
    root: dict[str, Any] = {}
    for name, value in sent.items():
        *parents, last = name.split(".")
        if not parents or len(parents) > DEEPEST:
            continue
        place: Any = root
        for parent in parents:
            place = place.setdefault(parent, {}) if isinstance(place, dict) else None
        if isinstance(place, dict):
            place[last] = value
    return {name: with_lists(value) for name, value in root.items()}


def with_lists(value: Any) -> Any:
    """Make a list of each mapping whose names are numbers, in their order."""
    if not isinstance(value, dict):
        return value
    if value and all(name.isdecimal() for name in value):
        return [with_lists(value[name]) for name in sorted(value, key=int)]
    return {name: with_lists(item) for name, item in value.items()}


def rearranged(documents: list[dict[str, Any]], wish: str) -> list[dict[str, Any]]:
    """Return documents after a button was pressed: `add`, `add:0.tiers`, `remove:0.tiers.1`, `up:2`.

    A wish that fits nothing changes nothing.
    """
    verb, _, path = wish.partition(":")
    *parents, last = path.split(".")
    if verb == "add" and not path:
        return [*documents, {"model": next(iter(PRICE_MODELS))}]
    place = at_path(documents, parents)
    if verb == "add" and isinstance(place, dict):
        rows = place.setdefault(last, [])
        if isinstance(rows, list):
            rows.append({})
    elif isinstance(place, list) and last.isdecimal() and int(last) < len(place):
        item = place.pop(int(last))
        if verb == "up":
            place.insert(max(int(last) - 1, 0), item)
        elif verb != "remove":
            place.insert(int(last), item)
    return documents


def at_path(documents: Any, names: list[str]) -> Any:
    place = documents
    for name in names:
        if isinstance(place, list) and name.isdecimal() and int(name) < len(place):
            place = place[int(name)]
        else:
            place = place.get(name) if isinstance(place, dict) else None
    return place
