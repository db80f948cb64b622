"""The customers of a nightly run, in batches that several processes share.

The process that runs the night bills batch after batch. Tasks in the queue help it, on this machine
or on others; without a worker that is free it does all of it by itself. A batch belongs to whoever
holds the lock of its row, and is done in the transaction that stores its documents, so none is
billed twice or left out, whoever is killed when.

A batch that ends every process that is at it, for want of memory say, must not end them for ever.
So whoever begins with one counts that first. One that was begun before is tried after all others;
the second loss has its customers billed alone, and one who is lost alone is left out and reported,
by the runs after it too, until somebody asks for it to be tried again.
"""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import batched

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from billing.models import BillingBatch, BillingRun
from billing.selectors.locks import is_inside
from billing.selectors.runs import (
    abandoned,
    awaited_batch,
    done_so_far,
    failures_so_far,
    free_batch,
    is_anything_left,
    to_do,
)
from billing.selectors.subscriptions import customers_to_bill
from billing.services import invoicing
from config.bulk import copy_rows
from config.errors import DomainError
from config.queue import enqueue_with_commit
from customers.models import Customer

logger = logging.getLogger(__name__)

NIGHTLY_LOCK = 7_241_300_001
# How long a task helps before it goes to the end of the queue, so that others get their turn.
TURN_SECONDS = 15
BATCHES_AT_ONCE = 100
# After how many losses a batch is not begun again.
MOST_ATTEMPTS = 2
LEFT_OUT = (
    "The process that billed this customer was killed each time, as it is when memory runs out. "
    "Nightly runs leave the customer out until one of them is run again by hand: look for the cause "
    "in the log of the server first."
)
OUTCOME = ("drafted", "finalized", "skipped", "credit_notes", "done_at")


def bill_all(run: BillingRun) -> None:
    """Bill all customers that have anything due, and show in the run how far that is."""
    failures = list(run.failures)
    plan_batches(run)
    while bill_next(run.pk, run.at, free_batch):
        sum_up(run, failures)
    while is_anything_left(run.pk):
        bill_next(run.pk, run.at, awaited_batch)
        sum_up(run, failures)
    sum_up(run, failures)
    clear_away(run.batches.all())


def clear_away(batches: QuerySet[BillingBatch]) -> None:
    """Remove batches, but for those that must not simply be begun with again."""
    batches.exclude(pk__in=abandoned()).delete()


@transaction.atomic
def plan_batches(run: BillingRun) -> None:
    """Store whom a run is to bill, and call for help if that is more than a few.

    What earlier runs began with and never came back from is taken over as it is.
    """
    abandoned().update(run=run, done_at=None, failures=[])
    taken_over = list(run.batches.all())
    run.customers_total = sum(batch.customers for batch in taken_over)
    known = {customer_id for batch in taken_over for customer_id in batch.customer_ids}
    number = len(taken_over)
    others = (each for each in customers_to_bill(run.at) if each not in known)
    groups = batched(others, settings.NIGHTLY_BATCH, strict=False)
    for piece in batched(groups, BATCHES_AT_ONCE, strict=False):
        rows = [BillingBatch(run=run, customer_ids=list(ids), customers=len(ids)) for ids in piece]
        copy_rows(rows)
        number += len(rows)
        run.customers_total += sum(row.customers for row in rows)
    run.save()
    for _ in range(min(settings.NIGHTLY_WORKERS, number) - 1):
        enqueue_with_commit("billing.tasks.help_nightly", run.pk)


def help_run(*, run: BillingRun) -> None:
    """Bill batches of a run that is under way, and come back if there are more than a turn's.

    Ends when nothing is left, or when the process that runs the night is gone: what is left then is
    for the next run.
    """
    begin = time.monotonic()
    while is_inside(NIGHTLY_LOCK) and bill_next(run.pk, run.at, free_batch):
        if time.monotonic() - begin > TURN_SECONDS:
            with transaction.atomic():
                enqueue_with_commit("billing.tasks.help_nightly", run.pk)
            return


