"""Which part of a period one charge is for, when the plan changes, is paused or begins late."""

from datetime import UTC, datetime, timedelta

import pytest

from billing.rating.phases import Phase, Stretch, known_phases, stretches


def at(day: int) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day)


def phase(start: int, end: int | None, *, version: int = 1, is_billed: bool = True) -> Phase:
    return Phase(at(start), None if end is None else at(end), version, is_billed, {})


def cut(*phases: Phase) -> list[Stretch]:
    """Cut days 10 to 40 where the price list changes."""
    return list(stretches(phases, at(10), at(40), same=lambda phase: phase.version))


TRIAL = phase(0, 10, is_billed=False)
FIRST, SECOND, THIRD = phase(10, 20), phase(20, 30, version=2), phase(30, 40, version=3)


@pytest.mark.parametrize(
    ("day", "known"),
    [
        (-1, []),
        (0, [phase(0, None, is_billed=False)]),
        (19, [TRIAL, phase(10, None)]),
        (20, [TRIAL, FIRST, phase(20, None, version=2)]),
        (99, [TRIAL, FIRST, SECOND, phase(30, None, version=3)]),
    ],
)
def test_what_is_planned_for_later_is_not_known_yet(day: int, known: list[Phase]) -> None:
    assert known_phases([TRIAL, FIRST, SECOND, THIRD], at(day)) == known


def test_a_period_is_cut_where_the_price_list_changes() -> None:
    assert cut(FIRST, SECOND, THIRD) == [
        Stretch(at(10), at(20), FIRST),
        Stretch(at(20), at(30), SECOND),
        Stretch(at(30), at(40), THIRD),
    ]


def test_a_stretch_lies_within_the_period() -> None:
    around, open_ended = phase(0, 50), phase(0, None)
    assert cut(around) == [Stretch(at(10), at(40), around)]
    assert cut(open_ended) == [Stretch(at(10), at(40), open_ended)]
    assert cut(phase(0, 10), phase(40, None)) == []


def test_phases_that_cost_the_same_are_one_stretch_of_the_first() -> None:
    again = phase(20, 30)
    assert cut(FIRST, again, THIRD) == [
        Stretch(at(10), at(30), FIRST),
        Stretch(at(30), at(40), THIRD),
    ]


def test_a_pause_cuts_what_costs_the_same_in_two() -> None:
    pause, after = phase(20, 30, is_billed=False), phase(30, None)
    assert cut(FIRST, pause, after) == [
        Stretch(at(10), at(20), FIRST),
        Stretch(at(30), at(40), after),
    ]


def test_nothing_is_charged_for_a_trial() -> None:
    trial, rest = phase(0, 15, is_billed=False), phase(15, None)
    assert cut(trial, rest) == [Stretch(at(15), at(40), rest)]
    assert cut(phase(0, None, is_billed=False)) == []
