"""Calendar windows where clocks do odd things."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from metering import windows

HOUR = timedelta(hours=1)


def lengths(window: str, zone_name: str, first: date, last: date) -> list[timedelta]:
    """Return how long the windows are from one local midnight to another."""
    zone = ZoneInfo(zone_name)
    start, end = windows.midnight(first, zone), windows.midnight(last, zone)
    cuts = windows.window_cuts(start, end, window, zone)
    return [past - begin for begin, past in pairwise([start, *cuts, end])]


@pytest.mark.parametrize(
    ("zone", "first", "hours"),
    [
        ("Europe/Paris", date(2026, 3, 28), [24, 23, 24]),
        ("Europe/Paris", date(2026, 10, 24), [24, 25, 24]),
        ("America/New_York", date(2026, 3, 7), [24, 23, 24]),
        ("Africa/Cairo", date(2026, 4, 23), [24, 23, 24]),
        ("Asia/Kathmandu", date(2026, 3, 28), [24, 24, 24]),
    ],
)
def test_a_day_has_the_hours_its_clock_gives_it(zone: str, first: date, hours: list[int]) -> None:
    last = first + timedelta(days=3)
    assert lengths("day", zone, first, last) == [HOUR * count for count in hours]
    assert lengths("hour", zone, first, last) == [HOUR] * sum(hours)


def test_the_last_hour_of_a_day_is_short_where_clocks_move_by_half_an_hour() -> None:
    first, last = date(2026, 10, 4), date(2026, 10, 5)
    assert lengths("hour", "Australia/Lord_Howe", first, last) == [HOUR] * 23 + [HOUR / 2]


def test_a_day_that_a_zone_skipped_has_no_window() -> None:
    first, last = date(2011, 12, 29), date(2012, 1, 1)
    assert lengths("day", "Pacific/Apia", first, last) == [24 * HOUR, 24 * HOUR]


def test_a_day_begins_once_where_clocks_fall_back_across_midnight() -> None:
    zone = ZoneInfo("America/St_Johns")
    midnight = windows.midnight(date(2010, 11, 7), zone)
    again = midnight + timedelta(minutes=10)
    assert again.astimezone(zone).date() == date(2010, 11, 6)
    assert windows.day_starts(again, again + HOUR, zone) == [midnight]


def test_weeks_begin_on_monday_and_months_on_their_first() -> None:
    start, end = datetime(2026, 1, 30, 5, tzinfo=UTC), datetime(2026, 3, 2, 5, tzinfo=UTC)
    zone = ZoneInfo("UTC")
    weeks = windows.window_cuts(start, end, "week", zone)
    months = windows.window_cuts(start, end, "month", zone)
    assert [cut.date() for cut in weeks] == [date(2026, 2, day) for day in (2, 9, 16, 23)] + [
        date(2026, 3, 2)
    ]
    assert list(months) == [datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)]
