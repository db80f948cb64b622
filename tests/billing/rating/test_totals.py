from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from billing.rating.money import currency_exponent
from billing.rating.totals import Discount, Totals, total_lines
from tests.billing.rating.strategies import CURRENCIES

CENTS = st.integers(-(10**9), 10**9)
PERCENTS = st.decimals(0, 100, places=3)
DISCOUNTS = st.lists(
    st.one_of(
        st.builds(Discount, percent_off=PERCENTS),
        st.builds(Discount, amount_off=st.decimals(0, 10**7, places=4)),
        st.builds(
            Discount,
            percent_off=PERCENTS,
            prices=st.lists(st.sampled_from("abc"), min_size=1).map(tuple),
        ),
    ),
    max_size=4,
)


def dollars(*amounts: str) -> list[tuple[str, Decimal]]:
    return [(key, Decimal(amount)) for key, amount in zip("abc", amounts, strict=False)]


@st.composite
def invoices(draw: st.DrawFn, amounts: st.SearchStrategy[int] = CENTS) -> Totals:
    currency = draw(CURRENCIES)
    unit = Decimal(1).scaleb(-currency_exponent(currency))
    lines = [(key, draw(amounts) * unit) for key in "abcc"]
    return total_lines(
        lines,
        currency,
        discounts=draw(DISCOUNTS),
        tax_rates=draw(st.lists(PERCENTS, max_size=3)),
        credits=abs(draw(CENTS)) * unit,
    )


@given(invoices())
def test_no_minor_unit_is_lost_between_lines_and_total(totals: Totals) -> None:
    assert totals.subtotal - totals.discount + totals.tax - totals.credits == totals.total
    assert sum(totals.discounts) == sum(totals.line_discounts) == totals.discount
    assert sum(totals.taxes) == totals.tax
    sums = (totals.subtotal, totals.discount, totals.tax, totals.credits, totals.total)
    amounts = (*sums, *totals.discounts, *totals.taxes, *totals.line_discounts)
    assert len({amount.as_tuple().exponent for amount in amounts}) == 1


@given(invoices(st.integers(0, 10**9)))
def test_discounts_and_credits_never_go_below_zero(totals: Totals) -> None:
    assert 0 <= totals.discount <= totals.subtotal
    assert all(discount >= 0 for discount in totals.line_discounts)
    assert totals.credits >= 0
    assert totals.total >= 0


@given(invoices(st.integers(-(10**9), 0)))
def test_an_invoice_that_gives_money_back_has_no_discount_and_uses_no_credits(
    totals: Totals,
) -> None:
    assert totals.discount == totals.credits == 0
    assert totals.total == totals.subtotal + totals.tax


def test_a_discount_applies_to_what_the_ones_before_it_left() -> None:
    halves = [Discount(percent_off=Decimal(50))] * 2
    assert total_lines(dollars("100.00"), "USD", discounts=halves).line_discounts == (Decimal(75),)


def test_a_scoped_discount_sees_its_share_of_the_discounts_before_it() -> None:
    discounts = [Discount(amount_off=Decimal(10)), Discount(Decimal(50), prices=("a",))]
    totals = total_lines(dollars("80.00", "20.00"), "USD", discounts=discounts)
    assert totals.discounts == (Decimal(10), Decimal(36))
    assert totals.line_discounts == (Decimal(44), Decimal(2))


def test_an_amount_off_stops_at_what_its_lines_come_to() -> None:
    discounts = [Discount(amount_off=Decimal(50), prices=("b",))]
    assert total_lines(dollars("80.00", "20.00"), "USD", discounts=discounts).total == 80


def test_a_discount_is_rounded_once_not_once_a_line() -> None:
    lines = dollars("0.05", "0.05", "0.05")
    totals = total_lines(lines, "USD", discounts=[Discount(percent_off=Decimal(10))])
    assert totals.discount == Decimal("0.02")
    assert [str(part) for part in totals.line_discounts] == ["0.01", "0.01", "0.00"]


def test_each_tax_rate_is_rounded_once_and_rates_add() -> None:
    rates = [Decimal("8.25"), Decimal("0.5")]
    totals = total_lines(dollars("35.00", "35.00"), "USD", tax_rates=rates)
    assert [str(tax) for tax in totals.taxes] == ["5.78", "0.35"]
    assert str(totals.total) == "76.13"


def test_tax_on_money_given_back_is_given_back_too() -> None:
    totals = total_lines(dollars("-10.10"), "USD", tax_rates=[Decimal(5)])
    assert [str(totals.tax), str(totals.total)] == ["-0.51", "-10.61"]


@pytest.mark.parametrize(("balance", "used"), [("5", "5.00"), ("500", "10.00"), ("0", "0.00")])
def test_credits_pay_up_to_the_total(balance: str, used: str) -> None:
    totals = total_lines(dollars("10.00"), "USD", credits=Decimal(balance))
    assert str(totals.credits) == used
    assert totals.total == 10 - Decimal(used)


def test_no_lines_make_an_invoice_of_zero() -> None:
    discounts = [Discount(amount_off=Decimal(1))]
    totals = total_lines([], "KWD", discounts=discounts, credits=Decimal(5))
    sums = [totals.subtotal, totals.credits, totals.total, *totals.discounts]
    assert [str(amount) for amount in sums] == ["0.000"] * 4


def test_a_discount_on_prices_without_a_line_takes_off_nothing() -> None:
    discounts = [Discount(Decimal(50), prices=("z",))]
    totals = total_lines(dollars("80.00"), "USD", discounts=discounts)
    assert [str(totals.discounts[0]), str(totals.total)] == ["0.00", "80.00"]


@given(st.lists(CENTS, min_size=1, max_size=5), PERCENTS)
def test_a_percentage_off_everything_is_the_percentage_of_the_subtotal(
    cents: list[int], percent: Decimal
) -> None:
    assume(sum(cents) > 0)
    lines = [("a", Decimal(amount).scaleb(-2)) for amount in cents]
    totals = total_lines(lines, "USD", discounts=[Discount(percent_off=percent)])
    assert abs(totals.discount - totals.subtotal * percent / 100) <= Decimal("0.005")
