"""Decimal numbers as events write them, read alike by Python and by PostgreSQL."""

import re
from decimal import Decimal

LONGEST = 64
# Digits with an optional fraction and a small exponent. NaN, Infinity, blanks and thousands
# separators are no numbers, and an exponent of three digits is a mistake rather than usage.
PATTERN = r"^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]{1,2})?$"

_pattern = re.compile(PATTERN.removesuffix("$"))


def parse_decimal(text: str) -> Decimal | None:
    """Return the number that an event's property says, or None when it says none."""
    is_number = len(text) <= LONGEST and _pattern.fullmatch(text)
    return Decimal(text) if is_number else None


def decimal_sql(expression: str) -> str:
    """Return SQL for the number that a text expression says, or NULL; the twin of parse_decimal."""
    return (
        f"CASE WHEN length({expression}) <= {LONGEST} AND {expression} ~ '{PATTERN}'"
        f" THEN ({expression})::numeric END"
    )


def plain(value: Decimal) -> str:
    """Write a number without exponent and without zeros at the end of its fraction."""
    digits = format(value, "f")
    return digits.rstrip("0").rstrip(".") if "." in digits else digits
