from decimal import Decimal
from fractions import Fraction

import pytest
from babel.core import get_global
from babel.numbers import list_currencies
from hypothesis import given
from hypothesis import strategies as st

from billing.rating.arithmetic import exact_arithmetic
from billing.rating.errors import PriceError
from billing.rating.money import (
    allocate_amount,
    check_currency,
    currency_exponent,
    minor_unit,
    round_amount,
    words_for_amount,
)
from billing.rating.quotes import quote
from tests.billing.rating.strategies import CURRENCIES, half_up


@pytest.mark.parametrize(
    ("amount", "currency", "rounded"),
    [
        ("0.005", "USD", "0.01"),
        ("0.004999999999999", "USD", "0.00"),
        ("-0.005", "USD", "-0.01"),
        ("-0.001", "USD", "0.00"),
        ("2.5", "JPY", "3"),
        ("1e3", "JPY", "1000"),
        ("1.0005", "KWD", "1.001"),
        ("0.00005", "CLF", "0.0001"),
        ("123456789012345678901234567890.125", "USD", "123456789012345678901234567890.13"),
    ],
)
def test_rounding_is_half_away_from_zero(amount: str, currency: str, rounded: str) -> None:
    assert format(round_amount(Decimal(amount), currency), "f") == rounded


@pytest.mark.parametrize("currency", sorted(list_currencies()))
def test_every_currency_is_rounded_to_its_own_exponent(currency: str) -> None:
    fractions = get_global("currency_fractions")
    places = fractions.get(currency, fractions["DEFAULT"])[0]
    price = {"key": "base", "model": "flat", "amount": "1.234567"}
    total = quote({"currency": currency, "prices": [price]})["total"]
    assert total == {0: "1", 2: "1.23", 3: "1.235", 4: "1.2346"}[places]


def test_exponents_and_minor_units_are_those_of_the_table() -> None:
    assert [currency_exponent(code) for code in ("USD", "JPY", "KWD", "CLF")] == [2, 0, 3, 4]
    assert [str(minor_unit(code)) for code in ("USD", "JPY", "KWD")] == ["0.01", "1", "0.001"]


@pytest.mark.parametrize("code", ["usd", "XYZ", "", "US dollars, please, and quickly"])
def test_unknown_currency_is_refused_with_a_sentence(code: str) -> None:
    with pytest.raises(PriceError) as refusal:
        check_currency(code, "prices.0.currency")
    assert refusal.value.field == "prices.0.currency"
    assert refusal.value.message == (
        f'There is no currency "{code[:20]}". Write an ISO 4217 code in capitals, such as "USD".'
    )


@given(
    st.integers(-(10**35), 10**35),
    st.lists(st.fractions(0, 10**6, max_denominator=997), min_size=1, max_size=7).filter(sum),
    CURRENCIES,
)
def test_shares_sum_to_the_amount_and_are_less_than_a_minor_unit_off(
    minor_units: int, weights: list[Fraction], currency: str
) -> None:
    unit = minor_unit(currency)
    with exact_arithmetic():
        amount = minor_units * unit
        parts = allocate_amount(amount, weights, currency)
        assert sum(parts) == amount
    for part, weight in zip(parts, weights, strict=True):
        assert abs(Fraction(part) - Fraction(amount) * weight / sum(weights)) < Fraction(unit)


def test_left_over_minor_units_go_to_the_largest_remainders_then_the_first() -> None:
    assert allocate_amount(Decimal("0.05"), [1, 2, 2], "USD") == (
        Decimal("0.01"),
        Decimal("0.02"),
        Decimal("0.02"),
    )
    assert [str(part) for part in allocate_amount(Decimal("10.00"), [1, 1, 1], "USD")] == [
        "3.34",
        "3.33",
        "3.33",
    ]
    assert [str(part) for part in allocate_amount(Decimal(100), [1, 5], "JPY")] == ["17", "83"]
    assert [str(part) for part in allocate_amount(Decimal(100), [5, 1], "JPY")] == ["83", "17"]


def test_amounts_that_are_not_whole_minor_units_are_not_shared_out() -> None:
    with pytest.raises(ValueError, match="not a whole number of minor units"):
        allocate_amount(Decimal("0.001"), [1, 1], "USD")


def test_weights_without_a_sum_are_refused() -> None:
    with pytest.raises(ValueError, match="share out nothing"):
        allocate_amount(Decimal("1.00"), [1, -1], "USD")


@pytest.mark.parametrize(
    ("amount", "currency", "words"),
    [
        ("0.002", "USD", "$0.002"),
        ("0.1", "EUR", "€0.10"),
        ("1200", "JPY", "¥1,200"),
        ("0.000000000000001", "USD", "$0.000000000000001"),
        (
            "123456789012345678901234567890.000000000000001",
            "USD",
            "$123,456,789,012,345,678,901,234,567,890.000000000000001",
        ),
    ],
)
def test_words_for_an_amount_keep_every_place(amount: str, currency: str, words: str) -> None:
    assert words_for_amount(Decimal(amount), currency) == words


@given(st.fractions(0, 10**9, max_denominator=10**9), CURRENCIES)
def test_rounding_agrees_with_fractions(amount: Fraction, currency: str) -> None:
    with exact_arithmetic() as context:
        context.traps[next(trap for trap in context.traps if trap.__name__ == "Inexact")] = False
        decimal = Decimal(amount.numerator) / amount.denominator
    assert Fraction(round_amount(decimal, currency)) == half_up(amount, currency_exponent(currency))
