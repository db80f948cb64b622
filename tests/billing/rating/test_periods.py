from datetime import UTC, date, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from billing.rating.periods import (
    INTERVALS,
    BillingPeriod,
    Period,
    months_later,
    nearest_midnight,
    period_containing,
    periods_from,
    start_of_day,
)

# Clocks set back across midnight, forward at midnight, by half hours, a day skipped, 45 minutes.
ZONES = [
    "UTC",
    "Europe/Paris",
    "America/New_York",
    "America/St_Johns",
    "America/Sao_Paulo",
    "America/Havana",
    "Africa/Cairo",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Kiritimati",
]
zones = st.sampled_from(ZONES).map(ZoneInfo)
instants = st.datetimes(datetime(1990, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
intervals = st.sampled_from(INTERVALS)
counts = st.integers(1, 13)
anchors = st.just(date(1, 1, 1)) | st.dates(date(1980, 1, 1), date(2040, 1, 1))


def utc(*fields: int) -> datetime:
    return datetime(*fields, tzinfo=UTC)  # type: ignore[misc,arg-type]


def local(period: Period, zone: ZoneInfo) -> tuple[str, str]:
    start, end = (at.astimezone(zone).isoformat() for at in (period.start, period.end))
    return start, end


@given(instants, intervals, counts, zones, anchors)
@example(utc(2006, 10, 29, 2, 45), "day", 1, ZoneInfo("America/St_Johns"), date(1, 1, 1))
@example(utc(2011, 12, 30, 10, 0), "day", 1, ZoneInfo("Pacific/Apia"), date(1, 1, 1))
def test_every_instant_is_in_one_period_and_periods_touch(
    instant: datetime, interval: str, count: int, zone: ZoneInfo, anchor: date
) -> None:
    def around(at: datetime) -> Period:
        return period_containing(
            at, interval=interval, interval_count=count, zone=zone, anchor=anchor
        )

    period = around(instant)
    assert instant in period
    assert around(period.start) == period
    assert around(period.end - timedelta(microseconds=1)) == period
    assert around(period.end).start == period.end


@given(instants, intervals, zones)
def test_periods_begin_at_the_first_instant_of_a_local_day(
    instant: datetime, interval: str, zone: ZoneInfo
) -> None:
    start = period_containing(instant, interval=interval, zone=zone).start
    before = start - timedelta(microseconds=1)
    assert before.astimezone(zone).date() < start.astimezone(zone).date()


@given(instants, intervals, zones)
def test_calendar_periods_begin_on_calendar_bounds(
    instant: datetime, interval: str, zone: ZoneInfo
) -> None:
    period = period_containing(instant, interval=interval, zone=zone)
    day = period.start.astimezone(zone).date()
    assert {
        "day": True,
        "week": day.weekday() == 0,
        "month": day.day == 1,
        "quarter": (day.day, day.month % 3) == (1, 1),
        "year": (day.day, day.month) == (1, 1),
    }[interval]


@pytest.mark.parametrize(
    ("interval", "count", "start", "end"),
    [
        ("day", 1, "2026-11-22", "2026-11-23"),
        ("day", 10, "2026-11-21", "2026-12-01"),
        ("week", 1, "2026-11-16", "2026-11-23"),
        ("week", 2, "2026-11-09", "2026-11-23"),
        ("month", 1, "2026-11-01", "2026-12-01"),
        ("month", 2, "2026-11-01", "2027-01-01"),
        ("quarter", 1, "2026-10-01", "2027-01-01"),
        ("month", 6, "2026-07-01", "2027-01-01"),
        ("year", 1, "2026-01-01", "2027-01-01"),
    ],
)
def test_counted_periods_lie_on_the_calendar(
    interval: str, count: int, start: str, end: str
) -> None:
    zone = ZoneInfo("Asia/Kathmandu")
    period = period_containing(
        utc(2026, 11, 22), interval=interval, interval_count=count, zone=zone
    )
    assert local(period, zone) == (f"{start}T00:00:00+05:45", f"{end}T00:00:00+05:45")


def test_a_month_with_a_clock_change_is_an_hour_longer_or_shorter() -> None:
    zone = ZoneInfo("Europe/Paris")
    march = period_containing(utc(2026, 3, 10), interval="month", zone=zone)
    october = period_containing(utc(2026, 10, 10), interval="month", zone=zone)
    assert march == Period(utc(2026, 2, 28, 23), utc(2026, 3, 31, 22))
    assert october == Period(utc(2026, 9, 30, 22), utc(2026, 10, 31, 23))


def test_a_month_in_nepal_begins_at_a_quarter_past_six_in_the_evening() -> None:
    period = period_containing(
        utc(2026, 1, 31, 18, 15), interval="month", zone=ZoneInfo("Asia/Kathmandu")
    )
    assert period == Period(utc(2026, 1, 31, 18, 15), utc(2026, 2, 28, 18, 15))


def test_a_day_without_a_midnight_begins_when_the_clock_was_set_forward() -> None:
    zone = ZoneInfo("Africa/Cairo")
    period = period_containing(utc(2026, 4, 24, 12), interval="day", zone=zone)
    assert local(period, zone) == ("2026-04-24T01:00:00+03:00", "2026-04-25T00:00:00+03:00")


def test_a_day_with_two_midnights_begins_at_the_first() -> None:
    start = start_of_day(date(2026, 11, 1), ZoneInfo("America/Havana"))
    assert start.isoformat() == "2026-11-01T04:00:00+00:00"


@pytest.mark.parametrize(
    ("instant", "nearest"),
    [
        (utc(2026, 1, 14, 23), utc(2026, 1, 14, 23)),
        (utc(2026, 1, 15, 10, 59), utc(2026, 1, 14, 23)),
        (utc(2026, 1, 15, 11), utc(2026, 1, 15, 23)),
        (utc(2026, 1, 15, 22), utc(2026, 1, 15, 23)),
        # 23 hours long: the clock is set forward at 02:00.
        (utc(2026, 3, 29, 10, 29), utc(2026, 3, 28, 23)),
        (utc(2026, 3, 29, 10, 31), utc(2026, 3, 29, 22)),
    ],
)
def test_the_nearest_midnight_is_that_of_the_time_zone_and_at_noon_the_next(
    instant: datetime, nearest: datetime
) -> None:
    assert nearest_midnight(instant, ZoneInfo("Europe/Paris")) == nearest


@pytest.mark.parametrize(
    ("instant", "months", "zone", "later"),
    [
        (utc(2026, 1, 31, 9), 1, "Europe/Paris", "2026-02-28T09:00:00+00:00"),
        (utc(2026, 1, 31, 9), 11, "Europe/Paris", "2026-12-31T09:00:00+00:00"),
        (utc(2026, 11, 30, 9), 2, "Europe/Paris", "2027-01-30T09:00:00+00:00"),
        (utc(2024, 2, 29, 9), 12, "Europe/Paris", "2025-02-28T09:00:00+00:00"),
        (utc(2026, 3, 15, 9), 1, "Europe/Paris", "2026-04-15T08:00:00+00:00"),
        (utc(2026, 1, 30, 12), 1, "Pacific/Kiritimati", "2026-02-27T12:00:00+00:00"),
    ],
)
def test_months_later_it_is_the_same_time_of_day_or_the_last_day_of_the_month(
    instant: datetime, months: int, zone: str, later: str
) -> None:
    assert months_later(instant, months, ZoneInfo(zone)).isoformat() == later


def test_an_afternoon_at_the_date_line_is_nearest_to_its_own_next_midnight() -> None:
    zone = ZoneInfo("Pacific/Kiritimati")
    assert nearest_midnight(utc(2026, 1, 15, 23), zone) == utc(2026, 1, 16, 10)


def test_a_skipped_day_has_no_period() -> None:
    zone = ZoneInfo("Pacific/Apia")
    days = periods_from(utc(2011, 12, 29, 10), interval="day", zone=zone)
    assert [day.start.astimezone(zone).day for day in islice(days, 3)] == [29, 31, 1]


def test_an_anniversary_on_the_31st_falls_on_the_last_day_of_shorter_months() -> None:
    periods = periods_from(
        utc(2026, 1, 31), interval="month", zone=ZoneInfo("UTC"), anchor=date(2026, 1, 31)
    )
    days = [(period.start.month, period.start.day) for period in islice(periods, 5)]
    assert days == [(1, 31), (2, 28), (3, 31), (4, 30), (5, 31)]


def test_an_anchor_may_lie_after_the_instant() -> None:
    period = period_containing(
        utc(2026, 5, 1),
        interval="month",
        interval_count=5,
        zone=ZoneInfo("UTC"),
        anchor=date(2030, 2, 15),
    )
    assert period == Period(utc(2025, 12, 15), utc(2026, 5, 15))


def test_the_first_period_starts_with_the_subscription_and_knows_its_full_period() -> None:
    zone = ZoneInfo("Europe/Paris")
    first, second = islice(periods_from(utc(2026, 1, 15, 9, 30), interval="month", zone=zone), 2)
    january = Period(utc(2025, 12, 31, 23), utc(2026, 1, 31, 23))
    assert first == BillingPeriod(utc(2026, 1, 15, 9, 30), utc(2026, 1, 31, 23), january)
    assert [first.is_partial, second.is_partial] == [True, False]


def test_periods_of_a_subscription_have_the_length_that_it_says() -> None:
    periods = periods_from(
        utc(2026, 1, 15), interval="month", interval_count=2, zone=ZoneInfo("UTC")
    )
    assert [period.end for period in islice(periods, 2)] == [utc(2026, 3, 1), utc(2026, 5, 1)]


def test_the_last_period_ends_with_the_subscription() -> None:
    periods = list(
        periods_from(
            utc(2026, 1, 1), end_at=utc(2026, 2, 10), interval="month", zone=ZoneInfo("UTC")
        )
    )
    assert [(period.start, period.end) for period in periods] == [
        (utc(2026, 1, 1), utc(2026, 2, 1)),
        (utc(2026, 2, 1), utc(2026, 2, 10)),
    ]
    assert periods[1].full.end == utc(2026, 3, 1)


def test_a_subscription_that_ends_on_a_bound_has_no_empty_period() -> None:
    bounds = utc(2026, 1, 1), utc(2026, 2, 1)
    periods = periods_from(bounds[0], end_at=bounds[1], interval="month", zone=ZoneInfo("UTC"))
    assert [period.is_partial for period in periods] == [False]
    ended = periods_from(bounds[0], end_at=bounds[0], interval="month", zone=ZoneInfo("UTC"))
    assert list(ended) == []


@given(instants, st.timedeltas(timedelta(0), timedelta(days=400)), intervals, counts, zones)
def test_periods_of_a_subscription_cover_it_without_a_gap(
    start: datetime, length: timedelta, interval: str, count: int, zone: ZoneInfo
) -> None:
    end = start + length
    periods = list(
        periods_from(start, end_at=end, interval=interval, interval_count=count, zone=zone)
    )
    assert all(one.end == other.start for one, other in pairwise(periods))
    assert [periods[0].start, periods[-1].end] == [start, end] if length else not periods


def test_a_period_is_half_open() -> None:
    period = Period(utc(2026, 1, 1), utc(2026, 2, 1))
    assert utc(2026, 1, 1) in period
    assert utc(2026, 2, 1) not in period


@pytest.mark.parametrize(
    ("start", "end", "sentence"),
    [
        (utc(2026, 1, 1), utc(2026, 1, 1), "ends after it starts"),
        (utc(2026, 1, 1), datetime(2026, 2, 1), "time zone"),  # noqa: DTZ001
        (datetime(2026, 1, 1), utc(2026, 2, 1), "time zone"),  # noqa: DTZ001
    ],
)
def test_a_period_that_cannot_be_is_refused(start: datetime, end: datetime, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Period(start, end)


@pytest.mark.parametrize(
    ("interval", "count", "sentence"),
    [
        ("fortnight", 1, "one of day, week, month, quarter, year, not fortnight"),
        ("month", 0, "at least one month, not 0"),
    ],
)
def test_an_unknown_interval_is_refused(interval: str, count: int, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        period_containing(
            utc(2026, 1, 1), interval=interval, interval_count=count, zone=ZoneInfo("UTC")
        )
