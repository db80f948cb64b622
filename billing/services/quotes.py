"""Rating's documents for callers outside: one answer for what is wrong with them."""

from collections.abc import Iterator
from contextlib import contextmanager

from billing.rating.errors import PriceError
from billing.rating.quotes import quote
from config.errors import InvalidInputError


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
