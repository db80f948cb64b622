"""Verbs on invoices: draft, recompute, issue, void.

Locks are taken in the order subscription, invoice, number series, so that nightly runs, operators
and cancellations wait for each other and never for ever.
"""

from dataclasses import asdict
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from billing.models import Invoice, InvoiceLine, StripePush, Subscription
from billing.models.subscriptions import SubscriptionQuerySet
from billing.rating.periods import BillingPeriod
from billing.selectors.statements import statement
from billing.selectors.subscriptions import invoiced_period, subscription_of, with_prices
from billing.services.numbering import next_number
from config.errors import DomainError
from config.queue import enqueue_on_commit
from customers.models import Customer

TOTAL_FIELDS = ("subtotal", "discount", "tax", "credits", "total")
ISSUE_FIELDS = ("number", "status", "issued_at", "due_at", "paid_at", "seller", "buyer")
BUYER_FIELDS = (
    "key",
    "name",
    "email",
    "address_line1",
    "address_line2",
    "city",
    "state",
    "postal_code",
    "country",
    "time_zone",
    "locale",
)


@transaction.atomic
def draft_invoice(*, subscription: Subscription, period: BillingPeriod, at: datetime) -> Invoice:
    """Return the invoice of a period that has ended, its lines computed anew while it is a draft.

    Whoever asks first makes it; an issued one is returned as it is. Raises DomainError for a period
    that has not ended by `at`, or that reaches beyond the end of the subscription.
    """
    locked = lock_subscription(subscription)
    if period.end > at:
        raise DomainError(
            f"The period ends at {period.end.isoformat()}: there is nothing to draft before.",
            code="period_not_over",
        )
    if locked.end_at is not None and period.end > locked.end_at:
        raise DomainError(
            f"The subscription ended at {locked.end_at.isoformat()}, within the period.",
            code="subscription_ended",
        )
    return write_draft(locked, period, at)


def write_draft(locked: Subscription, period: BillingPeriod, at: datetime) -> Invoice:
    invoices = Invoice.objects.exclude(status=Invoice.Status.VOID)
    invoice = invoices.filter(subscription=locked, period_start=period.start).first()
    if invoice is None:
        invoice = Invoice.objects.create(
            customer=locked.customer,
            subscription=locked,
            currency=locked.plan_version.currency,
            period_start=period.start,
            period_end=period.end,
            finalize_at=grace_end(locked, period.end),
            created_at=at,
        )
    if invoice.is_draft:
        write_content(invoice, locked, period)
    return invoice


def write_content(invoice: Invoice, locked: Subscription, period: BillingPeriod) -> None:
    """Replace a draft's lines and totals with what its period is worth now."""
    content = statement(locked, period)
    invoice.lines.all().delete()
    InvoiceLine.objects.bulk_create(
        InvoiceLine(invoice=invoice, position=position, **asdict(line))
        for position, line in enumerate(content.lines)
    )
    for name in TOTAL_FIELDS:
        setattr(invoice, name, getattr(content, name))
    invoice.period_end = period.end
    invoice.finalize_at = grace_end(locked, period.end)
    invoice.save(update_fields=[*TOTAL_FIELDS, "period_end", "finalize_at"])


def redraft(*, subscription: Subscription) -> None:
    """Drop or shorten the drafts that reach beyond the end of a subscription, which is locked."""
    end_at = subscription.end_at
    if end_at is None:
        return
    drafts = Invoice.objects.filter(subscription=subscription, status=Invoice.Status.DRAFT)
    drafts.filter(period_start__gte=end_at).delete()
    for invoice in drafts.filter(period_end__gt=end_at):
        invoice.subscription = subscription
        period = invoiced_period(invoice)
        write_content(invoice, subscription, BillingPeriod(period.start, end_at, period.full))


@transaction.atomic
def finalize_invoice(*, invoice: Invoice, at: datetime) -> Invoice:
    """Compute a draft for the last time and issue it, whether or not its grace is over.

    It is pushed to Stripe, if one is configured, once the transaction commits. Raises DomainError
    for an invoice that is no draft, whose period has not ended, or whose total is negative.
    """
    locked = lock_subscription(subscription_of(invoice))
    draft = Invoice.objects.select_for_update().get(pk=invoice.pk)
    draft.subscription = locked
    if draft.period_end > at:
        raise DomainError(
            f"The period ends at {draft.period_end.isoformat()}: finalize it after that.",
            code="period_not_over",
        )
    if draft.is_draft:
        write_content(draft, locked, invoiced_period(draft))
    issue_invoice(invoice=draft, at=at)
    if draft.status == Invoice.Status.OPEN and settings.STRIPE_SECRET_KEY:
        queue_push(invoice=draft)
    return draft


