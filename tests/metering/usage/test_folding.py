"""Every batch is folded once, whoever folds, whatever fails and whatever is filled meanwhile."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection
from django.db.models import Sum

from config.errors import DomainError
from customers.models import Customer
from metering.models import Meter, PendingBatch, UsageBucket, UsageMembers
from metering.models.usage import NO_DIMENSIONS
from metering.selectors.usage import usage, usage_quantity
from metering.services import folding
from metering.services.verification import verify_usage
from tests.factories import NOW, make_customer, make_meter
from tests.metering.usage.stored import Use, store_batch

HOUR = timedelta(hours=1)


def store_calls(customer: Customer, calls: int) -> None:
    store_batch(customer, [Use(NOW + timedelta(minutes=minute)) for minute in range(calls)])


def folded_events() -> int:
    events: int = UsageBucket.objects.aggregate(events=Sum("events", default=0))["events"]
    return events


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Run each in a thread with a connection of its own; return their results."""

    def run(call: Callable[[], Any]) -> Any:
        try:
            return call()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def meeting(original: Callable[[int], None], parties: int) -> Callable[[int], None]:
    """Return `original` begun by everybody at the same moment, as unlucky as can be."""
    barrier = Barrier(parties, timeout=20)

    def run(customer_id: int) -> None:
        barrier.wait()
        original(customer_id)

    return run


@pytest.fixture
def calls(transactional_db: None) -> Meter:
    return make_meter("calls")


def test_folding_moves_events_into_roll_ups(calls: Meter, acme: Customer) -> None:
    store_calls(acme, 3)
    assert folding.fold_pending(at=NOW) == 3
    assert folding.fold_pending(at=NOW) == 0
    assert not PendingBatch.objects.exists()
    assert folded_events() == 3


def test_roll_ups_hold_hours_and_days_by_dimensions(acme: Customer) -> None:
    make_meter(aggregation="sum", value_property="v", group_by=["endpoint"])
    for value, endpoint in (("7", "a"), ("5", "b"), ("none", "b")):
        store_batch(acme, [Use(NOW, {"v": value, "endpoint": endpoint})])
    folding.fold_pending(at=NOW)
    columns = ("grain", "events", "total", "greatest", "unparsed")
    assert set(UsageBucket.objects.values_list(*columns)) == {
        ("hour", 3, 12, None, 1),
        ("day", 1, 7, None, 0),
        ("day", 2, 5, None, 1),
    }
    days = UsageBucket.objects.filter(grain="day").order_by("total")
    assert [day.dimensions for day in days] == [{"endpoint": "b"}, {"endpoint": "a"}]


