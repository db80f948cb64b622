"""Partitions are made ahead, once, and take over what the default partition holds."""

from datetime import UTC, date, datetime

import pytest
from django.db import connection

from customers.models import Customer
from metering import tasks
from metering.models import Event
from metering.services.partitions import (
    make_for_backfill,
    make_partitions,
    make_partitions_ahead,
)
from tests.factories import NOW
from tests.metering.ingest.reports import event, partitions_in_use, report, stored_ids

pytestmark = pytest.mark.django_db

MARCH = date(2026, 3, 9)


def indexes(table: str) -> list[str]:
    """Return the kinds of a partition's indexes, sorted, that belong to those of its parent."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT am.amname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
            " JOIN pg_am am ON am.oid = c.relam JOIN pg_inherits h ON h.inhrelid = c.oid"
            " WHERE i.indrelid = %s::regclass ORDER BY am.amname",
            [table],
        )
        return [name for (name,) in cursor.fetchall()]


def test_this_month_and_three_more_are_made_once() -> None:
    at = datetime(2025, 11, 30, 23, tzinfo=UTC)
    made = [f"metering_event_{month}" for month in ("2025_11", "2025_12", "2026_01", "2026_02")]
    assert make_partitions_ahead(at=at) == made
    assert make_partitions_ahead(at=at) == []


def test_the_scheduled_task_makes_room_for_events_of_today(acme: Customer) -> None:
    tasks.make_partitions()
    report([event("a")], at=datetime.now(UTC))
    assert partitions_in_use() == {f"metering_event_{datetime.now(UTC):%Y_%m}"}


def test_a_partition_has_the_keys_and_indexes_of_the_table() -> None:
    make_partitions(months=[MARCH])
    assert indexes("metering_event_2026_03") == ["brin", "btree"]


def test_events_before_their_partition_move_into_it_and_no_others(acme: Customer) -> None:
    first, last = "2026-03-01T00:00:00Z", "2026-03-31T23:59:59.999999Z"
    outside = ["2026-02-28T23:59:59.999999Z", "2026-04-01T00:00:00Z"]
    times = [first, last, *outside]
    report((event(at, timestamp=at, properties={"n": 1}) for at in times), is_backfill=True)
    before = list(Event.objects.order_by("event_id").values())
    assert partitions_in_use() == {"metering_event_default"}

    assert make_partitions(months=[MARCH]) == ["metering_event_2026_03"]

    assert list(Event.objects.order_by("event_id").values()) == before
    assert partitions_in_use() == {"metering_event_default", "metering_event_2026_03"}
    with connection.cursor() as cursor:
        cursor.execute("SELECT event_id FROM metering_event_2026_03 ORDER BY event_id")
        assert cursor.fetchall() == [(first,), (last,)]


def test_an_event_that_moved_is_still_known(acme: Customer) -> None:
    report([event("a", timestamp="2026-03-10T00:00:00Z")])
    make_partitions(months=[MARCH])
    assert report([event("a", timestamp="2026-03-10T00:00:00Z")]).duplicate == 1
    assert stored_ids() == ["a"]


def test_a_backfill_makes_the_partitions_it_needs_unless_they_are_many(acme: Customer) -> None:
    made = make_for_backfill(instants=[datetime(2019, month, 9, tzinfo=UTC) for month in (1, 1, 2)])
    assert made == ["metering_event_2019_01", "metering_event_2019_02"]
    years = [datetime(year, 1, 1, tzinfo=UTC) for year in range(1970, 2020)]
    assert make_for_backfill(instants=years) == []


def test_the_daily_task_moves_what_waits_in_the_default_partition(acme: Customer) -> None:
    report([event("a", timestamp="2018-03-10T00:00:00Z")], is_backfill=True)
    assert "metering_event_default" in partitions_in_use()
    make_partitions_ahead(at=NOW)
    assert "metering_event_2018_03" in partitions_in_use()
    assert stored_ids() == ["a"]


def test_who_makes_a_partition_goes_on_to_wait_for_locks_as_before() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '7s'")
        assert make_partitions(months=[MARCH])
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == ("7s",)
