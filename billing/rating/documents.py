"""Reading price and quote documents: every fault names its field and says what to write instead.

Decimals are strings by contract ("0.01"). JSON integers are accepted, and so is a `Decimal` that
the caller's JSON reader made from the literal digits. A binary floating-point number is refused:
its digits are already lost.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass
from decimal import Decimal
from difflib import get_close_matches
from functools import cache, lru_cache
from typing import Any

from billing.rating.arithmetic import LIMIT, QUANTITY_PLACES, RATE_PLACES, cut, plain
from billing.rating.errors import PriceError

KEY_RULE = (
    "A key is 1 to 100 letters, digits, dots, colons, hyphens or underscores, "
    "and starts with a letter or digit."
)
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}")
_DECIMAL_EXAMPLE = 'a decimal number as a string, such as "0.01"'
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")


def described(value: object) -> str:
    """Name a JSON value in a sentence: "abc", null, a list."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return f'"{value:.40}"'
        case Mapping():
            return "an object"
        case list() | tuple():
            return "a list"
        case _:
            return f"the number {value!s:.40}"


def listed(names: Collection[str]) -> str:
    """Name alternatives in a sentence: day, none or second."""
    *others, last = sorted(names)
    return f"{', '.join(others)} or {last}" if others else last


def parse_decimal(value: object, field: str, *, places: int) -> Decimal:
    """Return a JSON value as an exact decimal below 10^30, of either sign.

    Raises `PriceError` for anything but a finite decimal literal, and for more than `places`
    decimal places that are not zeros.
    """
    number = _number(value)
    if number is None:
        raise PriceError(
            field, f'Write a decimal number as a string, such as "0.01", not {described(value)}.'
        )
    if number.copy_abs() >= LIMIT:
        raise PriceError(field, f"Write a number below 1e30, not {described(value)}.")
    if cut(number, places) != number:
        raise PriceError(field, f"{_places_wanted(places)}, not {described(value)}.")
    return number or number.copy_abs()


def _places_wanted(places: int) -> str:
    return f"Write at most {places} decimal places" if places else "Write a whole number"


def parse_unsigned(value: object, field: str, *, places: int) -> Decimal:
    """Do as `parse_decimal` does, and refuse what is below zero."""
    number = parse_decimal(value, field, places=places)
    if number < 0:
        raise PriceError(field, f"Write zero or more, not {described(value)}.")
    return number


def parse_percent(value: object, field: str) -> Decimal:
    """Return a percentage from 0 to 100."""
    percent = parse_unsigned(value, field, places=RATE_PLACES)
    if percent > 100:
        raise PriceError(field, f"Write a percentage from 0 to 100, not {described(value)}.")
    return percent


def parse_text(value: object, field: str) -> str:
    """Return a text of 1 to 200 characters that are not all white space."""
    if not isinstance(value, str) or not value.strip() or len(value) > 200:
        raise PriceError(field, f"Write 1 to 200 characters of text, not {described(value)}.")
    return value


def _number(value: object) -> Decimal | None:
    match value:
        case str():
            return Decimal(value) if _NUMBER.fullmatch(value) else None
        case bool():
            return None
        case int():
            return Decimal(value)
        case Decimal():
            return value if value.is_finite() else None
        case _:
            return None


def _field_names(owner: type) -> tuple[str, ...]:
    return tuple(field.name for field in dataclass_fields(owner)) if is_dataclass(owner) else ()


# Returns the names of a dataclass's fields: the names its document may have.
field_names: Callable[[type], tuple[str, ...]] = cache(_field_names)


@lru_cache(maxsize=256)
def _known(names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(names)


def as_document(value: object) -> object:
    """Return a value of a price as JSON carries it: decimals as plain strings."""
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, tuple):
        return [as_document(item) for item in value]
    if is_dataclass(value):
        return {name: as_document(getattr(value, name)) for name in field_names(type(value))}
    return value


