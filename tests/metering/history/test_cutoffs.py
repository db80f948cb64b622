"""A question asked as of a cut-off has the answer that it had then, whatever came since."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Event as Signal

import pytest
from django.db import connection, transaction

from customers.models import Customer
from metering.models import ChangedDay, IngestBatch, Meter, PendingBatch
from metering.selectors.changed_days import days_changed_since
from metering.selectors.cutoffs import Cutoff, current_cutoff
from metering.selectors.usage import usage, usage_quantity
from metering.services.folding import fold_pending
from tests.factories import NOW, make_customer, make_meter
from tests.metering.history.corrected import END, START, amend, store, used, void

DAY = timedelta(days=1)
MIDNIGHT = datetime(2026, 3, 15, tzinfo=UTC)


@pytest.fixture
def sent(transactional_db: None) -> Meter:
    return make_meter("bytes", aggregation="sum", value_property="bytes", group_by=["endpoint"])


@contextmanager
def late_batch(customer: Customer, event_id: str, **properties: int) -> Iterator[None]:
    """Store an event in a transaction that ends with the block."""
    begun, may_end = Signal(), Signal()

    def run() -> None:
        try:
            with transaction.atomic():
                store(customer, event_id, **properties)
                begun.set()
                assert may_end.wait(20)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        stored = pool.submit(run)
        assert begun.wait(20)
        try:
            yield
        finally:
            may_end.set()
        stored.result()


def as_of(meter: Meter, customer: Customer, cutoff: Cutoff) -> int:
    read = Cutoff.parse(cutoff.document)
    return int(usage_quantity(meter=meter, customer=customer, start=START, end=END, cutoff=read))


def test_a_batch_that_commits_late_was_not_seen(sent: Meter, acme: Customer) -> None:
    store(acme, "first", bytes=1)
    with late_batch(acme, "late", bytes=10):
        store(acme, "second", bytes=100)
        cutoff = current_cutoff()
        assert cutoff.missing == (cutoff.highest - 1,)
        assert as_of(sent, acme, cutoff) == used(sent, acme) == 101
    assert used(sent, acme) == 111
    assert as_of(sent, acme, cutoff) == 101
    assert as_of(sent, acme, Cutoff(cutoff.highest)) == 111
    later = current_cutoff()
    assert (later.missing, as_of(sent, acme, later)) == ((), 111)


def test_a_number_that_nobody_can_still_use_is_not_missing(sent: Meter, acme: Customer) -> None:
    store(acme, "first")
    with transaction.atomic():
        store(acme, "dropped")
        transaction.set_rollback(True)
    store(acme, "second")
    numbers = sorted(IngestBatch.objects.values_list("pk", flat=True))
    assert numbers[-1] - numbers[-2] == 2
    assert current_cutoff() == Cutoff(numbers[-1], ())
    with late_batch(make_customer(), "other"):
        store(acme, "third")
        assert len(current_cutoff().missing) == 1


def test_nothing_stored_is_a_cutoff_too(sent: Meter, acme: Customer) -> None:
    cutoff = current_cutoff()
    store(acme, "first", bytes=1)
    assert as_of(sent, acme, cutoff) == 0


@pytest.mark.parametrize("is_folded", [True, False])
def test_later_corrections_change_nothing_as_of_a_cutoff(
    sent: Meter, acme: Customer, is_folded: bool
) -> None:
    store(acme, "good", bytes=1)
    store(acme, "wrong", bytes=10)
    expected = {current_cutoff(): 11}
    amend(acme, "wrong", properties={"bytes": 20})
    expected[current_cutoff()] = 21
    amend(acme, "wrong", timestamp=NOW - DAY)
    expected[current_cutoff()] = 21
    void(acme, "wrong")
    expected[current_cutoff()] = 1
    amend(acme, "wrong", properties={"bytes": 30})
    expected[current_cutoff()] = 31
    if is_folded:
        fold_pending(at=NOW)
    assert {cutoff: as_of(sent, acme, cutoff) for cutoff in expected} == expected


def test_a_correction_that_commits_late_was_not_seen(sent: Meter, acme: Customer) -> None:
    store(acme, "wrong", bytes=10)
    with transaction.atomic():
        void(acme, "wrong")
        with ThreadPoolExecutor(1) as pool:
            pool.submit(in_thread, lambda: store(acme, "good", bytes=1)).result()
            cutoff = pool.submit(in_thread, current_cutoff).result()
    assert used(sent, acme) == 1
    assert as_of(sent, acme, cutoff) == 11


def in_thread[T](call: Callable[[], T]) -> T:
    try:
        return call()
    finally:
        connection.close()


def test_groups_and_windows_are_answered_as_of_a_cutoff(sent: Meter, acme: Customer) -> None:
    store(acme, "wrong", bytes=10, endpoint=1)
    cutoff = current_cutoff()
    amend(acme, "wrong", properties={"bytes": 3, "endpoint": 2})
    rows = usage(
        meter=sent, customer=acme, start=START, end=END, group_by=["endpoint"], cutoff=cutoff
    )
    assert [(row.group["endpoint"], row.value) for row in rows] == [("1", Decimal(10))]


def test_changed_days_are_told_from_the_moment_they_change(sent: Meter, acme: Customer) -> None:
    store(acme, "good", NOW - DAY, bytes=1)
    store(acme, "wrong", bytes=10)
    fold_pending(at=NOW)
    since = current_cutoff().highest + 1
    assert days_changed_since(since, [acme.pk]) == {}
    amend(acme, "wrong", timestamp=NOW - 3 * DAY)
    changed = {acme.pk: [MIDNIGHT - 3 * DAY, MIDNIGHT]}
    assert days_changed_since(since, [acme.pk]) == changed
    fold_pending(at=NOW)
    assert days_changed_since(since, [acme.pk]) == changed
    assert days_changed_since(since, [make_customer().pk]) == {}
    store(acme, "late", NOW - 9 * DAY)
    assert days_changed_since(since + 5, [acme.pk]) == {acme.pk: [MIDNIGHT - 9 * DAY]}


def test_a_batch_that_commits_and_is_folded_late_changes_its_day(
    sent: Meter, acme: Customer
) -> None:
    with late_batch(acme, "late", bytes=10):
        store(acme, "good", NOW - DAY)
        fold_pending(at=NOW)
        cutoff = current_cutoff()
        assert ChangedDay.objects.count() == 1
    fold_pending(at=NOW)
    assert not PendingBatch.objects.exists()
    assert MIDNIGHT in days_changed_since(cutoff.highest, [acme.pk])[acme.pk]
