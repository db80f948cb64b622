"""Work that ends in the middle, as it does when its process is killed."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from django.db import connection, transaction

# Nobody closes the cursors of what was killed; the fixture has them go before another test begins.
kills = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.usefixtures("abandoned_cursors"),
]


@pytest.fixture
def abandoned_cursors() -> Iterator[None]:
    yield
    gc.collect()


class Killed(BaseException):  # It is no error: nothing may catch it.
    pass


@contextmanager
def ending_at(number: int) -> Iterator[None]:
    """End what is done within at its statement with this number, counted from 0.

    What follows a kill is only what the database does for a connection that is gone: it rolls back
    and lets locks go.
    """
    with suppress(Killed), connection.execute_wrapper(killer(number)):
        yield
    go_on_after_kill()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock_all()")


def go_on_after_kill() -> None:
    """Let the transaction of the test go on, whatever was to be rolled back within it."""
    if connection.in_atomic_block:
        transaction.set_rollback(False)


def killer(number: int) -> Callable[..., Any]:
    left = number

    def execute_or_die(execute: Any, *arguments: Any) -> Any:
        nonlocal left
        left -= 1
        if left == -1:
            raise Killed
        if left < -1:
            go_on_after_kill()
        return execute(*arguments)

    return execute_or_die
