"""The geometry of charts and tallies."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.charts import HEIGHT, Column, axis_top, bar_chart, line_chart, share, tally

amounts = st.decimals(min_value=0, max_value=10**15, places=4)


def columns(*values: str) -> list[Column]:
    return [Column(f"day {n}", [Decimal(v)], f"day {n}: {v}") for n, v in enumerate(values, 1)]


@given(amounts.filter(bool))
def test_the_axis_ends_at_one_digit_and_zeros_and_is_at_least_half_filled(value: Decimal) -> None:
    top = axis_top(value)

    assert value <= top <= 2 * value
    assert len(top.normalize().as_tuple().digits) == 1


@given(st.lists(st.lists(amounts, min_size=3, max_size=3), min_size=1, max_size=40))
def test_blocks_of_a_bar_stand_on_each_other_and_reach_their_share_of_the_axis(
    stacks: list[list[Decimal]],
) -> None:
    chart = bar_chart([Column("", values, "") for values in stacks])

    for values, bar in zip(stacks, chart.bars, strict=True):
        height = sum((block.height for block in bar.blocks), Decimal(0))
        assert abs(height - sum(values) / chart.ticks[0] * HEIGHT) < Decimal("0.05")
        tops = [block.y for block in bar.blocks]
        assert tops == sorted(tops, reverse=True)
        assert all(0 <= block.y <= HEIGHT for block in bar.blocks)


def test_a_bar_is_as_high_as_its_part_of_the_axis() -> None:
    chart = bar_chart(columns("25", "100", "0"))

    assert list(map(int, chart.ticks)) == [100, 50, 0]
    assert [[block.height for block in bar.blocks] for bar in chart.bars] == [[25], [100], []]
    assert chart.bars[0].blocks[0].y == 75


def test_a_negative_value_hangs_from_a_zero_line_in_the_middle() -> None:
    chart = bar_chart(columns("-50", "100"))

    assert list(map(int, chart.ticks)) == [100, 0, -100]
    assert [block.y for bar in chart.bars for block in bar.blocks] == [50, 0]
    assert [block.height for bar in chart.bars for block in bar.blocks] == [25, 50]


def test_bars_lie_side_by_side_inside_the_box() -> None:
    chart = bar_chart(columns(*["1"] * 31))

    assert chart.bars[0].x >= 0
    assert chart.bars[-1].x + chart.bar_width <= chart.width
    gaps = {right.x - left.x for left, right in zip(chart.bars, chart.bars[1:], strict=False)}
    assert gaps == {chart.slot_width}


@pytest.mark.parametrize(
    ("count", "labels"),
    [(0, []), (3, ["day 1", "day 2", "day 3"]), (31, ["day 1", "day 16", "day 31"])],
)
def test_as_many_labels_are_shown_as_have_room(count: int, labels: list[str]) -> None:
    assert list(bar_chart(columns(*["1"] * count)).x_labels) == labels


def test_a_chart_without_usage_has_no_bars_to_see() -> None:
    chart = bar_chart(columns("0", "0"))

    assert [bar.blocks for bar in chart.bars] == [(), ()]
    assert [bar.title for bar in chart.bars] == ["day 1: 0", "day 2: 0"]


@pytest.mark.parametrize(
    ("part", "whole", "percent"), [(1, 4, 25), (0, 4, 0), (1, 0, 0), (-1, 4, 0), (9, 4, 100)]
)
def test_a_share_stays_between_nothing_and_all(part: int, whole: int, percent: int) -> None:
    assert share(Decimal(part), Decimal(whole)) == percent


def test_a_tally_strikes_every_fifth_through_the_four_before() -> None:
    drawn = tally(7, 12)

    assert [mark.is_done for mark in drawn.marks] == [True] * 7 + [False] * 5
    assert [n for n, mark in enumerate(drawn.marks, 1) if mark.x1 != mark.x2] == [5, 10]
    assert max(mark.x2 for mark in drawn.marks) <= drawn.width


def test_lines_share_one_axis_and_go_from_left_to_right() -> None:
    chart = line_chart([[Decimal(0), Decimal(50)], [Decimal(100), Decimal(25)]], ["0", "10"])

    assert chart.lines == ("0,100.00 10,50.00", "0,0.00 10,75.00")
    assert (list(map(int, chart.ticks)), chart.x_labels) == ([100, 50, 0], ("0", "10"))
    assert chart.width == 10
