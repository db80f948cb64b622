"""Giving back in parts: never more than there was, and all of it in the end."""

from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from billing.rating.crediting import Part, part_by_amount, part_by_lines
from billing.rating.money import minor_unit

CURRENCIES = st.sampled_from(["USD", "JPY", "KWD"])
PERCENTS = [Decimal(20), Decimal("8.25")]


def less(left: Part, part: Part) -> Part:
    return Part(
        tuple(a - b for a, b in zip(left.lines, part.lines, strict=True)),
        tuple(a - b for a, b in zip(left.taxes, part.taxes, strict=True)),
    )


@given(
    CURRENCIES,
    st.lists(st.integers(1, 10**7), min_size=1, max_size=4),
    st.lists(st.integers(0, 10**6), min_size=2, max_size=2),
    st.lists(st.integers(1, 10**7), max_size=5),
)
def test_parts_by_amount_come_to_it_and_leave_nothing_below_zero(
    currency: str, lines: list[int], taxes: list[int], asked: list[int]
) -> None:
    unit = minor_unit(currency)
    left = Part(tuple(each * unit for each in lines), tuple(each * unit for each in taxes))
    for wish in asked:
        amount = min(wish * unit, left.total)
        part = part_by_amount(left, amount, currency) if amount else part_of_nothing(left)
        left = less(left, part)
        assert part.total == amount
        assert min(*left.lines, *left.taxes) >= 0
    assert not any(less(left, part_by_amount(left, left.total, currency)).lines)


def part_of_nothing(left: Part) -> Part:
    return Part(tuple(each * 0 for each in left.lines), tuple(each * 0 for each in left.taxes))


@given(CURRENCIES, st.lists(st.integers(1, 10**6), min_size=1, max_size=5), st.data())
def test_lines_given_back_one_after_the_other_give_back_all_tax(
    currency: str, lines: list[int], data: Any
) -> None:
    unit = minor_unit(currency)
    amounts = tuple(each * unit for each in lines)
    whole = part_by_lines(Part(amounts, (10**9 * unit,) * 2), {0: amounts[0]}, PERCENTS, currency)
    taxes = tuple(data.draw(st.integers(0, 10**6)) * unit for _ in whole.taxes)
    left = Part(amounts, taxes)
    for position, amount in enumerate(amounts):
        part = part_by_lines(left, {position: amount}, PERCENTS, currency)
        left = less(left, part)
        assert min(left.taxes) >= 0
    assert not any(left.taxes)


def test_tax_on_a_part_is_its_rate_rounded_and_the_last_part_has_the_rest() -> None:
    left = Part((Decimal("100.00"),), (Decimal("20.00"), Decimal("8.25")))
    parts = []
    for amount in ("33.33", "33.33", "33.34"):
        parts.append(part_by_lines(left, {0: Decimal(amount)}, PERCENTS, "USD"))
        left = less(left, parts[-1])
    assert [[str(tax) for tax in part.taxes] for part in parts] == [
        ["6.67", "2.75"],
        ["6.67", "2.75"],
        ["6.66", "2.75"],
    ]
