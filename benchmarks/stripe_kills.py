"""Push many invoices while workers are killed: `python -m benchmarks.stripe_kills`.

It measures no ratio but proves promises: workers that die by SIGKILL every few seconds, wherever
they are, double nothing and lose nothing; all of them together ask Stripe as often as configured
and no more; and the queue of tasks has a bound, however much is to be pushed. It prints one JSON
object with what it counted and ends with 1 if a promise was broken.
"""

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from multiprocessing.process import BaseProcess

import django
from django.db import connection
from django.test.utils import setup_databases, teardown_databases

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.conf import settings  # noqa: E402  # models need the settings
from django.utils import timezone  # noqa: E402
from django_q.models import OrmQ  # noqa: E402

from benchmarks.stripe_worker import KEY, work  # noqa: E402
from billing.models import Invoice, InvoiceLine, StripePush  # noqa: E402
from billing.sandbox.server import StripeSandbox  # noqa: E402
from billing.selectors.stripe import invoices_to_push  # noqa: E402
from billing.services.invoicing import queue_push  # noqa: E402
from config.queue import MOST_WAITING  # noqa: E402
from customers.models import Customer  # noqa: E402

PERIOD = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
# Without one request for this long, the run is given up, and what is missing is counted as lost.
PATIENCE_SECONDS = 120
REQUESTS_BETWEEN_KILLS = 20
# A dead worker's successor is forked from a process that has imported everything already, so that
# workers live from kill to kill by working, not by starting.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["benchmarks.stripe_worker"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--invoices", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kill-every-ms", type=int, default=2000)
    parser.add_argument("--rate", type=int, default=50, help="requests a second, of all workers")
    options = parser.parse_args()
    databases = setup_databases(verbosity=0, interactive=False)
    try:
        with StripeSandbox() as sandbox:
            make_invoices(options.invoices)
            counts = push_and_kill(sandbox, options.workers, options.kill_every_ms, options.rate)
            wrong = compare(sandbox) | {
                "over_the_rate": max(0, counts["busiest_ten_seconds"] - 10 * options.rate),
                "over_the_queue": max(0, counts["most_tasks_queued"] - MOST_WAITING),
            }
    finally:
        teardown_databases(databases, verbosity=0)
    sys.stdout.write(json.dumps(counts | wrong) + "\n")
    return 1 if any(wrong.values()) else 0


def make_invoices(count: int) -> None:
    """Make issued invoices of a hundred customers; every tenth line is a credit."""
    at = timezone.now()
    customers = Customer.objects.bulk_create(
        Customer(key=f"c{number}", name=f"Customer {number}", email=f"c{number}@example.com")
        for number in range(min(count, 100))
    )
    invoices = Invoice.objects.bulk_create(
        Invoice(
            customer=customers[number % len(customers)],
            currency="USD",
            period_start=PERIOD[0],
            period_end=PERIOD[1],
            finalize_at=PERIOD[1],
            subtotal=number + Decimal("7.25"),
            total=number + Decimal("7.25"),
        )
        for number in range(count)
    )
    InvoiceLine.objects.bulk_create(
        InvoiceLine(
            invoice=invoice,
            position=position,
            kind="usage",
            price=f"p{position}",
            description=f"Line {position}",
            quantity=1,
            amount=amount,
            period_start=PERIOD[0],
            period_end=PERIOD[1],
            document={},
        )
        for invoice in invoices
        for position, amount in enumerate((invoice.total + 1, Decimal(-1)))
    )
    for number, invoice in enumerate(invoices):
        invoice.status, invoice.number = Invoice.Status.OPEN, f"INV-{number:06d}"
        invoice.issued_at = invoice.due_at = at
    Invoice.objects.bulk_update(invoices, ["status", "number", "issued_at", "due_at"], 500)


def push_and_kill(
    sandbox: StripeSandbox, workers: int, kill_every_ms: int, rate: int
) -> dict[str, int]:
    """Keep workers going and kill one after the other until nothing is left to push."""
    running: list[BaseProcess] = []
    kills = killed_after = requests = 0
    seconds: list[int] = []
    settings.STRIPE_SECRET_KEY = KEY
    for invoice in invoices_to_push():
        queue_push(invoice=invoice)
    most_queued = OrmQ.objects.count()
    begun = killed_at = heard_at = second = time.monotonic_ns()
    while invoices_to_push().exists() and second - heard_at < PATIENCE_SECONDS * 1_000_000_000:
        running = [each for each in running if each.is_alive()]
        running += [start(sandbox, rate) for _ in range(workers - len(running))]
        time.sleep(0.25)
        now, asked = time.monotonic_ns(), sandbox.api.faults.requests
        if now - second >= 1_000_000_000:
            heard_at = now if asked > requests else heard_at
            seconds.append((asked - requests) * 1_000_000_000 // (now - second))
            requests, second = asked, now
        most_queued = max(most_queued, OrmQ.objects.count())
        # A machine so busy that workers never get to work would prove nothing.
        has_worked = asked - killed_after >= REQUESTS_BETWEEN_KILLS
        if has_worked and now - killed_at >= kill_every_ms * 1_000_000:
            running[kills % len(running)].kill()
            kills, killed_at, killed_after = kills + 1, now, asked
    for each in running:
        each.kill()
        each.join()
    took = max((time.monotonic_ns() - begun) // 1_000_000_000, 1)
    tens = [sum(seconds[first : first + 10]) for first in range(max(len(seconds) - 9, 1))]
    return {
        "invoices": Invoice.objects.count(),
        "seconds": took,
        "kills": kills,
        "requests": sandbox.api.faults.requests,
        "requests_a_second": sandbox.api.faults.requests // took,
        "configured_a_second": rate,
        "busiest_ten_seconds": max(tens),
        "most_tasks_queued": most_queued,
        "bound_of_the_queue": MOST_WAITING,
        "deliveries_unknown": StripePush.objects.filter(is_delivery_unknown=True).count(),
    }


def start(sandbox: StripeSandbox, rate: int) -> BaseProcess:
    name = str(connection.settings_dict["NAME"])
    worker = FORKS.Process(target=work, args=(name, sandbox.url, rate), daemon=True)
    worker.start()
    return worker


def compare(sandbox: StripeSandbox) -> dict[str, int]:
    """Count what is wrong at the sandbox; all of it has to be 0."""
    records = list(sandbox.account.store.table("invoice").values())
    by_invoice = Counter(record["metadata"]["invoice"] for record in records)
    totals = {record["metadata"]["invoice"]: record["total"] for record in records}
    sent = Counter(
        event["data"]["object"]["id"]
        for event in sandbox.account.store.table("event").values()
        if event["type"] == "invoice.sent"
    )
    ours = {str(pk): total for pk, total in Invoice.objects.values_list("pk", "total")}
    customers = Counter(
        record["metadata"]["customer"]
        for record in sandbox.account.store.table("customer").values()
    )
    return {
        "doubled": sum(count - 1 for count in by_invoice.values()),
        "lost": len(ours.keys() - by_invoice.keys()),
        "not_open": sum(record["status"] != "open" for record in records),
        "over_another_amount": sum(
            Decimal(totals[pk]).scaleb(-2) != total for pk, total in ours.items() if pk in totals
        ),
        "doubled_customers": sum(count - 1 for count in customers.values()),
        "mailed_twice": sum(count > 1 for count in sent.values()),
        "not_completed": StripePush.objects.exclude(status="completed").count(),
    }


if __name__ == "__main__":
    sys.exit(main())
