"""How amounts, quantities, instants and periods are written for people."""
# ruff: noqa: RUF001  # Locales have dashes and apostrophes of their own.

from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from babel.numbers import parse_decimal
from hypothesis import given
from hypothesis import strategies as st

from billing import formatting
from billing.admin import words

PARIS = ZoneInfo("Europe/Paris")
NARROW = "\u202f"
BOUND = "\xa0"


@pytest.mark.parametrize(
    ("amount", "currency", "locale", "text"),
    [
        ("1234.5", "USD", "en", "$1,234.50"),
        ("1234.5", "EUR", "fr", f"1{NARROW}234,50{BOUND}€"),
        ("1234.5", "EUR", "de-CH", f"EUR{BOUND}1’234.50"),
        ("1234", "JPY", "ja", "￥1,234"),
        ("1.5", "KWD", "en", "KWD1.500"),
        ("-3", "USD", "en", "-$3.00"),
        ("1E+3", "USD", "en", "$1,000.00"),
    ],
)
def test_money_has_the_places_of_its_currency_and_the_signs_of_the_locale(
    amount: str, currency: str, locale: str, text: str
) -> None:
    assert formatting.money(Decimal(amount), currency, locale) == text


@pytest.mark.parametrize(
    ("unit_amount", "text"),
    [("0.000042", "$0.000042"), ("5", "$5.00"), ("0.010000", "$0.01"), ("1.5", "$1.50")],
)
def test_a_rate_keeps_every_place_and_has_at_least_those_of_its_currency(
    unit_amount: str, text: str
) -> None:
    assert formatting.rate(Decimal(unit_amount), "USD", "en") == text


@pytest.mark.parametrize(
    ("percent", "locale", "text"),
    [("1.3", "en", "1.3%"), ("0.000042", "en", "0.000042%"), ("12.50", "fr", f"12,5{BOUND}%")],
)
def test_a_percentage_keeps_every_place(percent: str, locale: str, text: str) -> None:
    assert formatting.percentage(Decimal(percent), locale) == text


@pytest.mark.parametrize(
    ("step", "text"),
    [
        ({"rate": "1.3", "quantity": "400"}, "Share: 1.3% of 400 = $5.20"),
        ({"unit_amount": "0.013", "quantity": "400"}, "Share: 400 at $0.013 = $5.20"),
        ({"quantity": "400"}, "Share: 400 = $5.20"),
        ({}, "Share: $5.20"),
    ],
)
def test_staff_read_how_a_step_came_about(step: dict[str, str], text: str) -> None:
    assert words.step_words({"description": "Share", "amount": "5.2", **step}, "USD") == text


@given(st.decimals(min_value=-(10**29), max_value=10**29, places=15))
def test_a_quantity_loses_no_digit(value: Decimal) -> None:
    assert parse_decimal(formatting.quantity(value, "en"), "en") == value


@pytest.mark.parametrize(
    ("value", "text"),
    [("1234567.5000", "1,234,567.5"), ("-0.00", "0"), ("1E-40", "0"), ("1E+3", "1,000")],
)
def test_a_quantity_is_grouped_and_has_no_needless_zeros(value: str, text: str) -> None:
    assert formatting.quantity(Decimal(value), "en") == text


def test_the_largest_amounts_and_quantities_can_be_written() -> None:
    largest = Decimal(10) ** 60
    assert formatting.money(largest, "USD", "en").endswith(",000.00")
    assert formatting.quantity(largest, "en").endswith(",000")
    assert formatting.short_quantity(largest, "en").endswith("T")


def test_the_axis_of_a_chart_has_short_numbers() -> None:
    numbers = [Decimal(number) for number in ("9999", "12000", "1500000")]

    texts = [formatting.short_quantity(number, "en") for number in numbers]

    assert texts == ["9,999", "12K", "1.5M"]


@pytest.mark.parametrize(
    ("zone", "text"),
    [
        ("Europe/Paris", "1 juil. 2026, 01:30 CEST"),
        ("UTC", "30 juin 2026, 23:30 UTC"),
        ("America/Sao_Paulo", "30 juin 2026, 20:30 UTC-03"),
    ],
)
def test_an_instant_is_read_in_a_zone_and_names_it(zone: str, text: str) -> None:
    at = datetime(2026, 6, 30, 23, 30, tzinfo=UTC)

    assert formatting.instant(at, ZoneInfo(zone), "fr") == text


@pytest.mark.parametrize(
    ("start", "end", "text"),
    [
        ("2026-03-01", "2026-04-01", "1–31 mars 2026"),
        ("2025-12-15", "2026-02-01", "15 déc. 2025 – 31 janv. 2026"),
        ("2026-03-05", "2026-03-06", "5 mars 2026"),
        ("2026-03-05T10:00", "2026-03-05T18:00", "5 mars 2026"),
        ("2026-03-05T10:00", "2026-03-07T00:00", "5–6 mars 2026"),
    ],
)
def test_a_half_open_period_is_written_as_the_days_it_touches(
    start: str, end: str, text: str
) -> None:
    first, last = (datetime.fromisoformat(each).replace(tzinfo=PARIS) for each in (start, end))

    assert formatting.period(first, last, PARIS, "fr").replace("\u2009", " ") == text


def test_an_unknown_locale_reads_as_english() -> None:
    assert formatting.money(Decimal(1234), "USD", "xx-Nowhere") == "$1,234.00"
    assert formatting.money(Decimal(1234), "USD", "no such thing") == "$1,234.00"


def test_a_country_is_named_in_the_locale_and_an_unknown_one_left_alone() -> None:
    assert formatting.country("DE", "fr") == "Allemagne"
    assert formatting.country("??", "fr") == "??"
