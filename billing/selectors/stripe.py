"""Which invoices have business with Stripe."""

from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, Q, QuerySet

from billing.models import Invoice, InvoiceLine, StripeEvent, StripePush
from billing.models.invoices import InvoiceQuerySet

# An event is handled by the task that its arrival queues; this long after, that task is lost.
EVENT_PATIENCE = timedelta(minutes=5)
DONE = (StripePush.Status.COMPLETED, StripePush.Status.SKIPPED)


def invoices_to_push() -> InvoiceQuerySet:
    """Return issued invoices that are not at Stripe yet, the oldest first.

    Those over nothing, which were paid as they were issued, go there as well: Stripe holds one
    for each of ours.
    """
    is_due = Q(status=Invoice.Status.OPEN) | Q(status=Invoice.Status.PAID, total=0)
    pushes = StripePush.objects.filter(invoice=OuterRef("pk"), status__in=DONE)
    lines = InvoiceLine.objects.filter(invoice=OuterRef("pk"))
    return Invoice.objects.filter(is_due, Exists(lines), ~Exists(pushes)).order_by(
        "issued_at", "pk"
    )


def pushes_to_retry(at: datetime) -> InvoiceQuerySet:
    """Return invoices whose push stopped and is to be taken up again by `at`."""
    return Invoice.objects.filter(
        stripe_push__status=StripePush.Status.PENDING, stripe_push__retry_at__lte=at
    ).order_by("stripe_push__retry_at", "pk")


def events_to_handle(at: datetime) -> QuerySet[StripeEvent]:
    """Return stored events that wait for another try, or whose task never ran."""
    is_due = Q(retry_at__lte=at) | Q(retry_at=None, received_at__lte=at - EVENT_PATIENCE)
    return StripeEvent.objects.filter(is_due, handled_at=None).order_by("created_at", "pk")


def push_of(stripe_invoice_id: str) -> StripePush | None:
    """Return the push that made an invoice at Stripe."""
    if not stripe_invoice_id:
        return None
    pushes = StripePush.objects.select_related("invoice")
    return pushes.filter(stripe_invoice_id=stripe_invoice_id).first()
