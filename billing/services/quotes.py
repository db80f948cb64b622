"""Quotes for callers outside: one document, a list of them, or one on each line."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation

import msgspec

from billing.rating.errors import PriceError
from billing.rating.quotes import quote
from config.errors import InvalidInputError, TooLargeError

MOST_QUOTES = 10_000

# A decimal literal without quotes keeps its digits; it never becomes a binary number.
_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, InvalidOperation)


@contextmanager
def invalid_input_for_price_errors() -> Iterator[None]:
    """Turn a fault that rating finds in a document into the error that every face shows."""
    try:
        yield
    except PriceError as error:
        raise InvalidInputError(error.message, field=error.field) from error


def price_quote(*, document: object) -> dict[str, object]:
    """Price a quote document (docs/pricing.md); raises InvalidInputError naming a wrong field."""
    with invalid_input_for_price_errors():
        return quote(document)


def price_quotes(*, documents: Sequence[object]) -> list[dict[str, object]]:
    """Price each document of a list; one that cannot be priced is answered with its `error`.

    Raises TooLargeError for more than `MOST_QUOTES`.
    """
    if len(documents) > MOST_QUOTES:
        raise TooLargeError(f"A request takes at most {MOST_QUOTES:,} quotes: send several.")
    return [_answer(document, "index", index) for index, document in enumerate(documents)]


def price_lines(*, lines: Iterable[bytes]) -> Iterator[dict[str, object]]:
    """Price the document on each line that is not blank, one result or `error` after the other."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _answer_line(line, number)


def _answer_line(line: bytes, number: int) -> dict[str, object]:
    try:
        document = _DECODER.decode(line)
    except _UNREADABLE as error:
        reason = "a number is too large" if isinstance(error, InvalidOperation) else error
        return _error(
            "invalid_json", f"Write one JSON object a line: {reason}.", "", "line", number
        )
    return _answer(document, "line", number)


def _answer(document: object, place: str, number: int) -> dict[str, object]:
    try:
        return quote(document)
    except PriceError as error:
        return _error("invalid", error.message, error.field, place, number)


def _error(code: str, message: str, field: str, place: str, number: int) -> dict[str, object]:
    return {"error": {"code": code, "message": message, "field": field, place: number}}
