"""The nightly run: what was used becomes drafts, drafts past their grace become documents.

Everything it does can be done again. A run that was killed, or that was down for months, is made
good by the next one.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from django.db import transaction
from django.utils import timezone

from billing.gateways.stripe import gateway_from_settings
from billing.models import BillingRun, Invoice
from billing.selectors.locks import only_one
from billing.selectors.subscriptions import customers_to_bill, drafted_periods, unbilled_periods
from billing.services.invoicing import issue_invoice, lockable_subscriptions, write_draft
from billing.services.stripe_push import push_due_invoices
from config.errors import DomainError
from customers.models import Customer
from metering.services.folding import fold_pending

logger = logging.getLogger(__name__)

NIGHTLY_LOCK = 7_241_300_001
# How many customers a run serves between two notes of its progress.
PROGRESS_EVERY = 50


@dataclass(slots=True)
class CustomerBill:
    """What a run did for one customer."""

    drafted: int = 0
    finalized: int = 0
    failures: list[str] = field(default_factory=list)


def run_nightly(*, at: datetime) -> BillingRun:
    """Do all that is due as of `at`, and record it.

    Usage is folded, ended periods are drafted, drafts past their grace are issued, open invoices
    are pushed. A customer's failure is kept in the run's `failures` and stops nobody else. Raises
    DomainError `already_running` while another run is under way.
    """
    with only_one(NIGHTLY_LOCK) as is_mine:
        if not is_mine:
            raise DomainError(
                "Another nightly run is under way: wait for its end.", code="already_running"
            )
        note_killed_runs()
        run = BillingRun.objects.create(at=at)
        run.events_folded = attempted(run, partial(fold_pending, at=at), step="usage") or 0
        bill_customers(run)
        push_invoices(run)
        finish(run)
    return run


def note_killed_runs() -> None:
    """Close the runs that still say they are running: the lock proves that none is."""
    BillingRun.objects.filter(status=BillingRun.Status.RUNNING).update(
        status=BillingRun.Status.FAILED, finished_at=timezone.now()
    )


def bill_customers(run: BillingRun) -> None:
    for count, customer_id in enumerate(customers_to_bill(run.at), 1):
        customer = Customer.objects.get(pk=customer_id)
        work = partial(bill_customer, customer=customer, at=run.at)
        bill = attempted(run, work, customer=customer.key)
        if bill is not None:
            run.invoices_drafted += bill.drafted
            run.invoices_finalized += bill.finalized
            run.failures += [{"customer": customer.key, "message": each} for each in bill.failures]
        if count % PROGRESS_EVERY == 0:
            run.save()


@transaction.atomic
def bill_customer(*, customer: Customer, at: datetime) -> CustomerBill:
    """Draft a customer's periods that have ended by `at`, and issue what is past its grace.

    A draft that may not be issued stays a draft, with its reason in `failures`.
    """
    bill = CustomerBill()
    subscriptions = lockable_subscriptions().filter(customer=customer, start_at__lt=at)
    for subscription in subscriptions.order_by("pk"):
        unbilled = list(unbilled_periods(subscription, at))
        bill.drafted += len(unbilled)
        for period in [*drafted_periods(subscription, at), *unbilled]:
            invoice = write_draft(subscription, period, at)
            if invoice.finalize_at <= at:
                issue(invoice, at, bill)
    return bill


def issue(invoice: Invoice, at: datetime, bill: CustomerBill) -> None:
    try:
        issue_invoice(invoice=invoice, at=at)
    except DomainError as error:
        bill.failures.append(error.message)
    else:
        bill.finalized += 1


def push_invoices(run: BillingRun) -> None:
    work = partial(push_due_invoices, gateway=gateway_from_settings(), at=run.at)
    report = attempted(run, work, step="Stripe")
    if report is not None:
        run.invoices_pushed = report.pushed
        run.pushes_halted = report.halted
        run.failures += [
            {"invoice": each["invoice"], "message": each["error"]} for each in report.failures
        ]


def attempted[T](run: BillingRun, work: Callable[[], T], **whose: str) -> T | None:
    """Return what `work` returns; note a failure in the run, with whose it is, and return None."""
    try:
        return work()
    except Exception as error:
        logger.exception("The nightly run failed for %s.", whose)
        message = error.message if isinstance(error, DomainError) else repr(error)
        run.failures.append({**whose, "message": message})
        return None


def finish(run: BillingRun) -> None:
    is_complete = not run.failures
    run.status = BillingRun.Status.COMPLETED if is_complete else BillingRun.Status.INCOMPLETE
    # When it ended is a fact of the clock on the wall, whatever instant it worked as of.
    run.finished_at = timezone.now()
    run.save()
