"""Price documents as people write them: what says nothing is left out."""

from typing import Any

from billing.rating.errors import PriceError
from billing.rating.prices import Price, parse_price


def brief_document(document: dict[str, Any]) -> dict[str, Any]:
    """Return the shortest document that reads as the same price.

    A field is left out when the document means the same without it, so nothing here has to know
    the defaults of any price model.
    """
    price = parse_price(document)
    brief = {name: value for name, value in document.items() if value is not None}
    for name in list(brief):
        shorter = {key: value for key, value in brief.items() if key != name}
        if reads_as(shorter, price):
            brief = shorter
    for name, value in brief.items():
        if isinstance(value, list) and all(isinstance(item, dict) for item in value):
            brief[name] = [dict(item) for item in value]
            shorten_items(brief, brief[name], price)
    return brief


def shorten_items(document: dict[str, Any], items: list[dict[str, Any]], price: Price) -> None:
    """Leave out of each item, in place, what `document` means the same without."""
    for item in items:
        for name in list(item):
            value = item.pop(name)
            if value is None or not reads_as(document, price):
                item[name] = value


def reads_as(document: dict[str, Any], price: Price) -> bool:
    try:
        return parse_price(document) == price
    except PriceError:
        return False
