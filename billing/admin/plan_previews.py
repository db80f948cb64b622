"""What a price list says and charges, in sentences, lines and tables, beside another one's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from billing import formatting
from billing.admin import words
from billing.charts import LineChart, line_chart
from billing.models import PlanVersion
from billing.rating.errors import PriceError
from billing.rating.prices import Price, parse_price
from billing.selectors.price_previews import (
    amounts,
    is_sampled,
    quantities_up_to,
    reach_of,
)

# So many rows a table of amounts has, its zero left out.
TABLE_ROWS = 5
# Beyond this a chart is drawn no further: the largest quantity that prices are written for.
FURTHEST = Decimal("1e24")


@dataclass(frozen=True, slots=True)
class Row:
    """What a quantity costs under each of the lists compared; "-" where one has no such price."""

    quantity: str
    amounts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PricePreview:
    """A price in words and pictures; `sentences` and the lines are those of the lists compared."""

    name: str
    sentences: tuple[str, ...] = ()
    problem: str = ""
    chart: LineChart | None = None
    ticks: tuple[str, ...] = ()
    rows: tuple[Row, ...] = field(default=())
    note: str = ""


def preview_document(
    document: Mapping[str, Any],
    currency: str,
    reach: Decimal | None = None,
    before: Price | None = None,
) -> PricePreview:
    """Return the preview of a document that is being written; a wrong one says what is wrong."""
    try:
        price = parse_price(document)
    except PriceError as error:
        name = str(document.get("name") or document.get("key") or "New price")
        return PricePreview(name=name, problem=str(error))
    return preview_prices([price, before] if before is not None else [price], currency, reach)


def preview_version(version: PlanVersion) -> list[PricePreview]:
    return [preview_document(price.document, version.currency) for price in version.prices.all()]


def preview_prices(
    prices: Sequence[Price | None], currency: str, reach: Decimal | None = None
) -> PricePreview:
    """Return what prices say and charge beside each other; one that a list lacks is None."""
    there = [price for price in prices if price is not None]
    sentences = tuple("-" if each is None else each.describe(currency) for each in prices)
    name = there[0].name
    if not any(price.model.takes_usage for price in there):
        return PricePreview(name, sentences)
    drawn = [price for price in there if is_sampled(price)]
    if not drawn:
        note = "What it charges depends on more than one quantity: the sentence says all."
        return PricePreview(name, sentences, note=note)
    reach = min(reach or reach_of(drawn), FURTHEST)
    quantities = quantities_up_to(reach)
    chart = line_chart(
        [
            amounts(price, quantities, currency) if price is not None and is_sampled(price) else ()
            for price in prices
        ],
        [formatting.short_quantity(quantity, words.LOCALE) for quantity in quantities],
    )
    return PricePreview(
        name=name,
        sentences=sentences,
        chart=chart,
        ticks=tuple(words.money(tick, currency) for tick in chart.ticks),
        rows=table_of(prices, reach, currency),
    )


def table_of(prices: Sequence[Price | None], reach: Decimal, currency: str) -> tuple[Row, ...]:
    def written(price: Price | None, quantity: Decimal) -> str:
        if price is None or not is_sampled(price):
            return "-"
        return words.money(amounts(price, [quantity], currency)[0], currency)

    return tuple(
        Row(words.quantity(quantity), tuple(written(price, quantity) for price in prices))
        for quantity in quantities_up_to(reach, TABLE_ROWS)
    )
