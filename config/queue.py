"""Background work: named tasks with ids, queued only once the data they read is committed."""

from functools import partial

from django.db import transaction
from django_q.models import OrmQ
from django_q.tasks import async_task

# As much as workers do in a minute or two. What is due beyond that is found where it is stored.
MOST_WAITING = 200


def enqueue_on_commit(task: str, *arguments: int | str) -> None:
    """Queue the dotted `task` with ids as arguments when the current transaction commits."""
    transaction.on_commit(partial(async_task, task, *arguments))


def enqueue_with_commit(task: str, *arguments: int | str) -> None:
    """Queue the dotted `task` as part of the current transaction, which has to be one.

    For whoever must keep its connection, because it holds a lock: outside of a transaction the
    queue lets go of connections that are old.
    """
    if not transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError("There is no transaction to be a part of.")
    async_task(task, *arguments)


def has_room() -> bool:
    """Return whether the queue takes more; otherwise leave the work to a task that is scheduled."""
    return bool(OrmQ.objects.count() < MOST_WAITING)
