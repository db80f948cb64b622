"""Background work: named tasks with ids, queued only once the data they read is committed."""

from functools import partial

from django.db import transaction
from django_q.tasks import async_task


def enqueue_on_commit(task: str, *arguments: int | str) -> None:
    """Queue the dotted `task` with ids as arguments when the current transaction commits."""
    transaction.on_commit(partial(async_task, task, *arguments))
