"""Which invoices have business with Stripe."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Exists, F, OuterRef, Q, QuerySet

from billing.models import (
    CreditNote,
    Invoice,
    InvoiceLine,
    StripeEvent,
    StripeOperation,
    StripePush,
    StripeQueue,
    StripeReconciliation,
)
from billing.models.invoices import InvoiceQuerySet

# An event is handled by the task that its arrival queues; this long after, that task is lost.
EVENT_PATIENCE = timedelta(minutes=5)
# An invoice is pushed by the task that its issue queues, or by the nightly run.
LOST_AFTER = timedelta(minutes=15)
DONE = (
    StripePush.Status.COMPLETED,
    StripePush.Status.SKIPPED,
    StripePush.Status.BELOW_MINIMUM,
)


def invoices_to_push() -> InvoiceQuerySet:
    """Return issued invoices that are not at Stripe yet, the oldest first.

    Those over nothing, which were paid as they were issued, go there as well: Stripe holds one
    for each of ours. What was issued before STRIPE_PUSH_SINCE stays here unless it is pushed by hand.
    """
    # A credit note settles without a payment: Stripe gets the invoice and then the credit note.
    is_due = Q(status=Invoice.Status.OPEN) | Q(status=Invoice.Status.PAID, amount_paid=0)
    pushes = StripePush.objects.filter(invoice=OuterRef("pk"), status__in=DONE)
    lines = InvoiceLine.objects.filter(invoice=OuterRef("pk"))
    invoices = Invoice.objects.filter(is_due, Exists(lines), ~Exists(pushes))
    if settings.STRIPE_PUSH_SINCE is not None:
        invoices = invoices.filter(issued_at__gte=settings.STRIPE_PUSH_SINCE)
    return invoices.order_by("issued_at", "pk")


def pushes_to_retry(at: datetime) -> InvoiceQuerySet:
    """Return invoices whose push stopped and is to be taken up again by `at`.

    Those whose push never began are among them once their own task must have been lost.
    """
    pending = Q(stripe_push__status=StripePush.Status.PENDING)
    is_due = Q(stripe_push__retry_at__lte=at) | Q(stripe_push__retry_at=None)
    lost = invoices_to_push().filter(stripe_push=None, issued_at__lte=at - LOST_AFTER)
    due = Invoice.objects.filter((pending & is_due) | Q(pk__in=lost.order_by().values("pk")))
    return due.order_by("stripe_push__retry_at", "pk")


def is_at_stripe(invoice: Invoice) -> bool:
    """Return whether anything of an invoice can be at Stripe, a lost draft included."""
    pushes = StripePush.objects.filter(invoice=invoice).exclude(first_started_at=None)
    return pushes.exclude(status=StripePush.Status.SKIPPED, stripe_invoice_id="").exists()


def credit_notes_to_send() -> QuerySet[CreditNote]:
    """Return issued credit notes on invoices at Stripe that were never asked for there."""
    asked = StripeOperation.objects.filter(
        kind=StripeOperation.Kind.CREDIT_NOTE,
        invoice=OuterRef("invoice"),
        reference=OuterRef("number"),
    )
    return (
        CreditNote.objects.filter(
            status=CreditNote.Status.ISSUED,
            invoice__stripe_push__status=StripePush.Status.COMPLETED,
            # What was paid with credits of ours was never asked for there.
            total__gt=F("credits_returned"),
        )
        .exclude(Exists(asked))
        .select_related("invoice")
        .order_by("issued_at", "pk")
    )


def is_being_voided(invoice: Invoice) -> bool:
    return invoice.stripe_operations.filter(
        kind=StripeOperation.Kind.VOID, status=StripeOperation.Status.PENDING
    ).exists()


def operations_to_retry(at: datetime) -> QuerySet[StripeOperation]:
    """Return what was asked of invoices at Stripe and is to be taken up again by `at`."""
    is_due = Q(retry_at__lte=at) | Q(retry_at=None, requested_at__lte=at - LOST_AFTER)
    pending = StripeOperation.objects.filter(is_due, status=StripeOperation.Status.PENDING)
    return pending.order_by("requested_at", "pk")


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


def current_halt() -> StripeQueue | None:
    """Return the account that Stripe is not asked for at all, if there is one."""
    return StripeQueue.objects.filter(halted_at__isnull=False).first()


def last_reconciliation() -> StripeReconciliation | None:
    """Return the last comparison that came to its end, whether it was carried through or not."""
    return StripeReconciliation.objects.filter(finished_at__isnull=False).first()


def last_comparison() -> StripeReconciliation | None:
    """Return the last one that was carried through: what it found holds until the next one."""
    return StripeReconciliation.objects.filter(finished_at__isnull=False, halted="").first()
