"""Which events a meter counts: conditions on their properties, all of which must hold.

A condition is `{"property": "status", "op": "lt", "value": "500"}`. Comparisons for equality are of
text, as the event wrote it (`200` and `"200"` are the same text); the others are of numbers, and an
event whose property is no number does not pass.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from metering.numbers import decimal_sql, parse_decimal

MOST_FILTERS = 20
LONGEST_PROPERTY = 100
FIELDS = {"property", "op", "value"}
PROPERTY_WANTED = f"Name event properties in 1 to {LONGEST_PROPERTY} characters."


def is_storable(text: str) -> bool:
    """Tell whether PostgreSQL can hold a text: no zero character, no half of a surrogate pair."""
    return "\0" not in text and text == text.encode(errors="ignore").decode()


def is_text(value: object) -> bool:
    return isinstance(value, str | int) and is_storable(str(value))


def is_property(name: object) -> bool:
    return isinstance(name, str) and 0 < len(name) <= LONGEST_PROPERTY and is_storable(name)


def is_list_of_texts(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(is_text(item) for item in value)


def is_flag(value: object) -> bool:
    return isinstance(value, bool)


def is_number(value: object) -> bool:
    return is_text(value) and not is_flag(value) and parse_decimal(str(value)) is not None


def as_text(value: object) -> str:
    """Write a value as PostgreSQL's `->>` writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def as_texts(values: list[object]) -> list[str]:
    return [as_text(value) for value in values]


@dataclass(frozen=True, slots=True)
class Operator:
    """A kind of condition: what values it takes, and its SQL over `{text}`, `{number}`, `{value}`.

    `convert` makes the stored value the parameter of that SQL.
    """

    sql: str
    accepts: Callable[[object], bool]
    wanted: str
    convert: Callable[[Any], object]


def equality(sql: str) -> Operator:
    return Operator(sql, is_text, 'a text, such as "GET"', as_text)


def comparison(symbol: str) -> Operator:
    wanted = 'a number written as text, such as "500"'
    return Operator(f"({{number}}) {symbol} {{value}}::numeric", is_number, wanted, as_text)


OPERATORS = {
    "eq": equality("{text} = {value}"),
    # An event without the property is different from any value.
    "ne": equality("{text} IS DISTINCT FROM {value}"),
    "in": Operator(
        "{text} = ANY({value}::text[])",
        is_list_of_texts,
        'a list of texts, such as ["GET", "HEAD"]',
        as_texts,
    ),
    "exists": Operator("({text} IS NOT NULL) = {value}", is_flag, "true or false", bool),
    "lt": comparison("<"),
    "lte": comparison("<="),
    "gt": comparison(">"),
    "gte": comparison(">="),
}


def problems(filters: object) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a meter's filters, as pairs of a path and a sentence."""
    if not isinstance(filters, list):
        yield "", "Filters are a list of conditions, each with property, op and value."
    elif len(filters) > MOST_FILTERS:
        yield "", f"A meter takes at most {MOST_FILTERS} filters."
    else:
        for index, item in enumerate(filters):
            yield from condition_problems(str(index), item)


def condition_problems(path: str, item: object) -> Iterator[tuple[str, str]]:
    if not isinstance(item, dict) or set(item) != FIELDS:
        yield path, "A filter has property, op and value, and nothing else."
        return
    name = item["property"]
    if not is_property(name):
        yield f"{path}.property", PROPERTY_WANTED
    operator = OPERATORS.get(str(item["op"]))
    if operator is None:
        yield f"{path}.op", f"There is no op {item['op']!r}; use one of {', '.join(OPERATORS)}."
    elif not operator.accepts(item["value"]):
        yield f"{path}.value", f"The value of {item['op']} is {operator.wanted}."


def condition_sql(item: dict[str, Any], properties: str, name: str, value: str) -> str:
    """Return the SQL of a valid condition on the JSON object `properties`.

    `name` and `value` are the placeholders of the property's name and of `condition_value`.
    """
    return OPERATORS[item["op"]].sql.format(
        text=f"({properties} ->> {name})",
        number=decimal_sql(f"({properties} -> {name})"),
        value=value,
    )


def condition_value(item: dict[str, Any]) -> object:
    return OPERATORS[item["op"]].convert(item["value"])
