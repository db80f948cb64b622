"""Verbs on invoices: work out, issue, void, bill by hand.

Whoever writes documents locks their customer first, then invoices, then the number series, so that
nightly runs, operators and changes of subscriptions wait for each other and never for ever.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.conf import settings
from django.db import transaction

from billing.models import (
    Invoice,
    InvoiceLine,
    StripeOperation,
    StripePush,
    Subscription,
    SubscriptionPeriod,
)
from billing.selectors.accounts import RECOMPUTED
from billing.selectors.stripe import is_at_stripe
from billing.services.drafting import Document, work_out_accounts
from billing.services.dunning_requests import look_again
from billing.services.issuing import DEFAULT_PAYMENT_DAYS, Issue, add_up, issue_drafts
from billing.services.payments import record_paid_elsewhere, set_void
from billing.services.stripe_requests import request_operation
from billing.services.writing import draft_accounts, write_what_is_due
from config.errors import DomainError
from config.queue import enqueue_on_commit, has_room
from customers.models import Customer
from metering.selectors.cutoffs import Cutoff


@dataclass(slots=True)
class Bill:
    """What billing some customers did."""

    drafted: int = 0
    finalized: int = 0
    skipped: int = 0
    credit_notes: int = 0
    failures: list[str] = field(default_factory=list)


def lock_customers(ids: Sequence[int]) -> list[Customer]:
    """Return customers, locked until the transaction ends, for whoever writes their documents.

    Events, and rows that refer to a customer, do not wait.
    """
    customers = Customer.objects.select_for_update(no_key=True).filter(pk__any=ids)
    return list(customers.order_by("pk").prefetch_related("tax_rates"))


@transaction.atomic
def bill_customers(*, customer_ids: Sequence[int], at: datetime) -> Bill:
    """Work out what customers owe as of `at`, and issue what is past its grace.

    The number of queries does not depend on how many customers there are, as long as their periods
    are cut alike.
    """
    drafted = work_out_accounts(lock_customers(customer_ids), at)
    due = write_what_is_due(drafted, at)
    issued = issue_drafts(to_issue(due, drafted.cutoff), at=at)
    return Bill(
        drafted=drafted.created,
        finalized=len(issued.invoices),
        skipped=issued.skipped,
        credit_notes=len(issued.credit_notes),
    )


def to_issue(documents: Sequence[Document], cutoff: Cutoff | None) -> list[Issue]:
    return [
        Issue(document.invoice, document.lines, payment_days(document), cutoff)
        for document in documents
        if document.invoice is not None
    ]


def payment_days(document: Document) -> int:
    """Return the days there are to pay; the shortest of several plans."""
    days = (contract.list_at(document.at).version.payment_days for contract in document.contracts)
    return min(days, default=DEFAULT_PAYMENT_DAYS)


@transaction.atomic
def recompute_drafts(*, customer: Customer, at: datetime) -> None:
    """Work out a customer's drafts anew from the usage and the terms there are now."""
    draft_accounts(lock_customers([customer.pk]), at, only_drafts=True)


@transaction.atomic
def finalize_invoice(*, invoice: Invoice, at: datetime) -> Invoice:
    """Compute a draft for the last time and issue it, whether or not its grace is over.

    It is pushed to Stripe, if one is configured, once the transaction commits. Raises DomainError
    for an invoice that is no draft, whose period has not ended, that an earlier draft comes before,
    or that is over nothing.
    """
    customers = lock_customers([invoice.customer_id])
    draft = Invoice.objects.select_for_update().get(pk=invoice.pk)
    if not draft.is_draft:
        raise DomainError(f"Invoice {draft} is already {draft.status}.", code="not_a_draft")
    if draft.billing_reason not in RECOMPUTED or draft.billing_at is None:
        draft.customer = customers[0]
        drafts = [Issue(draft, list(draft.lines.all()))]
        # Its lines stay; whether they are taxed is for the day on which it is issued.
        add_up(drafts[0])
    else:
        drafts = worked_out(draft, customers, at)
    issued = issue_drafts(drafts, at=at, keeps_zero=True)
    if draft.pk not in {each.pk for each in issued.invoices}:
        raise DomainError(
            "The draft asks for nothing: a nightly run gives what is on it back in credit notes.",
            code="nothing_to_issue",
        )
    done = Invoice.objects.get(pk=draft.pk)
    if done.status == Invoice.Status.OPEN and settings.STRIPE_SECRET_KEY:
        queue_push(invoice=done)
    return done


def worked_out(draft: Invoice, customers: Sequence[Customer], at: datetime) -> list[Issue]:
    """Return a draft worked out anew; raises DomainError if it is not its turn."""
    if draft.billing_at is not None and draft.billing_at > at:
        raise DomainError(
            f"The period ends at {draft.billing_at.isoformat()}: finalize it after that.",
            code="period_not_over",
        )
    drafted = draft_accounts(customers, at, only_drafts=True)
    documents = drafted.documents
    mine = next((each for each in documents if each.invoice == draft), None)
    if mine is None:
        return []
    ids = {contract.subscription.pk for contract in mine.contracts}
    for other in documents:
        is_shared = ids & {contract.subscription.pk for contract in other.contracts}
        if is_shared and other.at < mine.at:
            raise DomainError(
                f"The draft of {other.at.isoformat()} comes before it: finalize that one first.",
                code="earlier_draft",
            )
    return to_issue([mine], drafted.cutoff)


@transaction.atomic
def queue_push(*, invoice: Invoice) -> None:
    """Have an issued invoice pushed to Stripe by a worker, from wherever it stopped.

    Raises DomainError for a draft, and when no Stripe account is configured.
    """
    if invoice.is_draft:
        raise DomainError("A draft is not pushed: finalize it first.", code="not_issued")
    require_stripe()
    if has_room():
        enqueue_on_commit("billing.tasks.push_invoice", invoice.pk)
    else:
        # A push that never began is due to whoever looks next.
        StripePush.objects.get_or_create(invoice=invoice)


