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


def decimal_sql(value: str) -> str:
    """Return SQL for the number that a JSON value is, or that its text says, or NULL.

    For texts it is the twin of parse_decimal; what JSON writes as a number is always one.
    """
    text = f"({value} #>> '{{}}')"
    return (
        f"CASE jsonb_typeof({value}) WHEN 'number' THEN ({value})::numeric"
        f" WHEN 'string' THEN CASE WHEN length({text}) <= {LONGEST} AND {text} ~ '{PATTERN}'"
        f" THEN {text}::numeric END END"
    )


def plain(value: Decimal) -> str:
    """Write a number without exponent and without zeros at the end of its fraction."""
    digits = format(value, "f")
    return digits.rstrip("0").rstrip(".") if "." in digits else digits
