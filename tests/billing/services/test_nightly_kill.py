"""A nightly run killed in the middle is made good by the next one."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.conf import settings
from django.db import transaction

from billing.models import BillingRun, Invoice
from billing.services.nightly import run_nightly
from config.errors import DomainError
from customers.models import Customer
from tests import factories
from tests.billing.plans import publish_plan, subscribe
from tests.billing.usage import instant, report_calls
from tests.processes import on_this_database

pytestmark = pytest.mark.django_db(transaction=True)

CUSTOMERS = 40
KILL_AFTER = 5
PATIENCE_SECONDS = 60
AT = "2026-02-02T00:00:00+00:00"


@contextmanager
def nightly_process() -> Iterator[subprocess.Popen[bytes]]:
    """Run the command in a process of its own, on the database of the tests."""
    process = subprocess.Popen(
        [sys.executable, "manage.py", "nightly", "--at", AT],
        cwd=settings.BASE_DIR,
        env=on_this_database() | {"NIGHTLY_BATCH": "2"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for_invoices(number: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while Invoice.objects.issued().count() < number:
        assert time.monotonic() < deadline, "The run issues nothing."
        time.sleep(0.005)


def run_when_the_place_is_free() -> BillingRun:
    """Run again; the database takes a moment to notice that the killed process is gone."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return run_nightly(at=instant(AT))
        except DomainError:
            assert time.monotonic() < deadline, "The killed run still keeps its place."
            time.sleep(0.05)


def owe_33_each() -> None:
    """Let each customer have used one call at 2 besides the fee of 31."""
    version = publish_plan()
    for _ in range(CUSTOMERS):
        customer = factories.make_customer()
        subscribe(customer, "2026-01-01", version)
        report_calls(customer, "2026-01-10")


def test_a_killed_run_is_made_good_by_the_next_one() -> None:
    owe_33_each()
    halfway = Customer.objects.order_by("pk")[CUSTOMERS // 2]
    # The run cannot get past a customer that somebody else has locked, however fast it is.
    with transaction.atomic(), nightly_process() as process:
        Customer.objects.select_for_update(no_key=True).get(pk=halfway.pk)
        wait_for_invoices(KILL_AFTER)
        process.send_signal(signal.SIGKILL)
        process.wait()
    before = list(Invoice.objects.issued().order_by("pk").values())
    done = run_when_the_place_is_free()
    after = list(Invoice.objects.order_by("number").values())
    assert KILL_AFTER <= len(before) < CUSTOMERS
    assert [row["number"] for row in after] == [f"INV-{n:06}" for n in range(1, CUSTOMERS + 1)]
    assert {str(row["total"]) for row in after} == {"33.00"}
    assert len({row["customer_id"] for row in after}) == CUSTOMERS
    assert after[: len(before)] == before
    assert done.invoices_finalized == CUSTOMERS - len(before)
    assert [run.status for run in BillingRun.objects.order_by("pk")] == ["failed", "completed"]
