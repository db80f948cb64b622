from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.rating.money import allocate_amount
from billing.rating.periods import Period, period_containing
from billing.rating.proration import PRORATIONS, proration_fraction
from tests.billing.rating.test_periods import instants, zones

PARIS = ZoneInfo("Europe/Paris")
JANUARY = Period(
    datetime(2026, 1, 1, tzinfo=PARIS).astimezone(UTC),
    datetime(2026, 2, 1, tzinfo=PARIS).astimezone(UTC),
)


def at(day: int, hour: int = 0) -> datetime:
    return datetime(2026, 1, day, hour, tzinfo=PARIS).astimezone(UTC)


def days(start: datetime, end: datetime, *, is_last: bool = False) -> Fraction:
    part = Period(start, end)
    return proration_fraction("day", part, JANUARY, PARIS, is_last=is_last) * 31


def test_a_started_day_is_a_whole_one() -> None:
    assert days(at(15, 23), JANUARY.end) == 17


def test_the_day_of_a_change_belongs_to_the_new_plan() -> None:
    assert days(JANUARY.start, at(15, 12)) == 14
    assert days(at(15, 12), JANUARY.end) == 17


def test_a_plan_that_lasted_less_than_a_day_and_was_changed_costs_nothing() -> None:
    assert days(at(15, 9), at(15, 17)) == 0


def test_the_last_day_of_an_ended_subscription_counts() -> None:
    assert days(JANUARY.start, at(15, 12), is_last=True) == 15
    assert days(at(15, 9), at(15, 17), is_last=True) == 1
    assert days(JANUARY.start, at(15), is_last=True) == 14
    assert days(JANUARY.start, at(15) + timedelta(minutes=30), is_last=True) == 15


def test_days_are_those_of_the_time_zone() -> None:
    start = datetime(2026, 1, 14, 23, 30, tzinfo=UTC)
    assert days(start, JANUARY.end) == 17
    year = period_containing(start, interval="year", zone=ZoneInfo("UTC"))
    part = Period(start, year.end)
    assert proration_fraction("day", part, year, ZoneInfo("UTC")) == Fraction(352, 365)


def test_seconds_are_exact_through_a_clock_change() -> None:
    october = period_containing(datetime(2026, 10, 5, tzinfo=UTC), interval="month", zone=PARIS)
    part = Period(october.start, october.start + timedelta(hours=1, microseconds=1))
    assert proration_fraction("second", part, october, PARIS) == Fraction(
        3_600_000_001, 745 * 3_600_000_000
    )


def test_none_charges_in_full() -> None:
    assert proration_fraction("none", Period(at(15), at(16)), JANUARY, PARIS) == 1


@pytest.mark.parametrize("proration", PRORATIONS)
def test_a_full_period_is_the_whole_fee(proration: str) -> None:
    assert proration_fraction(proration, JANUARY, JANUARY, PARIS) == 1
    assert proration_fraction(proration, JANUARY, JANUARY, PARIS, is_last=True) == 1


@pytest.mark.parametrize(
    "part",
    [
        Period(JANUARY.start - timedelta(seconds=1), JANUARY.end),
        Period(JANUARY.start, JANUARY.end + timedelta(seconds=1)),
    ],
)
def test_a_part_outside_its_full_period_is_refused(part: Period) -> None:
    with pytest.raises(ValueError, match="is not within"):
        proration_fraction("day", part, JANUARY, PARIS)


@given(
    instants,
    st.sampled_from(["week", "month", "year"]),
    zones,
    st.sampled_from(["day", "second"]),
    st.lists(st.fractions(0, 1), max_size=4),
    st.integers(0, 10**9),
)
def test_parts_sum_to_the_whole_to_the_last_cent(
    instant: datetime,
    interval: str,
    zone: ZoneInfo,
    proration: str,
    cuts: list[Fraction],
    cents: int,
) -> None:
    full = period_containing(instant, interval=interval, zone=zone)
    seconds = int((full.end - full.start).total_seconds())
    changes = {full.start + timedelta(seconds=int(seconds * cut)) for cut in cuts}
    bounds = sorted(changes | {full.start, full.end})
    fractions = [
        proration_fraction(proration, Period(*part), full, zone) for part in pairwise(bounds)
    ]
    assert sum(fractions) == 1
    assert all(fraction >= 0 for fraction in fractions)
    amount = Decimal(cents).scaleb(-2)
    assert sum(allocate_amount(amount, fractions, "USD")) == amount


@given(instants, zones)
def test_a_day_repeated_across_midnight_is_not_counted_twice(
    instant: datetime, zone: ZoneInfo
) -> None:
    full = period_containing(instant, interval="day", zone=zone)
    part = Period(max(instant, full.start), full.end)
    assert proration_fraction("day", part, full, zone) == 1
