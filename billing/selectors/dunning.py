"""Who has not paid what was due, and since when."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from django.db.models import F, Min, Q

from billing.models import DunningCase, Email, Invoice, StripePush
from billing.models.invoices import InvoiceQuerySet
from customers.models import Customer

CHUNK = 500
DAY = timedelta(days=1)


def owed_invoices() -> InvoiceQuerySet:
    """Return open invoices on which something is left to pay, and that can be paid.

    What is too little for Stripe to collect is nobody's fault who does not pay it.
    """
    left = F("amount_paid") + F("amount_credited")
    owed = Invoice.objects.filter(status=Invoice.Status.OPEN, total__gt=left).exclude(due_at=None)
    return owed.exclude(stripe_push__status=StripePush.Status.BELOW_MINIMUM)


def overdue_invoices(customer: Customer, at: datetime) -> list[Invoice]:
    """Return what a customer should have paid by `at`, the oldest first."""
    owed = owed_invoices().filter(customer=customer, due_at__lt=at)
    return list(owed.select_related("customer", "stripe_push").order_by("due_at", "pk"))


def overdue_since(customer_ids: Sequence[int], at: datetime) -> dict[int, datetime]:
    """Return by customer when the oldest of its unpaid invoices was due, where that is past."""
    owed = owed_invoices().filter(customer__any=customer_ids, due_at__lt=at).order_by()
    return dict(owed.values_list("customer").annotate(since=Min("due_at")))


def invoices_to_remind(at: datetime, days: Sequence[int]) -> Iterator[tuple[int, Invoice]]:
    """Yield invoices with the latest of these days around their due date that has come.

    Days before it are for invoices that were issued earlier than that. One that was reminded of
    then, or later, is left out; those that were missed are not made up for.
    """
    owed = owed_invoices().filter(customer__dunning=True, due_at__lte=at - min(days) * DAY)
    last = 0
    while chunk := list(owed.filter(pk__gt=last).select_related("customer").order_by("pk")[:CHUNK]):
        last = chunk[-1].pk
        reminded = latest_reminders(chunk)
        for invoice in chunk:
            day = day_of(invoice, at, days)
            if day is not None and day > reminded.get(invoice.pk, day - 1):
                yield day, invoice


def latest_reminders(invoices: Iterable[Invoice]) -> dict[int, int]:
    found: dict[int, int] = {}
    rows = Email.objects.filter(invoice__in=list(invoices), kind=Email.Kind.REMINDER)
    for pk, occasion in rows.values_list("invoice_id", "occasion"):
        found[pk or 0] = max(int(occasion), found.get(pk or 0, int(occasion)))
    return found


def day_of(invoice: Invoice, at: datetime, days: Sequence[int]) -> int | None:
    """Return the latest day that has come for an invoice."""
    due, issued = invoice.due_at, invoice.issued_at
    if due is None or issued is None:
        return None
    come = [day for day in days if due + day * DAY <= at and (day >= 0 or issued < due + day * DAY)]
    return max(come, default=None)


def customers_to_dun(at: datetime, least_days: int | None) -> list[tuple[int, str]]:
    """Return id and key of customers who may have to be flagged, suspended, or let back in."""
    is_late = Q(pk__in=[])
    if least_days is not None:
        late = owed_invoices().filter(due_at__lte=at - least_days * DAY)
        is_late = Q(pk__in=late.values("customer"))
    running = DunningCase.objects.running().values("customer")
    found = Customer.objects.filter(is_late | Q(pk__in=running))
    return list(found.order_by("pk").values_list("pk", "key"))