def bill_next(
    run_id: int, at: datetime, take: Callable[[int], BillingBatch | None]
) -> BillingBatch | None:
    """Bill the batch that `take` gives, and return it, done or put apart; None if it gives none."""
    batch = begin(run_id, take)
    if batch is None or batch.attempts > MOST_ATTEMPTS:
        return batch
    try:
        with transaction.atomic():
            # Somebody else may have begun with it meanwhile, and then it is theirs.
            mine = to_do(run_id).filter(pk=batch.pk, attempts=batch.attempts)
            if mine.select_for_update(skip_locked=True).first() is not None:
                bill(batch, at)
    except Exception as error:
        logger.exception("A batch of %s customers failed.", batch.customers)
        put_apart(batch, error)
    return batch


@transaction.atomic
def begin(run_id: int, take: Callable[[int], BillingBatch | None]) -> BillingBatch | None:
    """Count that somebody begins with the batch that `take` gives, or put it apart if too many did.

    It is stored at once: nobody who is killed could do so later.
    """
    batch = take(run_id)
    if batch is None:
        return None
    batch.attempts += 1
    batch.save(update_fields=["attempts"])
    if batch.attempts <= MOST_ATTEMPTS:
        return batch
    if batch.customers > 1:
        # One more loss is enough for whoever it is.
        bill_alone(batch, attempts=MOST_ATTEMPTS - 1)
    else:
        logger.error("Customers %s are left out: see the run's failures.", batch.customer_ids)
        note_failure(batch, LEFT_OUT)
    return batch


def bill(batch: BillingBatch, at: datetime) -> None:
    done = invoicing.bill_customers(customer_ids=batch.customer_ids, at=at)
    batch.drafted, batch.finalized = done.drafted, done.finalized
    batch.skipped, batch.credit_notes = done.skipped, done.credit_notes
    batch.done_at = timezone.now()
    batch.save(update_fields=OUTCOME)


@transaction.atomic
def put_apart(failed: BillingBatch, error: Exception) -> None:
    """Have each customer of a batch that failed billed alone; note the failure of one who is."""
    batch = BillingBatch.objects.select_for_update().filter(pk=failed.pk, done_at=None).first()
    if batch is None:
        return
    if batch.customers > 1:
        bill_alone(batch)
        return
    # Whoever was at it came back, with an error.
    batch.attempts = 0
    note_failure(batch, words_for(error))


def bill_alone(batch: BillingBatch, attempts: int = 0) -> None:
    """Make a batch of each customer of one."""
    alone = [
        BillingBatch(
            run_id=batch.run_id, customer_ids=[customer_id], customers=1, attempts=attempts
        )
        for customer_id in batch.customer_ids
    ]
    copy_rows(alone)
    batch.delete()


def note_failure(batch: BillingBatch, message: str) -> None:
    batch.failures = [{"customer": key, "message": message} for key in keys_of(batch)]
    batch.done_at = timezone.now()
    batch.save()


def try_again() -> None:
    """Let the next run begin once more with the customers that are left out."""
    abandoned().filter(attempts__gt=MOST_ATTEMPTS).update(attempts=MOST_ATTEMPTS - 1)


def keys_of(batch: BillingBatch) -> Sequence[str]:
    return list(Customer.objects.filter(pk__in=batch.customer_ids).values_list("key", flat=True))


def words_for(error: Exception) -> str:
    return error.message if isinstance(error, DomainError) else repr(error)


def sum_up(run: BillingRun, failures: list[dict[str, str]]) -> None:
    """Show in a run what its batches came to so far, beside failures of other kinds."""
    for name, value in done_so_far(run.pk).items():
        setattr(run, name, value)
    run.failures = [*failures, *failures_so_far(run.pk)]
    run.save()
