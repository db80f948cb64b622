from decimal import Decimal, Inexact
from fractions import Fraction

import pytest

from billing.rating.arithmetic import cut, exact_arithmetic, grouped, plain, portion, quotient

ENORMOUS = Decimal("9" * 30 + "." + "9" * 30)
FINEST_RATE = Decimal("9" * 29 + "." + "9" * 15)


def test_products_of_the_longest_numbers_are_exact() -> None:
    with exact_arithmetic():
        product = ENORMOUS * FINEST_RATE
    assert Fraction(product) == Fraction(ENORMOUS) * Fraction(FINEST_RATE)


def test_longest_quotient_times_the_longest_rate_is_still_exact() -> None:
    with exact_arithmetic():
        units = quotient(ENORMOUS, Decimal("7e-30"))
        prorated = portion(units * FINEST_RATE, Fraction(10**19 + 7, 10**19 + 9))
    exact = Fraction(ENORMOUS) / Fraction("7e-30") * Fraction(FINEST_RATE)
    assert abs(Fraction(prorated) - exact * Fraction(10**19 + 7, 10**19 + 9)) < Fraction("1e-135")


def test_a_result_that_would_lose_a_digit_raises() -> None:
    with exact_arithmetic(), pytest.raises(Inexact):
        Decimal(1) / Decimal(3)


def test_half_a_minor_unit_that_a_division_missed_is_found_again() -> None:
    with exact_arithmetic():
        almost = quotient(Decimal(20), Decimal(60)) * Decimal("0.015")
    assert almost < Decimal("0.005")
    assert cut(almost, 135) == Decimal("0.005")


def test_cut_leaves_shorter_values_as_they_were_written() -> None:
    assert str(cut(Decimal("0.10"), 15)) == "0.10"
    assert str(cut(Decimal("0.12345"), 4)) == "0.1235"
    assert str(cut(Decimal("-0.00001"), 4)) == "0"


@pytest.mark.parametrize(
    ("value", "words"),
    [("1e3", "1000"), ("1E-7", "0.0000001"), ("-5.50", "-5.50"), ("0e5", "0")],
)
def test_plain_writes_no_exponent(value: str, words: str) -> None:
    assert plain(Decimal(value)) == words


@pytest.mark.parametrize(
    ("value", "words"), [("1e6", "1,000,000"), ("1000.50", "1,000.5"), ("-12345", "-12,345")]
)
def test_grouped_writes_quantities_for_people(value: str, words: str) -> None:
    assert grouped(Decimal(value)) == words
