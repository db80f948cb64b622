"""The customers of a nightly run, in batches that several processes share.

The process that runs the night bills batch after batch. Tasks in the queue help it, on this machine
or on others; without a worker that is free it does all of it by itself. A batch belongs to whoever
holds the lock of its row, and is done in the transaction that stores its documents, so none is
billed twice or left out, whoever is killed when.
"""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import batched

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from billing.models import BillingBatch, BillingRun
from billing.selectors.locks import is_inside
from billing.selectors.runs import (
    awaited_batch,
    done_so_far,
    failures_so_far,
    free_batch,
    is_anything_left,
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
    run.batches.all().delete()


@transaction.atomic
def plan_batches(run: BillingRun) -> None:
    """Store whom a run is to bill, and call for help if that is more than a few."""
    number = 0
    groups = batched(customers_to_bill(run.at), settings.NIGHTLY_BATCH, strict=False)
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
    batch = None
    try:
        with transaction.atomic():
            if (batch := take(run_id)) is not None:
                bill(batch, at)
    except Exception as error:
        if batch is None:
            raise
        logger.exception("A batch of %s customers failed.", batch.customers)
        put_apart(batch, error)
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
        alone = [
            BillingBatch(run_id=batch.run_id, customer_ids=[customer_id], customers=1)
            for customer_id in batch.customer_ids
        ]
        copy_rows(alone)
        batch.delete()
        return
    batch.failures = [{"customer": key, "message": words_for(error)} for key in keys_of(batch)]
    batch.done_at = timezone.now()
    batch.save()


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