class Fields:
    """A JSON object being read. A field that is null counts as left out."""

    def __init__(self, document: object, path: str = "", *, what: str) -> None:
        if not isinstance(document, dict):
            raise PriceError(
                path, f"Write {what} as an object with named fields, not {described(document)}."
            )
        self.document = document
        self.path = path
        # Called a dozen times for every price.
        self.get: Callable[[str], object] = document.get

    def at(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def only(self, names: Collection[str], what: str) -> None:
        """Raise on the first field that is not one of `names`."""
        known = _known(tuple(names))
        for name in () if known.issuperset(self.document) else self.document:
            if name not in known:
                close = get_close_matches(str(name), names, 1)
                advice = f'Did you mean "{close[0]}"?' if close else f"Write {listed(names)}."
                raise PriceError(
                    self.at(str(name)), f'{what} has no field "{name!s:.40}". {advice}'
                )

    def given(self, readers: Mapping[str, "Reader"]) -> dict[str, Any]:
        """Return the fields that the document does not leave out, each read by its reader."""
        return {
            name: readers[name](self, name)
            for name, value in self.document.items()
            if value is not None and name in readers
        }

    def required(self, name: str, example: str) -> object:
        value = self.get(name)
        if value is None:
            raise self.missing(name, example)
        return value

    def missing(self, name: str, example: str) -> PriceError:
        return PriceError(self.at(name), f'"{name}" is missing. Write {example}.')

    def key(self, name: str) -> str:
        value = self.required(name, 'a short name such as "api_calls"')
        if not isinstance(value, str) or not _KEY.fullmatch(value):
            raise PriceError(self.at(name), f"{KEY_RULE} {described(value)} is not one.")
        return value

    def optional_key(self, name: str) -> str | None:
        return None if self.get(name) is None else self.key(name)

    def text(self, name: str, default: str | None = None) -> str:
        value = self.get(name)
        if value is None:
            if default is None:
                raise self.missing(name, "1 to 200 characters of text")
            return default
        return parse_text(value, self.at(name))

    def boolean(self, name: str) -> bool:
        value = self.required(name, "true or false")
        if not isinstance(value, bool):
            raise PriceError(self.at(name), f"Write true or false, not {described(value)}.")
        return value

    def choice(self, name: str, options: Collection[str]) -> str:
        """Return one of `options`."""
        value = self.get(name)
        if value is None:
            raise self.missing(name, listed(options))
        if not isinstance(value, str) or value not in options:
            raise PriceError(self.at(name), f"Write {listed(options)}, not {described(value)}.")
        return value

    def rate(self, name: str, default: Decimal | None = None) -> Decimal:
        """Return a rate or an amount of money, not negative; required without a `default`."""
        return self._unsigned(name, default, RATE_PLACES)

    def optional_rate(self, name: str) -> Decimal | None:
        return None if self.get(name) is None else self.rate(name)

    def optional_percent(self, name: str) -> Decimal | None:
        value = self.get(name)
        return None if value is None else parse_percent(value, self.at(name))

    def quantity(self, name: str) -> Decimal:
        """Return a quantity, not negative; required."""
        return self._unsigned(name, None, QUANTITY_PLACES)

    def whole_number(self, name: str, default: int) -> int:
        """Return a count of things, not negative."""
        return int(self._unsigned(name, Decimal(default), 0))

    def positive_quantity(self, name: str) -> Decimal:
        value = self.quantity(name)
        if not value:
            raise PriceError(self.at(name), "Write a number above zero.")
        return value

    def signed_quantity(self, name: str) -> Decimal:
        value = self.required(name, _DECIMAL_EXAMPLE)
        return parse_decimal(value, self.at(name), places=QUANTITY_PLACES)

    def items(self, name: str) -> list[object]:
        """Return a list, empty when it is left out."""
        value = self.get(name)
        if value is None:
            return []
        if not isinstance(value, list | tuple):
            raise PriceError(self.at(name), f"Write a list, not {described(value)}.")
        return list(value)

    def objects(self, name: str, what: str) -> Iterator["Fields"]:
        """Yield the objects of a list, `what` being one of them."""
        for index, item in enumerate(self.items(name)):
            yield Fields(item, f"{self.at(name)}.{index}", what=what)

    def object(self, name: str, what: str) -> "Fields":
        """Return an object, empty when it is left out."""
        value = self.get(name)
        return Fields({} if value is None else value, self.at(name), what=what)

    def _unsigned(self, name: str, default: Decimal | None, places: int) -> Decimal:
        value = self.get(name)
        if value is None:
            if default is None:
                raise self.missing(name, _DECIMAL_EXAMPLE)
            return default
        return parse_unsigned(value, self.at(name), places=places)


type Reader = Callable[[Fields, str], Any]


def choice_of(options: Collection[str]) -> Reader:
    """Return what reads one of `options`."""
    return lambda fields, name: fields.choice(name, options)
