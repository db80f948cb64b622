"""Work on many things side by side, each thread with a database connection of its own."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress

from django.db import connection, connections


def in_parallel[Item, Done](
    work: Callable[[Item], Done], items: Iterable[Item], *, connections_at_most: int
) -> list[Done]:
    """Do the work for each item, begun in their order, and return what came of each, in no order.

    Within a transaction, which no other connection could see into, and with a single connection,
    one is done after the other. An exception ends the work of the thread that it came in, and is
    raised when the others are through.
    """
    if connections_at_most == 1 or connection.in_atomic_block:
        return [work(item) for item in items]
    waiting = deque(items)

    def work_on() -> list[Done]:
        try:
            return [work(item) for item in drained(waiting)]
        finally:
            connections.close_all()

    with ThreadPoolExecutor(connections_at_most) as pool:
        threads = [pool.submit(work_on) for _ in range(connections_at_most)]
        try:
            wait(threads)
        finally:
            # Interrupted, it waits only for what was begun.
            waiting.clear()
    return [each for thread in threads for each in thread.result()]


def drained[Item](waiting: deque[Item]) -> Iterator[Item]:
    """Yield what is waiting until there is nothing, whoever else takes of it."""
    with suppress(IndexError):
        while True:
            yield waiting.popleft()
