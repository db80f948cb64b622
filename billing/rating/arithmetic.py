"""Decimal arithmetic in which no digit of an amount is lost.

Every number in a document is below 10^30; a quantity has at most 30 decimal places, a rate or an
amount at most 15. Their sums and products fit `PRECISION`, so they are exact, and the context of
`exact_arithmetic` raises where that is ever untrue.

Two divisions may go on for ever: a unit conversion (5 / 60) and a proration (17 / 31). Quotients
are cut at `QUOTIENT_PLACES`, which leaves an error below 10^-140 in the amount. The amount itself
is a fraction whose denominator is below 10^130 (10^45 for the places of quantity and rate, 10^60
for a divisor, 10^20 for a proration), so when it is not half a minor unit, it is farther than
10^-131 from it. Cutting it at `GUARD_PLACES` between the two therefore gives back a half that the
division missed (20 / 60 x 0.015 is 0.005 again, and rounds up) and never invents one.
"""

from contextlib import AbstractContextManager
from decimal import (
    ROUND_HALF_UP,
    Context,
    Decimal,
    DivisionByZero,
    Inexact,
    InvalidOperation,
    Overflow,
    localcontext,
)
from fractions import Fraction
from functools import cache

LIMIT = Decimal(10) ** 30
QUANTITY_PLACES = 30
RATE_PLACES = 15
# What the product of a quantity and a rate can have: nothing shown to people is longer.
PRODUCT_PLACES = QUANTITY_PLACES + RATE_PLACES
GUARD_PLACES = 135
QUOTIENT_PLACES = 190
PRECISION = 450

_FAULTS = [DivisionByZero, InvalidOperation, Overflow]
_EXACT = Context(prec=PRECISION, rounding=ROUND_HALF_UP, traps=[*_FAULTS, Inexact])
_ROUNDING = Context(prec=PRECISION, rounding=ROUND_HALF_UP, traps=_FAULTS)


def exact_arithmetic() -> AbstractContextManager[Context]:
    """Return a context manager in which `+`, `-` and `*` are exact or raise `Inexact`."""
    return localcontext(_EXACT)


def rounded(value: Decimal, unit: Decimal) -> Decimal:
    """Round to the exponent of `unit`, half away from zero; there is no negative zero."""
    result = value.quantize(unit, context=_ROUNDING)
    return result or result.copy_abs()


def cut(value: Decimal, places: int) -> Decimal:
    """Round a value to `places` decimal places if it has more, and leave it alone if not."""
    # Quicker than asking a decimal for its exponent.
    shorter = value.quantize(_unit(places), context=_ROUNDING)
    return value if shorter == value else rounded(shorter, shorter).normalize(_ROUNDING)


@cache
def _unit(places: int) -> Decimal:
    return Decimal((0, (1,), -places))


def quotient(value: Decimal, divisor: Decimal) -> Decimal:
    return cut(_ROUNDING.divide(value, divisor), QUOTIENT_PLACES)


def portion(amount: Decimal, fraction: Fraction) -> Decimal:
    """Return `amount` times `fraction`, cut at `GUARD_PLACES`."""
    return cut(quotient(amount * fraction.numerator, Decimal(fraction.denominator)), GUARD_PLACES)


def trimmed(value: Decimal) -> Decimal:
    """Return the same value without zeros that its fraction ends in: 1.5 for 1.500."""
    whole = value.to_integral_value()
    return whole if whole == value else value.normalize(_ROUNDING)


def plain(value: Decimal) -> str:
    """Write a decimal without an exponent: 1000, never 1E+3."""
    return format(value, "f")


def grouped(value: Decimal) -> str:
    """Write a quantity as people read it: 1,000.5."""
    return format(value.normalize(_ROUNDING), ",f")