def require_stripe() -> None:
    if not settings.STRIPE_SECRET_KEY:
        raise DomainError(
            "STRIPE_SECRET_KEY is not set, so nothing can be asked of Stripe.",
            code="stripe_not_configured",
        )


@transaction.atomic
def void_invoice(*, invoice: Invoice, at: datetime) -> Invoice:
    """Declare that nothing is owed on an issued invoice. Its number and content stay.

    What it billed is waived: it is not billed again, unless `reissue_invoice` asks for that. One
    that is at Stripe stays as it is until Stripe has voided it, because customers could go on
    paying it there. Raises DomainError for a draft, for a paid invoice, and for one that money was
    received for or that credit notes have lowered.
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
    if locked.amount_credited:
        raise DomainError(
            f"{locked.amount_credited} {locked.currency} of invoice {locked} are credited already: "
            "credit the rest too.",
            code="has_credit_notes",
        )
    if is_at_stripe(locked):
        require_stripe()
        request_operation(invoice=locked, kind=StripeOperation.Kind.VOID, at=at)
    else:
        set_void(invoice=locked, at=at)
    return locked


@transaction.atomic
def reissue_invoice(*, invoice: Invoice, at: datetime) -> Invoice:
    """Bill again what a void invoice billed, in a new draft with what is right now.

    Raises DomainError for an invoice that is not void, that was billed by hand, or that has been
    billed again already.
    """
    customers = lock_customers([invoice.customer_id])
    void = Invoice.objects.select_for_update().get(pk=invoice.pk)
    if void.status != Invoice.Status.VOID or void.is_reissued:
        raise DomainError(
            f"Invoice {void} is not void, or was billed again before: void it first.",
            code="not_reissuable",
        )
    if void.billing_reason not in RECOMPUTED or void.billing_at is None:
        raise DomainError(
            f"Invoice {void} was not worked out from a period: bill it anew by hand.",
            code="not_reissuable",
        )
    void.is_reissued = True
    void.save(update_fields=["is_reissued"])
    periods = InvoiceLine.objects.filter(invoice=void).values("billing_period")
    SubscriptionPeriod.objects.filter(pk__in=periods).update(is_stale=True)
    draft = Invoice.objects.create(
        customer=void.customer,
        subscription=void.subscription,
        billing_reason=void.billing_reason,
        billing_at=void.billing_at,
        currency=void.currency,
        period_start=void.period_start,
        period_end=void.period_end,
        finalize_at=void.finalize_at,
        created_at=at,
    )
    draft_accounts(customers, at, only_drafts=True)
    draft.refresh_from_db()
    return draft


@transaction.atomic
def mark_uncollectible(*, invoice: Invoice, at: datetime) -> Invoice:
    """Give up on an open invoice. It can still be paid, and still be voided.

    One that is at Stripe stays open until Stripe has it so. Raises DomainError for any other.
    """
    locked = Invoice.objects.select_for_update().get(pk=invoice.pk)
    if locked.status != Invoice.Status.OPEN:
        raise DomainError(
            f"Invoice {locked} is {locked.status}: only an open one is given up.", code="not_open"
        )
    if is_at_stripe(locked):
        require_stripe()
        request_operation(invoice=locked, kind=StripeOperation.Kind.UNCOLLECTIBLE, at=at)
    else:
        locked.status = Invoice.Status.UNCOLLECTIBLE
        locked.save(update_fields=["status"])
        look_again(locked)
    return locked


@transaction.atomic
def mark_paid(*, invoice: Invoice, reference: str, paid_at: datetime, at: datetime) -> Invoice:
    """Record that all that is owed on an invoice came in another way than through Stripe.

    `reference` is what the money can be found by. One that is at Stripe stays open until Stripe has
    it so, which then calls it paid as of `at`. Raises DomainError for one on which nothing is owed.
    """
    locked = Invoice.objects.select_for_update().get(pk=invoice.pk)
    if locked.status not in {Invoice.Status.OPEN, Invoice.Status.UNCOLLECTIBLE}:
        raise DomainError(
            f"Invoice {locked} is {locked.status}: nothing is owed on it.", code="not_payable"
        )
    if paid_at > at:
        raise DomainError("The money has not come yet at that time.", code="not_received_yet")
    if is_at_stripe(locked):
        require_stripe()
        request_operation(
            invoice=locked,
            kind=StripeOperation.Kind.PAID_ELSEWHERE,
            content={"reference": reference, "paid_at": paid_at.isoformat()},
            at=at,
        )
    else:
        record_paid_elsewhere(invoice=locked, reference=reference, paid_at=paid_at)
        locked.refresh_from_db()
    return locked


@transaction.atomic
def charge_invoice(*, invoice: Invoice, at: datetime) -> Invoice:
    """Try to charge the customer's default payment method for an open invoice, once, now.

    Raises DomainError for one that is not open or not at Stripe.
    """
    if invoice.status != Invoice.Status.OPEN or not is_at_stripe(invoice):
        raise DomainError(
            f"Invoice {invoice} is {invoice.status}: only an open one that is at Stripe is "
            "charged.",
            code="not_chargeable",
        )
    require_stripe()
    request_operation(invoice=invoice, kind=StripeOperation.Kind.PAY, at=at)
    return invoice


def lock_subscription(subscription: Subscription) -> Subscription:
    """Return the subscription as it is now, its customer locked until the transaction ends."""
    lock_customers([subscription.customer_id])
    return Subscription.objects.select_related("customer", "plan_version__plan").get(
        pk=subscription.pk
    )
