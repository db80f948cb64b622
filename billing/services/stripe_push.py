"""Pushing issued invoices to Stripe: exactly one right invoice there for each of ours.

A push is a row of stored steps (services/stripe_steps.py). It can stop anywhere, and every later
call of `push_invoice` goes on from what Stripe has, never from what was last heard.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial

from django.conf import settings
from django.db import transaction

from billing.gateways.amount_limits import greatest_charge, smallest_charge
from billing.gateways.errors import GoneError, StateMovedError
from billing.gateways.requests import payload_digest
from billing.gateways.stripe import StripeGateway
from billing.models import Collection, Invoice, StripePush
from billing.selectors.locks import only_one
from billing.selectors.stripe import invoices_to_push, is_being_voided, pushes_to_retry
from billing.services import stripe_steps
from billing.services.payments import apply_stripe_state, follow_stripe
from billing.services.stripe_attempts import commit
from billing.services.stripe_customers import customer_at_stripe
from billing.services.stripe_lines import line_chunks
from billing.services.stripe_queue import (
    NeedsAttentionError,
    PushOutcome,
    PushReport,
    finish,
    one_attempt,
    work_through,
)
from billing.services.stripe_steps import PushJob
from config.errors import DomainError

PUSH_LOCKS = 1 << 56


@dataclass(frozen=True, slots=True)
class NotForStripe:
    """Why an invoice is not pushed, and what its push is called from then on."""

    reason: str
    status: StripePush.Status = StripePush.Status.SKIPPED


def push_invoice(*, invoice: Invoice, gateway: StripeGateway | None, at: datetime) -> PushOutcome:
    """Bring an issued invoice to Stripe, from wherever an earlier attempt stopped.

    Safe to call any number of times, from any number of processes: one works, the others leave.
    What stops it is written on the invoice's StripePush and never raised. Must not be called
    inside a transaction, because every step is committed before the next. Raises DomainError for
    a draft.
    """
    if invoice.is_draft:
        raise DomainError("A draft is not pushed: finalize it first.", code="not_issued")
    if gateway is None:
        return PushOutcome.NOT_CONFIGURED
    with only_one(PUSH_LOCKS + invoice.pk) as is_mine:
        if not is_mine:
            return PushOutcome.BUSY
        push, _ = StripePush.objects.get_or_create(invoice=invoice)
        if push.status == StripePush.Status.COMPLETED:
            return PushOutcome.COMPLETED
        if is_being_voided(invoice):
            return PushOutcome.WAITING
        return one_attempt(push, partial(advance, push, gateway, at), gateway=gateway, at=at)


def push_due_invoices(*, gateway: StripeGateway | None, at: datetime) -> PushReport:
    """Push every issued invoice that is not yet at Stripe, those that need attention included.

    One invoice's failure stops no other. A refused secret key stops the rest of this run, since
    no call could succeed; everything stays queued.
    """
    return push_each(invoices_to_push(), gateway, at)


def retry_pushes(*, gateway: StripeGateway | None, at: datetime) -> PushReport:
    """Take up the pushes whose time to be tried again has come, and those that never began."""
    return push_each(pushes_to_retry(at), gateway, at)


def push_each(
    invoices: Iterable[Invoice], gateway: StripeGateway | None, at: datetime
) -> PushReport:
    return work_through(
        invoices,
        lambda invoice: push_invoice(invoice=invoice, gateway=gateway, at=at),
        lambda invoice: StripePush.objects.get_or_create(invoice=invoice)[0],
        gateway=gateway,
        at=at,
    )


def advance(push: StripePush, gateway: StripeGateway, at: datetime) -> PushOutcome:
    """Run the steps, or leave an invoice that is not for Stripe."""
    invoice, refusal = begin_push(push, gateway, at)
    if refusal is not None:
        return leave(invoice, push, refusal, gateway, at)
    run_steps(prepare(invoice, push, gateway, at))
    return PushOutcome.COMPLETED


def begin_push(
    push: StripePush, gateway: StripeGateway, at: datetime
) -> tuple[Invoice, NotForStripe | None]:
    """Return the invoice as it is now, and why it is not for Stripe if it is not.

    That it is on its way is written down under the lock that voiding takes: from then on it is
    voided at Stripe too.
    """
    with transaction.atomic(durable=True):
        Invoice.objects.select_for_update().get(pk=push.invoice_id)
        invoice = Invoice.objects.select_related("customer").get(pk=push.invoice_id)
        refusal = why_not(invoice)
        if refusal is None and push.first_started_at is None:
            refuse_unsendable(invoice)
            push.first_started_at, push.environment = at, gateway.account
            push.save(update_fields=["first_started_at", "environment"])
    return invoice, refusal


def why_not(invoice: Invoice) -> NotForStripe | None:
    """Return why an invoice is not for Stripe, if it is not."""
    is_settled = invoice.status == Invoice.Status.PAID and not invoice.amount_paid
    if invoice.status != Invoice.Status.OPEN and not is_settled:
        return NotForStripe(f"The invoice is {invoice.status}: only an open one is pushed.")
    if invoice.total < 0:
        # Stripe would put the money on the customer's balance and take it off a later invoice.
        return NotForStripe("The total is negative: Stripe must not get it as an invoice.")
    if not invoice.lines.exists():
        return NotForStripe("The invoice has no lines, and Stripe takes none without.")
    least = smallest_charge(invoice.currency, settings.STRIPE_MINIMUM_AMOUNTS)
    if 0 < invoice.total < least:
        # Stripe would call it paid, and put the debt on the customer's balance.
        return NotForStripe(
            f"Stripe collects no less than {least} {invoice.currency}.",
            StripePush.Status.BELOW_MINIMUM,
        )
    return None


def leave(
    invoice: Invoice,
    push: StripePush,
    refusal: NotForStripe,
    gateway: StripeGateway,
    at: datetime,
) -> PushOutcome:
    """End a push that has no more to do: its invoice was paid or voided on the way, or never fit.

    Raises NeedsAttentionError for a draft that was left at Stripe.
    """
    if not push.stripe_invoice_id:
        return skip(push, refusal)
    refuse_other_account(push, gateway)
    try:
        state = gateway.retrieve_invoice(push.stripe_invoice_id)
    except GoneError:
        # A draft that somebody deleted, as they were asked to.
        stripe_steps.refuse_lost_customer(
            gateway, customer_at_stripe(invoice.customer, gateway, at)
        )
        push.stripe_invoice_id = ""
        commit(push, "stripe_invoice_id")
        return skip(push, refusal)
    if state.status == Invoice.Status.DRAFT:
        raise NeedsAttentionError(f"{refusal.reason} Delete draft {state.id} at Stripe.")
    with transaction.atomic(durable=True):
        finish(push, at)
    follow_stripe(invoice=invoice, stripe_invoice_id=state.id, gateway=gateway, at=at)
    return PushOutcome.COMPLETED


def refuse_unsendable(invoice: Invoice) -> None:
    """Refuse what could never end well, before anything is sent."""
    most = greatest_charge(invoice.currency)
    if invoice.total > most:
        raise NeedsAttentionError(
            f"Stripe collects at most {most:,} {invoice.currency} at once, and this is over "
            f"{invoice.total:,}. Have it paid in another way and mark it as paid, or void it and "
            "bill it in parts."
        )
    chunks = line_chunks(invoice)
    total = sum((line.amount + line.tax for chunk in chunks for line in chunk), start=Decimal(0))
    if total != invoice.total:
        raise NeedsAttentionError(
            f"The lines come to {total} {invoice.currency} and the invoice to {invoice.total}."
        )
    for chunk in chunks:
        # Refuses amounts and currencies that Stripe has no numbers for.
        payload_digest(chunk)


def prepare(invoice: Invoice, push: StripePush, gateway: StripeGateway, at: datetime) -> PushJob:
    refuse_other_account(push, gateway)
    chunks = line_chunks(invoice)
    return PushJob(invoice=invoice, push=push, gateway=gateway, at=at, chunks=chunks)


def refuse_other_account(push: StripePush, gateway: StripeGateway) -> None:
    if push.environment != gateway.account:
        raise NeedsAttentionError(
            f"This push began as {push.environment} and Stripe is now asked as "
            f"{gateway.account}. Go back to the key and the STRIPE_ENVIRONMENT of then."
        )


def run_steps(job: PushJob) -> None:
    customer_id = customer_at_stripe(job.invoice.customer, job.gateway, job.at)
    try:
        from_draft_to_open(job, customer_id)
    except GoneError:
        stripe_steps.restart(job, customer_id)
        from_draft_to_open(job, customer_id)
    except StateMovedError:
        # Somebody finalized it in between: what it has become is looked at.
        from_draft_to_open(job, customer_id)
    state = job.gateway.retrieve_invoice(job.push.stripe_invoice_id)
    if state.status != "void":
        stripe_steps.refuse_other_totals(job, state)
    if state.status == "open":
        stripe_steps.deliver(job)
        if job.push.collection_method == Collection.CHARGE_AUTOMATICALLY:
            state = job.gateway.retrieve_invoice(job.push.stripe_invoice_id)
    payments = job.gateway.payments_of(state)
    with transaction.atomic(durable=True):
        finish(job.push, job.at)
        is_applied = apply_stripe_state(
            invoice=job.invoice, state=state, payments=payments, at=job.at
        )
    if not is_applied:
        follow_stripe(
            invoice=job.invoice, stripe_invoice_id=state.id, gateway=job.gateway, at=job.at
        )


def from_draft_to_open(job: PushJob, customer_id: str) -> None:
    """Do what is left until the invoice is final. Raises GoneError if it was deleted there."""
    stripe_steps.ensure_draft(job, customer_id)
    state = job.gateway.retrieve_invoice(job.push.stripe_invoice_id)
    if state.status == "draft":
        stripe_steps.ensure_lines(job)
        stripe_steps.verify(job)
        stripe_steps.finalize(job)
    if job.step("finalize").completed_at is None:
        # Not known to be what was verified: perhaps somebody else finalized other lines.
        stripe_steps.accept_final(job)


def skip(push: StripePush, refusal: NotForStripe) -> PushOutcome:
    push.status, push.retry_at = refusal.status, None
    push.attention, push.last_error = "", refusal.reason
    commit(push, "status", "retry_at", "attention", "last_error")
    return PushOutcome.SKIPPED
