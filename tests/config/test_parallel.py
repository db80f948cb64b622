"""Work done side by side."""

from threading import Barrier

import pytest
from django.db import connection, transaction

from config.parallel import in_parallel


def test_items_are_worked_on_at_once(transactional_db: None) -> None:
    barrier = Barrier(2, timeout=20)

    def work(item: int) -> int:
        barrier.wait()
        with connection.cursor() as cursor:
            cursor.execute("SELECT %s::int", [item])
            return int(cursor.fetchall()[0][0])

    assert sorted(in_parallel(work, [1, 2, 3, 4], connections_at_most=2)) == [1, 2, 3, 4]


def test_within_a_transaction_everything_is_done_in_it(transactional_db: None) -> None:
    number = "SELECT pg_current_xact_id()::text"

    def work(item: int) -> str:
        with connection.cursor() as cursor:
            cursor.execute(number)
            return str(cursor.fetchall()[0][0])

    with transaction.atomic():
        assert len(set(in_parallel(work, [1, 2], connections_at_most=2))) == 1


def test_an_exception_ends_the_thread_and_is_raised(transactional_db: None) -> None:
    barrier = Barrier(2, timeout=20)
    begun = []

    def work(item: int) -> None:
        begun.append(item)
        barrier.wait()
        raise ValueError(item)

    with pytest.raises(ValueError, match=r"^[12]$"):
        in_parallel(work, range(1, 10), connections_at_most=2)
    assert sorted(begun) == [1, 2]
