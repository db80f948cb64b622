"""The inputs of a price list, drawn in the theme's widgets with what is wrong beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.serializers.json import DjangoJSONEncoder

from billing.admin.price_inputs import (
    MAIN,
    MORE,
    OPTIONS,
    PRICE_FIELDS,
    ROOT,
    Field,
    model_fields,
)
from billing.rating.price_models import PRICE_MODELS
from config.admin import style

# So that the page of another model is fetched as soon as one is chosen.
RELOAD = {
    "hx-post": "",
    "hx-trigger": "change",
    "hx-vals": '{"do": "show"}',
    "hx-include": "closest form",
    "hx-target": "#editor",
    "hx-select": "#editor",
    "hx-swap": "outerHTML",
}


@dataclass(frozen=True, slots=True)
class Input:
    """A drawn field: `rows` are those of a table, each with an input for every column."""

    name: str
    label: str
    html: str
    help_text: str
    problem: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Input, ...], ...] = ()
    inner: tuple[Input, ...] = ()


@dataclass(frozen=True, slots=True)
class PriceForm:
    """The inputs of one price of the list."""

    position: int
    title: str
    summary: str
    main: tuple[Input, ...]
    model: tuple[Input, ...]
    more: tuple[Input, ...]
    is_more_open: bool


@dataclass(frozen=True, slots=True)
class Drawing:
    """What the inputs of a page need to know: the meters there are, and what is wrong where."""

    meters: Sequence[tuple[str, str]]
    problems: Mapping[str, str]

    def price(self, position: int, document: Mapping[str, Any]) -> PriceForm:
        path = f"{ROOT}.{position}"
        model = PRICE_MODELS.get(str(document.get("model")))
        more = tuple(self.input(field, path, document) for field in MORE)
        return PriceForm(
            position=position,
            title=str(document.get("name") or document.get("key") or f"Price {position + 1}"),
            summary="" if model is None else model.summary,
            main=tuple(self.main_input(name, path, document) for name in MAIN),
            model=tuple(
                self.input(field, path, document) for field in model_fields(document.get("model"))
            ),
            more=more,
            is_more_open=any(document.get(field.name) is not None for field in MORE),
        )

    def main_input(self, name: str, path: str, document: Mapping[str, Any]) -> Input:
        choices = {
            "model": [(key, model.label) for key, model in PRICE_MODELS.items()],
            "meter": [("", "None: a fee"), *self.meters],
        }
        field = PRICE_FIELDS.get(name, Field(name, "text"))
        return self.input(field, path, document, choices.get(name))

    def input(
        self,
        field: Field,
        path: str,
        document: Mapping[str, Any],
        choices: Sequence[tuple[str, str]] | None = None,
    ) -> Input:
        name = f"{path}.{field.name}"
        value = document.get(field.name)
        common = (field.label, field.help_text, self.problems.get(name, ""))
        if field.shape == "table":
            return self.table(field, name, value, common)
        if field.shape == "group":
            value = value if isinstance(value, Mapping) else {}
            inner = tuple(self.input(each, name, value) for each in field.inner)
            return Input(name, common[0], "", common[1], common[2], inner=inner)
        if choices is None and field.name in OPTIONS:
            choices = [("", "As usual"), *((each, each) for each in OPTIONS[field.name])]
        html = self.widget(name, field, value, choices)
        return Input(name, common[0], html, common[1], common[2])

    def table(self, field: Field, name: str, value: Any, common: tuple[str, str, str]) -> Input:
        rows = value if isinstance(value, list) and value else [{}]
        drawn = tuple(
            tuple(
                self.input(column, f"{name}.{index}", row if isinstance(row, Mapping) else {})
                for column in field.inner
            )
            for index, row in enumerate(rows)
        )
        columns = tuple(column.label for column in field.inner)
        return Input(name, common[0], "", common[1], common[2], columns=columns, rows=drawn)

    def widget(
        self, name: str, field: Field, value: Any, choices: Sequence[tuple[str, str]] | None
    ) -> str:
        attrs: dict[str, Any] = {"id": f"id_{name}", "aria-label": field.label}
        if name in self.problems:
            attrs |= {"aria-invalid": "true", "aria-describedby": f"problem_{name}"}
        drawn: forms.Field = forms.CharField(required=False)
        if choices is not None:
            drawn = forms.ChoiceField(choices=choices, required=False)
        elif field.shape == "json":
            drawn = forms.JSONField(required=False)
            attrs |= {"rows": 8, "spellcheck": "false"}
        elif field.shape == "text":
            attrs |= {"autocomplete": "off"}
        if field.name == "model":
            attrs |= RELOAD
        style(drawn)
        return str(drawn.widget.render(name, text_of(field, value), attrs=attrs))


def text_of(field: Field, value: Any) -> str:
    """Return a value of a document as its input shows it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if field.shape == "words" and isinstance(value, list):
        return ", ".join(map(str, value))
    if field.shape == "json" and not isinstance(value, str):
        return json.dumps(value, indent=2, ensure_ascii=False, cls=DjangoJSONEncoder)
    return str(value)