@transaction.atomic
def issue_invoice(*, invoice: Invoice, at: datetime) -> None:
    """Give a draft its number, dates and addresses; from then on the database freezes it.

    The caller has locked its subscription. An invoice over nothing is paid at once. Raises
    DomainError for one that is no draft, and for a negative total, which no payment can settle.
    """
    if not invoice.is_draft:
        raise DomainError(f"Invoice {invoice} is already {invoice.status}.", code="not_a_draft")
    if invoice.total < 0:
        raise DomainError(
            f"The total is {invoice.total} {invoice.currency}. An invoice cannot be negative: "
            "it stays a draft until its lines are put right.",
            code="negative_total",
        )
    version = subscription_of(invoice).plan_version
    is_settled = not invoice.total
    invoice.status = Invoice.Status.PAID if is_settled else Invoice.Status.OPEN
    invoice.paid_at = at if is_settled else None
    invoice.issued_at = at
    invoice.due_at = at + timedelta(days=version.payment_days)
    invoice.seller = {"name": settings.BRAND_NAME, "email": settings.DEFAULT_FROM_EMAIL}
    invoice.buyer = buyer_snapshot(invoice.customer)
    invoice.number = next_number(prefix=settings.INVOICE_PREFIX)
    invoice.save(update_fields=ISSUE_FIELDS)


@transaction.atomic
def queue_push(*, invoice: Invoice) -> None:
    """Have an issued invoice pushed to Stripe by a worker, from wherever it stopped.

    Raises DomainError for a draft, and when no Stripe account is configured.
    """
    if invoice.is_draft:
        raise DomainError("A draft is not pushed: finalize it first.", code="not_issued")
    if not settings.STRIPE_SECRET_KEY:
        raise DomainError(
            "STRIPE_SECRET_KEY is not set, so nothing can be pushed to Stripe.",
            code="stripe_not_configured",
        )
    enqueue_on_commit("billing.tasks.push_invoice", invoice.pk)


@transaction.atomic
def void_invoice(*, invoice: Invoice, at: datetime) -> Invoice:
    """Declare that nothing is owed on an issued invoice. Its number and content stay.

    Its period is invoiced again only if `draft_invoice` is asked for it. Raises DomainError for a
    draft, for a paid invoice, for one that money has been received for, and for one that Stripe
    has: customers could go on paying it there.
    """
    locked = Invoice.objects.select_for_update().get(pk=invoice.pk)
    if locked.status not in {Invoice.Status.OPEN, Invoice.Status.UNCOLLECTIBLE}:
        raise DomainError(
            f"Invoice {locked} is {locked.status}: only one that is open or uncollectible "
            "can be voided.",
            code="not_voidable",
        )
    if locked.amount_paid:
        raise DomainError(
            f"{locked.amount_paid} {locked.currency} were paid on invoice {locked}: "
            "refund that first.",
            code="has_payments",
        )
    push = StripePush.objects.filter(invoice=locked).exclude(first_started_at=None).first()
    if push is not None:
        raise DomainError(
            f"Invoice {locked} is at Stripe ({push.stripe_invoice_id or 'on its way'}): "
            "void it there, and it becomes void here.",
            code="at_stripe",
        )
    locked.status = Invoice.Status.VOID
    locked.voided_at = at
    locked.save(update_fields=["status", "voided_at"])
    return locked


def lock_subscription(subscription: Subscription) -> Subscription:
    """Return the subscription as it is now, with its prices, locked until the transaction ends."""
    return lockable_subscriptions().get(pk=subscription.pk)


def lockable_subscriptions() -> SubscriptionQuerySet:
    """Return subscriptions that are locked as they are read. Inserting invoices does not wait."""
    return with_prices(Subscription.objects.select_for_update(of=("self",), no_key=True))


def grace_end(subscription: Subscription, period_end: datetime) -> datetime:
    """Return the instant from which a period's draft moves no more."""
    return period_end + timedelta(hours=subscription.plan_version.grace_hours)


def buyer_snapshot(customer: Customer) -> dict[str, str]:
    return {name: getattr(customer, name) for name in BUYER_FIELDS}
