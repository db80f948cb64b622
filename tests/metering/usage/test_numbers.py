"""Python and PostgreSQL read the same texts as the same numbers."""

from decimal import Decimal

import pytest
from django.db import connection
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from metering.numbers import decimal_sql, parse_decimal, plain


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.sampled_from("0123456789.+-eE \n٣_,naNIif"), max_size=70))
@example("1" * 64)
@example("1" * 65)
@example("1e99")
@example("1e100")
@example("12\n")
def test_python_and_postgresql_agree_on_what_is_a_number(db: None, text: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {decimal_sql('to_jsonb(%(text)s::text)')}", {"text": text})
        [(number,)] = cursor.fetchall()
    assert number == parse_decimal(text)


@pytest.mark.parametrize(
    ("number", "text"),
    [("100", "100"), ("1E+3", "1000"), ("0.500", "0.5"), ("1E-9", "0.000000001"), ("0", "0")],
)
def test_a_number_is_written_without_exponent(number: str, text: str) -> None:
    assert plain(Decimal(number)) == text
