"""What nightly runs did, as staff see it, and what is left of one to do."""

from collections import defaultdict
from collections.abc import Iterable

from django.db.models import Q, QuerySet, Sum

from billing.models import BillingBatch, BillingRun, Invoice
from customers.models import Customer


def last_run() -> BillingRun | None:
    """Return the nightly run that started last, whatever became of it."""
    return BillingRun.objects.order_by("-started_at", "-pk").first()


def free_batch(run_id: int) -> BillingBatch | None:
    """Return the next batch of a run that nobody is at, locked until the transaction ends."""
    return to_do(run_id).select_for_update(skip_locked=True).first()


def awaited_batch(run_id: int) -> BillingBatch | None:
    """Wait for whoever is at a batch; return it, locked, if they left it undone."""
    return to_do(run_id).select_for_update().first()


def is_anything_left(run_id: int) -> bool:
    return to_do(run_id).exists()


def to_do(run_id: int) -> QuerySet[BillingBatch]:
    """Return what is left of a run. What somebody began with and left undone comes last."""
    return BillingBatch.objects.filter(run=run_id, done_at=None).order_by("attempts", "pk")


def abandoned() -> QuerySet[BillingBatch]:
    """Return the batches, of any run, that were begun and never done, or left out for that."""
    return BillingBatch.objects.filter(Q(done_at=None) | ~Q(failures=[]), attempts__gt=0)


def done_so_far(run_id: int) -> dict[str, int]:
    """Return what the batches of a run that are done came to."""
    done = BillingBatch.objects.filter(run=run_id).exclude(done_at=None)
    sums = done.aggregate(
        customers=Sum("customers", default=0),
        invoices_drafted=Sum("drafted", default=0),
        invoices_finalized=Sum("finalized", default=0),
        invoices_skipped=Sum("skipped", default=0),
        credit_notes=Sum("credit_notes", default=0),
    )
    return dict(sums)


def rows_of_failures(
    failures: Iterable[dict[str, str]],
) -> dict[tuple[str, str], Customer | Invoice]:
    """Return the customers and invoices that failures name, by the kind and name they are under."""
    named: dict[str, set[str]] = defaultdict(set)
    for failure in failures:
        for kind, name in failure.items():
            named[kind].add(name)
    customers = Customer.objects.filter(key__in=named["customer"])
    invoices = Invoice.objects.filter(number__in=named["invoice"])
    return {
        **{("customer", customer.key): customer for customer in customers},
        **{("invoice", invoice.number or ""): invoice for invoice in invoices},
    }


def failures_so_far(run_id: int) -> list[dict[str, str]]:
    failed = BillingBatch.objects.filter(run=run_id).exclude(failures=[]).order_by("pk")
    return [
        # The database keeps no order of names.
        {"customer": failure["customer"], "message": failure["message"]}
        for failures in failed.values_list("failures", flat=True)
        for failure in failures
    ]
