"""What is left to bill of a charge is what it is worth less what was billed, and says so."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from billing.rating.arithmetic import exact_arithmetic
from billing.rating.differences import Billed, left_to_bill, nothing_left
from billing.rating.lines import RatedLine
from billing.rating.steps import Step, total_of

NOTHING = Billed(Decimal(0), Decimal(0), 0)


def worth(amount: str, quantity: str = "0") -> RatedLine:
    steps = (Step("units", "All units", Decimal(amount), Decimal(quantity)),)
    return RatedLine("calls", Decimal(quantity), None, Decimal(amount), steps)


def test_all_is_left_of_what_was_never_billed() -> None:
    assert left_to_bill(worth("12.00", "6000"), None) == worth("12.00", "6000")


def test_what_was_billed_is_taken_off_in_a_step_of_its_own() -> None:
    line = left_to_bill(worth("12.00", "6000"), Billed(Decimal("4.50"), Decimal(2250), 1))
    assert line.as_document() == {
        "price": "calls",
        "quantity": "6000",
        "amount": "7.50",
        "steps": [
            {"kind": "units", "description": "All units", "quantity": "6000", "amount": "12.00"},
            {
                "kind": "billed",
                "description": "Already billed for 2,250",
                "quantity": "-2250",
                "amount": "-4.50",
            },
        ],
    }
    assert line.billed_quantity == 2250


def test_what_counts_no_units_was_not_billed_for_any() -> None:
    line = left_to_bill(worth("12.00"), Billed(Decimal("4.50"), Decimal(1), 1), counts_units=False)
    assert line.steps[-1].as_document() == {
        "kind": "billed",
        "description": "Already billed",
        "amount": "-4.50",
    }


def test_a_charge_that_is_no_more_is_given_back_whole() -> None:
    line = nothing_left("calls", Billed(Decimal("4.50"), Decimal(2250), 1), Decimal("0.00"))
    assert [line.price, line.quantity, line.billed_quantity] == ["calls", 0, 2250]
    assert str(line.amount) == "-4.50"
    assert [step.kind for step in line.steps] == ["billed"]
    assert str(nothing_left("calls", NOTHING, Decimal("0.00")).amount) == "0.00"


def test_the_last_part_says_what_total_was_billed() -> None:
    first = NOTHING.with_line(Decimal("4.50"), Decimal(2250), 0)
    assert first == Billed(Decimal("4.50"), Decimal(2250), 1)
    third = first.with_line(Decimal("1.50"), Decimal(3000), 2)
    assert third == Billed(Decimal("6.00"), Decimal(3000), 3)
    assert third.with_line(Decimal("-0.50"), Decimal(2000), 1) == Billed(
        Decimal("5.50"), Decimal(3000), 3
    )
    assert third.with_line(Decimal("-0.50"), Decimal(2000), 2).quantity == 3000


@given(st.lists(st.decimals(-(10**30), 10**30, places=2), min_size=1, max_size=5))
def test_documents_add_up_to_the_worth_however_often_it_was_billed(worths: list[Decimal]) -> None:
    billed = NOTHING
    for part, amount in enumerate(worths):
        line = left_to_bill(worth(str(amount), str(part)), billed)
        with exact_arithmetic():
            assert total_of(line.steps) == line.amount
        billed = billed.with_line(line.amount, line.quantity, part)
    assert billed == Billed(worths[-1], Decimal(len(worths) - 1), len(worths))
