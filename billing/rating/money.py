"""Money: currencies and their minor units, rounding, sharing out, and the words for an amount."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from functools import cache, lru_cache
from math import lcm

from babel.numbers import format_currency, get_currency_precision, list_currencies

from billing.rating.arithmetic import exact_arithmetic, rounded
from billing.rating.errors import PriceError


@cache
def _known_currencies() -> frozenset[str]:
    return frozenset(list_currencies())


def check_currency(currency: str, field: str = "currency") -> str:
    """Return `currency` if it is an ISO 4217 code; raise `PriceError` on `field` if not."""
    if currency not in _known_currencies():
        raise PriceError(
            field,
            f'There is no currency "{currency:.20}". '
            'Write an ISO 4217 code in capitals, such as "USD".',
        )
    return currency


@cache
def currency_exponent(currency: str) -> int:
    """Return how many decimal places a currency has (Babel's table: USD 2, JPY 0, KWD 3)."""
    return get_currency_precision(check_currency(currency))


@cache
def minor_unit(currency: str) -> Decimal:
    """Return the smallest amount of a currency: 0.01 for USD, 1 for JPY."""
    return Decimal((0, (1,), -currency_exponent(currency)))


def round_amount(amount: Decimal, currency: str) -> Decimal:
    """Round to the currency's minor unit, half away from zero."""
    return rounded(amount, minor_unit(currency))


def allocate_amount(
    amount: Decimal, weights: Sequence[Decimal | Fraction | int], currency: str
) -> tuple[Decimal, ...]:
    """Share out a rounded amount in proportion to `weights`, to the last minor unit.

    The parts sum to `amount`. Each is its exact share rounded down, and the minor units left over
    go to the largest remainders, the earlier part first. Weights may be negative, but not sum to 0.
    """
    unit = minor_unit(currency)
    minor_units, rest = divmod(amount, unit)
    if rest:
        raise ValueError(f"{amount} {currency} is not a whole number of minor units: round it.")
    exact_weights = _as_integers(weights)
    whole = sum(exact_weights)
    if not whole:
        raise ValueError("Weights that sum to zero share out nothing.")
    shares = [divmod(int(minor_units) * weight, whole) for weight in exact_weights]
    parts = [part for part, _ in shares]
    by_remainder = sorted(range(len(parts)), key=lambda index: -abs(shares[index][1]))
    for index in by_remainder[: int(minor_units) - sum(parts)]:
        parts[index] += 1
    with exact_arithmetic():
        return tuple(part * unit for part in parts)


def _as_integers(weights: Sequence[Decimal | Fraction | int]) -> list[int]:
    """Return whole numbers in the proportions of `weights`."""
    ratios = [weight.as_integer_ratio() for weight in weights]
    scale = lcm(*(denominator for _, denominator in ratios))
    return [numerator * (scale // denominator) for numerator, denominator in ratios]


@lru_cache(maxsize=4096)
def words_for_amount(amount: Decimal, currency: str) -> str:
    """Write an amount or a rate as English readers see it, with all its places: $0.002."""
    # Babel quantizes in the context it is called in.
    with exact_arithmetic():
        return format_currency(amount, currency, locale="en_US", decimal_quantization=False)
