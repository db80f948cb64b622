"""The same events over several connections at once count once."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection, connections, transaction
from psycopg.errors import DeadlockDetected

from metering.models import Event, EventKey
from metering.services import ingest, storing
from metering.services.ingest import IngestResult
from metering.services.partitions import make_partitions, partition_name
from tests.factories import NOW, make_customer
from tests.metering.ingest.reports import counts, event, partitions_in_use, report

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE_SECONDS = 60


@pytest.fixture(autouse=True)
def customers() -> None:
    make_customer("acme")


def in_threads(*calls: Callable[[], IngestResult]) -> list[IngestResult]:
    """Run calls at the same moment, each on a connection of its own."""
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], IngestResult]) -> IngestResult:
        try:
            connection.ensure_connection()
            start.wait(PATIENCE_SECONDS)
            return call()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(run, call) for call in calls]]


def reporter(documents: list[dict[str, Any]], minutes: int = 0) -> Callable[[], IngestResult]:
    return lambda: report(documents, at=NOW + timedelta(minutes=minutes))


def wait_for_a_waiter() -> None:
    """Return once some statement waits for another transaction."""
    pause = threading.Event()
    with connection.cursor() as cursor:
        for _ in range(PATIENCE_SECONDS * 50):
            cursor.execute(
                "SELECT count(*) FROM pg_locks WHERE NOT granted"
                " AND pg_backend_pid() = ANY (pg_blocking_pids(pid))"
            )
            if cursor.fetchone() != (0,):
                return
            pause.wait(0.02)
    pytest.fail("Nobody waited.")


@contextmanager
def unfinished(documents: list[dict[str, Any]]) -> Iterator[None]:
    """Hold events in a transaction that has not ended when the block is entered."""
    with transaction.atomic():
        report(documents)
        yield


@pytest.mark.parametrize(("is_kept", "late"), [(True, (1, 2, 1, 0)), (False, (3, 0, 0, 0))])
def test_a_report_waits_for_a_racing_one_and_sees_how_it_ended(
    is_kept: bool, late: tuple[int, ...]
) -> None:
    racing = [event("a"), event("b"), event("c", type="other")]
    mine = [event("a"), event("b"), event("c"), event("d")] if is_kept else racing
    with ThreadPoolExecutor(1) as pool:
        with unfinished(racing):
            answer = pool.submit(in_threads, reporter(mine, minutes=1))
            wait_for_a_waiter()
            transaction.set_rollback(not is_kept)
        (result,) = answer.result()
    assert counts(result) == late
    assert Event.objects.count() == EventKey.objects.count() == (4 if is_kept else 3)


@pytest.mark.parametrize("is_guarded", [False, True])
def test_only_the_keys_keep_a_race_from_counting_twice(
    monkeypatch: pytest.MonkeyPatch, *, is_guarded: bool
) -> None:
    if not is_guarded:
        monkeypatch.setattr(storing, "copy_keys", lambda events: None)
    results = in_threads(*(reporter([event("a")], minutes=minute) for minute in range(4)))
    assert Event.objects.count() == sum(result.accepted for result in results)
    assert Event.objects.count() == (1 if is_guarded else 4)


def test_overlapping_batches_over_four_connections_count_each_event_once() -> None:
    documents = [event(f"e{number}", properties={"n": number}) for number in range(1_000)]
    results = []
    for turn in range(5):
        # Every tenth event at least is in the parts of two connections at once.
        parts = [documents[turn * 100 : turn * 100 + 400][::step] for step in (1, -1, 2, -5)]
        results += in_threads(*map(reporter, parts))
    results.append(report(documents))
    assert sum(result.accepted for result in results) == len(documents)
    assert sum(sum(counts(result)[2:]) for result in results) == 0
    assert Event.objects.count() == EventKey.objects.count() == len(documents)


def is_deadlock(turn: int) -> bool:
    """Race two batches of the same events in opposite orders."""
    documents = [event(f"{turn}-{number}") for number in range(2_000)]
    try:
        in_threads(reporter(documents), reporter(documents[::-1]))
    except OperationalError as error:
        return isinstance(error.__cause__, DeadlockDetected)
    return False


def test_batches_in_order_of_their_keys_never_deadlock() -> None:
    assert not any(map(is_deadlock, range(4)))
    assert Event.objects.count() == 8_000


def test_without_that_order_they_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "sorted", lambda items, key=None: list(items), raising=False)
    assert any(map(is_deadlock, range(40)))


@pytest.fixture
def no_partition() -> Iterator[str]:
    """Return the name of a partition that is not there: tables outlive the test that made them."""

    def drop() -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP TABLE IF EXISTS {name}")

    name = partition_name(NOW.date())
    drop()
    yield name
    drop()


def test_a_partition_made_under_traffic_is_made_once_and_loses_nothing(no_partition: str) -> None:
    made: list[str] = []

    def make() -> IngestResult:
        made.extend(make_partitions(months=[NOW.date()]))
        return IngestResult()

    def keep_reporting(name: str) -> Callable[[], IngestResult]:
        return lambda: [report([event(f"{name}-{n}")]) for n in range(40)][-1]

    in_threads(make, make, keep_reporting("a"), keep_reporting("b"))
    assert made == [no_partition]
    assert Event.objects.count() == 80
    assert partitions_in_use() == {no_partition}


def test_a_partition_waits_its_turn_and_gives_way_while_it_waits(no_partition: str) -> None:
    def make() -> IngestResult:
        make_partitions(months=[NOW.date()])
        return IngestResult()

    with ThreadPoolExecutor(1) as pool:
        # An unfinished report holds a lock on the default partition.
        with unfinished([event("a")]):
            making = pool.submit(in_threads, make)
            threading.Event().wait(0.8)
            (result,) = in_threads(reporter([event("b")]))
            assert result.accepted == 1
        making.result()
    assert make_partitions(months=[NOW.date()]) == []
