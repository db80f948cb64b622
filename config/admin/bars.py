"""Small bar charts, drawn by `templates/admin/_bars.html`."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: its name, its value as people read it, and its height from 0 to 100."""

    label: str
    text: str
    percent: int


def bars_of(values: Iterable[tuple[str, str, Decimal | int]]) -> list[Bar]:
    """Return bars in proportion to the greatest value; what is there is never drawn as nothing."""
    rows = list(values)
    greatest = max((value for _, _, value in rows), default=0)
    return [Bar(label, text, height(value, greatest)) for label, text, value in rows]


def height(value: Decimal | int, greatest: Decimal | int) -> int:
    if greatest <= 0 or value <= 0:
        return 0
    return max(1, round(value * 100 / greatest))
