"""docs/pricing.md: its documents are priced, and every amount in its tables is checked."""

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from billing.rating.lines import price_usage
from billing.rating.price_models import PRICE_MODELS
from billing.rating.prices import Price, parse_price
from billing.rating.quotes import quote
from billing.rating.usage import Usage, UsageKind

PAGE = (Path(__file__).parents[3] / "docs" / "pricing.md").read_text()
_PARTS = re.split(r"^### `(\w+)`: ", PAGE, flags=re.MULTILINE)[1:]
SECTIONS = dict(zip(_PARTS[::2], _PARTS[1::2], strict=True))


def document_in(text: str) -> Any:
    found = re.search(r"^```json\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert found
    return json.loads(found[1])


def amounts_in(text: str) -> list[tuple[str, str]]:
    return re.findall(r"^\| ([\w., -]+) \| ([\d.]+) \|$", text, re.MULTILINE)


def usage_in(text: str, price: Price) -> Usage:
    """Return the usage that a cell of a table describes: 22; 50, -30; eu large 10, us small 5."""
    match price.model.reads.kind:
        case UsageKind.VALUES:
            return [(Decimal(value), 1) for value in text.split(", ")]
        case UsageKind.QUANTITIES:
            entries = [entry.split() for entry in text.split(", ")]
            dimensions = price.model.reads.dimensions
            return [
                (dict(zip(dimensions, entry, strict=False)), Decimal(entry[-1]))
                for entry in entries
            ]
        case _:
            return Decimal(text)


def test_every_model_has_its_section() -> None:
    assert SECTIONS.keys() == PRICE_MODELS.keys()


@pytest.mark.parametrize("model", PRICE_MODELS)
def test_section_gives_the_label_the_summary_and_every_field(model: str) -> None:
    section, known = SECTIONS[model], PRICE_MODELS[model]
    assert section.startswith(known.label.lower())
    assert known.summary in section
    assert all(f"| `{name}` " in section for name in known.names())


@pytest.mark.parametrize("model", PRICE_MODELS)
def test_section_tells_what_its_example_costs(model: str) -> None:
    price = parse_price(document_in(SECTIONS[model]))
    assert price.model.key == model
    assert f"Customers read: {price.describe('USD')}\n" in SECTIONS[model]
    costs = amounts_in(SECTIONS[model].split("## Proration")[0])
    assert len(costs) > 1
    for used, amount in costs:
        assert str(price_usage(price, usage_in(used, price), None, "USD").amount) == amount


def test_every_field_of_a_price_is_listed() -> None:
    listed = PAGE.split("## From a quantity")[0]
    assert all(f"| `{name}` |" in listed for name in Price.__dataclass_fields__)


def test_the_example_quote_comes_to_what_its_table_says() -> None:
    section = PAGE.split("## Quotes")[1]
    result = quote(document_in(section))
    totals = amounts_in(section)
    assert [name for name, _ in totals] == ["subtotal", "discount", "tax", "credits", "total"]
    assert [(name, result[name]) for name, _ in totals] == totals