def test_two_folders_without_guards_would_count_twice(
    calls: Meter, acme: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    barrier = Barrier(2, timeout=20)

    def look_at_batches(customer_id: int) -> list[Any]:
        columns = ("batch_id", "first_at", "last_at", "events")
        rows = list(PendingBatch.objects.filter(customer=customer_id).values_list(*columns))
        barrier.wait()
        return rows

    store_calls(acme, 1)
    folding.fold_pending(at=NOW)
    monkeypatch.setattr(folding, "lock_usage", lambda customer_id: None)
    monkeypatch.setattr(folding, "take_batches", look_at_batches)
    store_calls(acme, 3)
    fold = lambda: folding.fold_customer(customer_id=acme.pk, events=3)  # noqa: E731
    assert at_once(fold, fold) == [3, 3]
    assert folded_events() == 1 + 6


@pytest.mark.parametrize("lock", [folding.lock_usage, lambda customer_id: None])
def test_two_folders_fold_once(
    calls: Meter,
    acme: Customer,
    monkeypatch: pytest.MonkeyPatch,
    lock: Callable[[int], None],
) -> None:
    monkeypatch.setattr(folding, "lock_usage", meeting(lock, 2))
    store_calls(acme, 3)
    fold = lambda: folding.fold_some(customer_id=acme.pk)  # noqa: E731
    assert sorted(at_once(fold, fold)) == [0, 3]
    assert folded_events() == 3


def test_a_large_backlog_is_folded_in_several_transactions(
    calls: Meter, acme: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folding, "EVENTS_PER_TRANSACTION", 5)
    for _ in range(4):
        store_calls(acme, 3)
    assert folding.fold_some(customer_id=acme.pk) == 6
    assert usage_quantity(meter=calls, customer=acme, start=NOW, end=NOW + HOUR) == 12
    assert folding.fold_pending(at=NOW) == 6
    assert usage_quantity(meter=calls, customer=acme, start=NOW, end=NOW + HOUR) == 12


def test_a_backlog_is_folded_over_two_connections(
    calls: Meter, acme: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folding, "EVENTS_OF_A_BACKLOG", 7)
    globex = make_customer()
    store_calls(acme, 3)
    store_calls(globex, 3)
    assert folding.fold_pending(at=NOW) == 6
    monkeypatch.setattr(folding, "lock_usage", meeting(folding.lock_usage, 2))
    store_calls(acme, 3)
    store_calls(globex, 4)
    # Each customer is locked twice: the second time there is nothing left.
    assert folding.fold_pending(at=NOW) == 7
    assert folded_events() == 13
    monkeypatch.undo()
    assert list(verify_usage()) == []


def test_members_are_kept_in_few_parts_each_longer_than_those_behind(acme: Customer) -> None:
    meter = make_meter(aggregation="unique_count", value_property="user", group_by=["endpoint"])
    sizes: list[int] = []
    for number in range(20):
        users = [f"u{number}", f"u{number // 2}"]
        store_batch(acme, [Use(NOW, {"user": user, "endpoint": "a"}) for user in users])
        folding.fold_pending(at=NOW)
        parts = UsageMembers.objects.filter(dimensions_digest=NO_DIMENSIONS).order_by("part")
        sizes = list(parts.values_list("size", flat=True))
        assert all(size > sum(sizes[place:]) for place, size in enumerate(sizes, start=1))
    assert len(sizes) <= 5
    assert usage_quantity(meter=meter, customer=acme, start=NOW, end=NOW + HOUR) == 20
    day = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
    [row] = usage(
        meter=meter,
        customer=acme,
        start=day,
        end=day + timedelta(days=1),
        group_by=["endpoint"],
    )
    assert row.value == 20
    assert list(verify_usage()) == []


def test_a_customer_that_fails_stops_nobody_else(
    calls: Meter,
    acme: Customer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    fold = folding.take_batches

    def fail_for_acme(customer_id: int) -> list[Any]:
        if customer_id == acme.pk:
            raise DatabaseError("broken")
        return fold(customer_id)

    monkeypatch.setattr(folding, "take_batches", fail_for_acme)
    store_calls(acme, 3)
    store_calls(make_customer(), 4)
    with pytest.raises(DomainError, match=f"4 events were folded.* for customer {acme.pk}"):
        folding.fold_pending(at=NOW)
    assert f"The usage of customer {acme.pk} was not folded." in caplog.text
    assert usage_quantity(meter=calls, customer=acme, start=NOW, end=NOW + HOUR) == 3


def test_a_meter_is_filled_from_older_events_while_folding_goes_on(
    calls: Meter, acme: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_calls(acme, 3)
    folding.fold_pending(at=NOW)
    late = make_meter("late", filled_at=None)
    store_calls(acme, 4)
    monkeypatch.setattr(folding, "lock_usage", meeting(folding.lock_usage, 2))
    at_once(
        lambda: folding.fold_some(customer_id=acme.pk),
        lambda: folding.fill_meter(meter=late, at=NOW),
    )
    late.refresh_from_db()
    assert late.filled_at == NOW
    assert list(verify_usage()) == []
    assert usage_quantity(meter=late, customer=acme, start=NOW, end=NOW + HOUR) == 7


def test_a_meter_redefined_on_the_way_is_not_called_filled(
    acme: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    meter = make_meter(filled_at=None)

    def redefine(**arguments: Any) -> None:
        Meter.objects.filter(pk=meter.pk).update(event_type="other")

    monkeypatch.setattr(folding, "rebuild_usage", redefine)
    folding.fill_meter(meter=meter, at=NOW)
    meter.refresh_from_db()
    assert meter.filled_at is None


def test_filling_says_how_far_it_is(acme: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    make_customer()
    meter = make_meter(filled_at=None)
    seen = []

    def look(**arguments: Any) -> None:
        meter.refresh_from_db()
        seen.append((meter.filling_done, meter.filling_total))

    monkeypatch.setattr(folding, "rebuild_usage", look)
    folding.fill_meter(meter=meter, at=NOW)
    look()
    assert seen == [(0, 0), (1, 2), (2, 2)]


def test_folding_fills_meters_that_nobody_has_filled(acme: Customer) -> None:
    store_calls(acme, 2)
    folding.fold_pending(at=NOW)
    meter = make_meter(filled_at=None)
    folding.fold_pending(at=NOW)
    meter.refresh_from_db()
    assert meter.filled_at == NOW
    assert folded_events() == 2


def test_a_meter_that_fails_stops_no_other(
    acme: Customer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken, good = make_meter("broken", filled_at=None), make_meter("good", filled_at=None)
    fill = folding.fill_meter

    def fail_for_one(*, meter: Meter, at: datetime) -> None:
        if meter == broken:
            raise DatabaseError("broken")
        fill(meter=meter, at=at)

    monkeypatch.setattr(folding, "fill_meter", fail_for_one)
    with pytest.raises(CommandError, match=r"0 events were folded.* for meter broken"):
        call_command("aggregate")
    assert "The meter broken was not filled." in caplog.text
    assert list(Meter.objects.filter(filled_at=None)) == [broken]
    assert Meter.objects.get(pk=good.pk).filled_at is not None
