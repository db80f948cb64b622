"""Customers whom no process comes back from: tried a few times, then left out and reported."""

import os
import signal
import subprocess
import sys

import pytest
from django.conf import settings

from billing import tasks
from billing.models import BillingBatch, BillingRun, Invoice
from billing.services.nightly import run_nightly
from billing.services.nightly_batches import LEFT_OUT
from tests import factories
from tests.billing.plans import publish_plan, subscribe
from tests.billing.usage import instant
from tests.processes import address_of_database

pytestmark = pytest.mark.django_db(transaction=True)
AT = "2026-02-02"
# Runs nights in processes of their own until one comes back, and prints what became of each.
NIGHTS = """
import django; django.setup()
import os, signal, sys
from datetime import datetime
from billing.services import invoicing, nightly

bill_customers, lethal = invoicing.bill_customers, int(sys.argv[2])

def bill_or_die(*, customer_ids, at):
    if lethal in customer_ids:
        os.kill(os.getpid(), signal.SIGKILL)
    return bill_customers(customer_ids=customer_ids, at=at)

invoicing.bill_customers = bill_or_die
for night in range(9):
    if not (child := os.fork()):
        nightly.run_nightly(at=datetime.fromisoformat(sys.argv[1]))
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    print(status, flush=True)
    if not status:
        break
"""


def nights(lethal: int) -> list[int]:
    """Run nights that a customer kills, until one is not killed; return the signals that did."""
    result = subprocess.run(
        [sys.executable, "-c", NIGHTS, instant(AT).isoformat(), str(lethal)],
        cwd=settings.BASE_DIR,
        env=os.environ
        | {"DATABASE_URL": address_of_database(), "DJANGO_SETTINGS_MODULE": "config.settings"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [int(status) for status in result.stdout.split()]


def billed() -> list[str]:
    return sorted(Invoice.objects.values_list("customer__key", flat=True))


def test_a_customer_who_kills_every_process_is_left_out_until_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its batch of two is lost twice, it alone once; the others lose a few nights at most."""
    monkeypatch.setenv("NIGHTLY_BATCH", "2")
    version = publish_plan()
    customers = [factories.make_customer(f"c{number}") for number in range(5)]
    for customer in customers:
        subscribe(customer, "2026-01-01", version)
    assert nights(customers[0].pk) == [signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, 0]
    left_out = [{"customer": "c0", "message": LEFT_OUT}]
    last = BillingRun.objects.order_by("-pk")[0]
    assert (last.status, last.failures, billed()) == (
        "incomplete",
        left_out,
        ["c1", "c2", "c3", "c4"],
    )
    assert run_nightly(at=instant(AT)).failures == left_out
    tasks.nightly_again(last.pk)
    assert (len(billed()), BillingBatch.objects.count()) == (5, 0)
    assert BillingRun.objects.order_by("-pk")[0].status == "completed"
