"""What each balance pays of a document, in the order the balances come in."""

from collections.abc import Sequence
from decimal import Decimal

import pytest

from billing.rating.credits import pay_with


def paid(balances: Sequence[tuple[str, str]], lines: str, owed: str) -> list[str]:
    """Pay lines such as "a 60.00, b 40.00"; a balance is for the prices it names, or for all."""
    pairs = [line.split() for line in lines.split(", ") if line]
    amounts = pay_with(
        [(Decimal(amount), prices.split()) for amount, prices in balances],
        [(key, Decimal(amount)) for key, amount in pairs],
        Decimal(owed),
        "USD",
    )
    return [str(amount) for amount in amounts]


@pytest.mark.parametrize(
    ("balances", "lines", "owed", "amounts"),
    [
        # Never more than there is, nor than is owed.
        ([("30", "")], "a 60.00, b 40.00", "100.00", ["30.00"]),
        ([("300", "")], "a 60.00, b 40.00", "100.00", ["100.00"]),
        ([], "a 60.00", "60.00", []),
        # The next pays what is left.
        ([("30", ""), ("90", "")], "a 60.00, b 40.00", "100.00", ["30.00", "70.00"]),
        ([("100", ""), ("90", "")], "a 60.00, b 40.00", "100.00", ["100.00", "0.00"]),
        # For some prices, with their tax of a tenth.
        ([("99", "b")], "a 60.00, b 40.00", "110.00", ["44.00"]),
        ([("99", "a b")], "a 60.00, b 40.00, c 10.00", "110.00", ["99.00"]),
        ([("99", "z"), ("1", "")], "a 60.00", "60.00", ["0.00", "1.00"]),
        # What one took of a line, the next does not find there.
        ([("30", "b"), ("99", "b"), ("99", "")], "a 60.00, b 40.00", "100.00", "30 10 60"),
        ([("50", ""), ("99", "b"), ("99", "")], "a 60.00, b 40.00", "100.00", "50 20 30"),
        # A line below zero lessens what is owed and takes no share of it.
        ([("99", "a"), ("99", "")], "a 60.00, b 40.00, c -20.00", "80.00", "48 32"),
        # Nothing is owed.
        ([("30", ""), ("5", "a")], "a 60.00, b -60.00", "0.00", ["0.00", "0.00"]),
        ([("30", "")], "a 10.00, b -60.00", "-50.00", ["0.00"]),
        ([("30", "")], "a 0.00", "5.00", ["0.00"]),
        ([("30", "")], "a 0.01", "0.01", ["0.01"]),
    ],
)
def test_balances_pay_in_their_order(
    balances: list[tuple[str, str]], lines: str, owed: str, amounts: list[str] | str
) -> None:
    if isinstance(amounts, str):
        amounts = [f"{amount}.00" for amount in amounts.split()]
    assert paid(balances, lines, owed) == amounts
