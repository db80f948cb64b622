"""A night whose customers several processes share: the same documents, whoever is killed when."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import datetime
from functools import partial
from threading import Barrier, get_ident
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, transaction
from django_q.models import OrmQ
from pytest_django import Settings

from billing import tasks
from billing.models import BillingBatch, BillingRun, Invoice, InvoiceLine
from billing.selectors.locks import is_inside, only_one
from billing.services import invoicing, nightly_batches
from billing.services.invoicing import Bill, bill_customers
from billing.services.nightly import run_nightly
from billing.services.nightly_batches import NIGHTLY_LOCK, help_run, plan_batches
from config.queue import enqueue_with_commit
from tests import factories
from tests.billing.plans import publish_plan, subscribe
from tests.billing.usage import instant, report_calls
from tests.processes import on_this_database

pytestmark = pytest.mark.django_db(transaction=True)
AT = instant("2026-02-02")
CUSTOMERS = 6
NUMBERS = [f"INV-{number:06}" for number in range(1, CUSTOMERS + 1)]
PATIENCE_SECONDS = 60
# Takes a batch, bills it or not, and never commits.
STUCK = """
import django; django.setup()
import sys, time
from django.db import transaction
from billing.models import BillingRun
from billing.selectors.runs import free_batch
from billing.services.nightly_batches import bill
with transaction.atomic():
    run = BillingRun.objects.get()
    batch = free_batch(run.pk)
    if sys.argv[1] == "billed":
        bill(batch, run.at)
    print(sys.argv[1], flush=True)
    time.sleep(3600)
"""


@pytest.fixture(autouse=True)
def company(settings: Settings) -> None:
    """Let customers have used one call more each, at 2, besides the fee of 31; two are a batch."""
    settings.NIGHTLY_BATCH = 2
    version = publish_plan()
    for number in range(CUSTOMERS):
        customer = factories.make_customer(f"c{number}")
        subscribe(customer, "2026-01-01", version)
        report_calls(customer, "2026-01-10", number + 1)


def documents() -> list[Any]:
    """Return all that documents say, but for their numbers and what is made of those."""
    invoices = Invoice.objects.order_by("customer").values()
    lines = InvoiceLine.objects.order_by("invoice__customer", "position").values()
    hidden = {"id", "number", "digest", "invoice_id", "billing_period_id", "cutoff"}
    return [
        {name: value for name, value in row.items() if name not in hidden}
        for row in (*invoices, *lines)
    ]


def numbers() -> list[str | None]:
    return list(Invoice.objects.order_by("number").values_list("number", flat=True))


def alone() -> list[Any]:
    """Return the documents of a night without help, which leaves nothing behind."""
    with transaction.atomic():
        run_nightly(at=AT)
        found = documents()
        transaction.set_rollback(True)
    return found


def on_its_own_connection(work: Callable[[], object]) -> None:
    try:
        work()
    finally:
        connection.close()


def when_planned(monkeypatch: pytest.MonkeyPatch, begin: Callable[[BillingRun], object]) -> None:
    """Let something begin once a run has planned its batches and before it bills one."""

    def plan_and_begin(run: BillingRun) -> None:
        plan_batches(run)
        begin(run)

    monkeypatch.setattr(nightly_batches, "plan_batches", plan_and_begin)


def test_two_processes_make_the_documents_that_one_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    expected, both = alone(), Barrier(2)
    met: set[int] = set()

    def meet_once(*, customer_ids: Sequence[int], at: datetime) -> Bill:
        if get_ident() not in met:
            met.add(get_ident())
            both.wait(PATIENCE_SECONDS)
        return bill_customers(customer_ids=customer_ids, at=at)

    monkeypatch.setattr(invoicing, "bill_customers", meet_once)
    with ThreadPoolExecutor(1) as threads:
        when_planned(
            monkeypatch,
            lambda run: threads.submit(on_its_own_connection, partial(help_run, run=run)),
        )
        done = run_nightly(at=AT)
    assert (len(met), documents(), numbers()) == (2, expected, NUMBERS)
    assert (done.customers, done.invoices_finalized, done.status) == (6, 6, "completed")


@contextmanager
def stuck_helper(with_batch: str) -> Iterator[subprocess.Popen[str]]:
    """Run a process that has taken or billed a batch and does not end."""
    process = subprocess.Popen(
        [sys.executable, "-c", STUCK, with_batch],
        cwd=settings.BASE_DIR,
        env=on_this_database() | {"DJANGO_SETTINGS_MODULE": "config.settings"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_until_it_waits() -> None:
    """Wait until a run waits for a lock that another process has."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not waiters():
        assert time.monotonic() < deadline, "The run waits for nobody."
        time.sleep(0.02)


def waiters() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        [(number,)] = cursor.fetchall()
    return int(number)


@pytest.mark.parametrize("with_batch", ["taken", "billed"])
def test_what_a_killed_process_was_at_is_billed_by_the_others(
    with_batch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = alone()
    with ThreadPoolExecutor(1) as threads, ExitStack() as processes:
        helpers: list[subprocess.Popen[str]] = []

        def begin(run: BillingRun) -> None:
            helpers.append(processes.enter_context(stuck_helper(with_batch)))
            assert helpers[0].stdout is not None
            assert helpers[0].stdout.readline() == f"{with_batch}\n"

        when_planned(monkeypatch, begin)
        night = threads.submit(on_its_own_connection, partial(run_nightly, at=AT))
        wait_until_it_waits()
        helpers[0].send_signal(signal.SIGKILL)
        night.result(PATIENCE_SECONDS)
    run = BillingRun.objects.get()
    assert (documents(), numbers()) == (expected, NUMBERS)
    assert (run.status, run.customers, BillingBatch.objects.count()) == ("completed", 6, 0)


def test_a_run_calls_for_as_much_help_as_it_has_work_for(settings: Settings) -> None:
    settings.NIGHTLY_WORKERS = 9
    run_nightly(at=AT)
    assert OrmQ.objects.count() == 2
    settings.NIGHTLY_BATCH = 100
    run_nightly(at=AT)
    assert OrmQ.objects.count() == 2


def test_calling_for_help_keeps_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside of a transaction the queue closes connections of this age, and locks with them."""
    kept = []
    when_planned(monkeypatch, lambda run: kept.append(is_inside(NIGHTLY_LOCK)))
    monkeypatch.setattr(connection, "close_at", 0)
    run_nightly(at=AT)
    assert kept == [True]
    with pytest.raises(transaction.TransactionManagementError):
        enqueue_with_commit("billing.tasks.help_nightly", 1)


def test_help_ends_with_the_run_and_gives_others_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = BillingRun.objects.create(at=AT)
    plan_batches(run)
    queued = OrmQ.objects.count()
    monkeypatch.setattr(nightly_batches, "TURN_SECONDS", -1)
    tasks.help_nightly(run.pk)
    assert (Invoice.objects.count(), OrmQ.objects.count()) == (0, queued)
    with only_one(NIGHTLY_LOCK):
        tasks.help_nightly(run.pk)
    assert (Invoice.objects.count(), OrmQ.objects.count()) == (2, queued + 1)
    run_nightly(at=AT)
    tasks.help_nightly(run.pk)
    assert (numbers(), OrmQ.objects.count()) == (NUMBERS, queued + 2)
