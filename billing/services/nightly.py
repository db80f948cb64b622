"""The nightly run: what was used becomes drafts, drafts past their grace become documents.

Everything it does can be done again. A run that was killed, or that was down for months, is made
good by the next one.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from functools import partial
from itertools import batched

from django.utils import timezone

from billing.gateways.stripe import gateway_from_settings
from billing.models import BillingBatch, BillingRun
from billing.selectors.dunning import customers_to_dun
from billing.selectors.locks import only_one
from billing.selectors.subscriptions import customers_with_thresholds
from billing.services import invoicing
from billing.services.credits import expire_credits
from billing.services.dunning import least_days, remind_of_invoices, settle_dunning
from billing.services.emails import send_due_emails
from billing.services.late_usage import mark_late_usage
from billing.services.nightly_batches import (
    NIGHTLY_LOCK,
    bill_all,
    clear_away,
    try_again,
    words_for,
)
from billing.services.stripe_push import push_due_invoices
from billing.services.stripe_reconcile import reconcile_stripe
from config.errors import DomainError
from metering.services.folding import fold_pending

logger = logging.getLogger(__name__)

STEPS = ("usage", "late usage", "credits", "invoices", "Stripe", "overdue", "e-mails")
DUNNED_AT_ONCE = 500


def run_nightly(*, at: datetime, is_asked_for: bool = False) -> BillingRun:
    """Do all that is due as of `at`, and record it.

    Usage is folded, ended periods are drafted, drafts past their grace are issued, open invoices
    are pushed. A customer's failure is kept in the run's `failures` and stops nobody else. One that
    earlier runs left out, because billing it ended their process, is tried again if somebody asks
    for the run. Raises DomainError `already_running` while another run is under way.
    """
    with only_one(NIGHTLY_LOCK) as is_mine:
        if not is_mine:
            raise DomainError(
                "Another nightly run is under way: wait for its end.", code="already_running"
            )
        note_killed_runs()
        if is_asked_for:
            try_again()
        run = BillingRun.objects.create(at=at)
        with timed(run, "usage"):
            run.events_folded = attempted(run, partial(fold_pending, at=at), step="usage") or 0
        with timed(run, "late usage"):
            run.marked_batch = attempted(run, partial(mark_late_usage, at=at), step="late usage")
        with timed(run, "credits"):
            attempted(run, partial(expire_credits, at=at), step="credits")
        with timed(run, "invoices"):
            bill_all(run)
        with timed(run, "Stripe"):
            push_invoices(run)
        with timed(run, "overdue"):
            dun(run)
        with timed(run, "e-mails"):
            attempted(run, partial(send_due_emails, at=at), step="e-mails")
        finish(run)
    return run


@contextmanager
def timed(run: BillingRun, step: str) -> Iterator[None]:
    """Show which step a run is at, and note how many seconds it took."""
    run.step = step
    run.save()
    begin = time.monotonic_ns()
    yield
    seconds = Decimal(time.monotonic_ns() - begin).scaleb(-9)
    run.durations[step] = str(seconds.quantize(Decimal("0.001")))


def note_killed_runs() -> None:
    """Close the runs that still say they are running: the lock proves that none is.

    Whoever still helps one finishes the batch it is at and finds no other.
    """
    clear_away(BillingBatch.objects.all())
    BillingRun.objects.filter(status=BillingRun.Status.RUNNING).update(
        status=BillingRun.Status.FAILED, finished_at=timezone.now()
    )


def bill_thresholds(*, at: datetime) -> int:
    """Bill the customers whose open usage has reached the limit of their plan; return how many.

    One customer's failure stops nobody else; all are told at the end by a DomainError.
    """
    invoices, failed = 0, []
    for customer_id in customers_with_thresholds(at):
        try:
            bill = invoicing.bill_customers(customer_ids=[customer_id], at=at)
        except Exception:
            logger.exception("The open usage of customer %s was not billed.", customer_id)
            failed.append(str(customer_id))
        else:
            invoices += bill.finalized
    if failed:
        raise DomainError(f"These customers were not billed: {', '.join(failed)}.")
    return invoices


def push_invoices(run: BillingRun) -> None:
    """Bring what is issued to Stripe, and compare both sides afterwards."""
    gateway = gateway_from_settings()
    work = partial(push_due_invoices, gateway=gateway, at=run.at)
    report = attempted(run, work, step="Stripe")
    if report is not None:
        run.invoices_pushed = report.pushed
        run.pushes_halted = report.halted
        run.failures += [
            {"invoice": each["invoice"], "message": each["error"]} for each in report.failures
        ]
    if gateway is not None:
        comparison = partial(reconcile_stripe, gateway=gateway, at=run.at)
        attempted(run, comparison, step="Stripe reconciliation")


def dun(run: BillingRun) -> None:
    """Remind of what is due, and flag, suspend or let back in whoever has not paid or has."""
    attempted(run, partial(remind_of_invoices, at=run.at), step="reminders")
    for piece in batched(customers_to_dun(run.at, least_days()), DUNNED_AT_ONCE, strict=False):
        try:
            settle_dunning(customer_ids=[customer_id for customer_id, _ in piece], at=run.at)
        except Exception:
            logger.exception("%s customers were not dunned together.", len(piece))
            for customer_id, key in piece:
                work = partial(settle_dunning, customer_ids=[customer_id], at=run.at)
                attempted(run, work, customer=key)


def attempted[T](run: BillingRun, work: Callable[[], T], **whose: str) -> T | None:
    """Return what `work` returns; note a failure in the run, with whose it is, and return None."""
    try:
        return work()
    except Exception as error:
        logger.exception("The nightly run failed for %s.", whose)
        run.failures.append({**whose, "message": words_for(error)})
        return None


def finish(run: BillingRun) -> None:
    is_complete = not run.failures
    run.status = BillingRun.Status.COMPLETED if is_complete else BillingRun.Status.INCOMPLETE
    # When it ended is a fact of the clock on the wall, whatever instant it worked as of.
    run.finished_at = timezone.now()
    run.save()
