"""Numbers without gaps, whoever asks at the same time and whoever gives up."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event
from time import sleep

import pytest
from django.db import connection, transaction

from billing.models import NumberSeries
from billing.services.numbering import next_number


class GivenUpError(Exception):
    pass


@transaction.atomic
def take_and_give_up() -> None:
    next_number(prefix="INV-")
    raise GivenUpError


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as executor:
        yield executor


def in_own_connection(barrier: Barrier) -> str:
    try:
        barrier.wait(120)
        return next_number(prefix="INV-")
    finally:
        connection.close()


@pytest.mark.django_db
def test_numbers_follow_one_another_and_series_do_not_mix() -> None:
    numbers = [next_number(prefix=prefix) for prefix in ("INV-", "INV-", "CN-")]
    assert numbers == ["INV-000001", "INV-000002", "CN-000001"]


@pytest.mark.django_db
def test_numbers_grow_beyond_their_leading_zeros() -> None:
    NumberSeries.objects.create(prefix="INV-", next_number=1_000_000)
    assert next_number(prefix="INV-") == "INV-1000000"


@pytest.mark.django_db(transaction=True)
def test_a_number_is_given_back_when_its_document_is_rolled_back() -> None:
    with pytest.raises(GivenUpError):
        take_and_give_up()
    assert next_number(prefix="INV-") == "INV-000001"


@pytest.mark.django_db(transaction=True)
def test_four_connections_get_four_numbers(threads: ThreadPoolExecutor) -> None:
    barrier = Barrier(4)
    numbers = sorted(threads.map(in_own_connection, [barrier] * 4))
    assert numbers == [f"INV-{number:06}" for number in range(1, 5)]


@pytest.mark.django_db(transaction=True)
def test_the_second_waits_until_the_first_is_done(threads: ThreadPoolExecutor) -> None:
    """The first rolls back after the second has begun to wait, so the second gets its number."""
    taken = Event()

    def take_and_roll_back() -> None:
        try:
            with transaction.atomic():
                next_number(prefix="INV-")
                taken.set()
                wait_for_a_waiter()
                transaction.set_rollback(True)
        finally:
            connection.close()

    def take() -> str:
        taken.wait(120)
        try:
            return next_number(prefix="INV-")
        finally:
            connection.close()

    first, second = threads.submit(take_and_roll_back), threads.submit(take)
    first.result(120)
    assert second.result(120) == "INV-000001"


def wait_for_a_waiter() -> None:
    """Return when a connection waits for this one. Unlike activity, locks are never cached."""
    with connection.cursor() as cursor:
        for _ in range(2400):
            cursor.execute(
                "SELECT count(*) FROM pg_locks"
                " WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))"
            )
            if (cursor.fetchone() or (0,))[0]:
                return
            sleep(0.05)
    raise AssertionError("Nobody came to wait.")
