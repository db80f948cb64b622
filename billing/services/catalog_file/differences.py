"""What is different between two things that are sold, in lines that people read."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import is_dataclass
from decimal import Decimal
from typing import Any

from billing.rating.arithmetic import plain
from billing.rating.documents import field_names
from billing.rating.price_models.base import Tariff
from billing.rating.prices import Price

NOTHING = object()


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a line for each value that is not the same: `grace_hours: 24 -> 48`."""
    before, after = dict(leaves(old)), dict(leaves(new))
    return tuple(
        f"{path}: {worded(before.get(path, NOTHING))} -> {worded(after.get(path, NOTHING))}"
        for path in dict.fromkeys([*before, *after])
        if before.get(path, NOTHING) != after.get(path, NOTHING)
    )


def price_list(prices: Iterable[Price]) -> dict[str, Any]:
    """Return prices by their keys, and the order of those, for `differences`."""
    by_key = {price.key: price for price in prices}
    return {"prices": {**by_key, "": ", ".join(by_key)}}


def leaves(value: object, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the single values inside a value, each with its dotted path."""
    match value:
        case Mapping():
            inner: Iterable[tuple[Any, Any]] = value.items()
        case list() | tuple():
            inner = enumerate(value)
        case Tariff():
            # A model's fields stand beside the price's own, as they do in a document.
            own = [name for name in value.names() if name != "model"]
            inner = [("model", value.model.key), *((name, getattr(value, name)) for name in own)]
            inner = [*inner, *((name, getattr(value.model, name)) for name in value.model.names())]
        case _ if is_dataclass(value) and not isinstance(value, type):
            inner = [(name, getattr(value, name)) for name in field_names(type(value))]
        case _:
            yield path, value
            return
    for name, item in inner:
        yield from leaves(item, f"{path}.{name}".strip("."))


def worded(value: object) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "true" if value else "false"
        case Decimal():
            return plain(value)
        case _ if value is NOTHING:
            return "nothing"
        case _:
            return str(value)
