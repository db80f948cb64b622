"""Pushing issued invoices to Stripe: exactly one right invoice there for each of ours.

A push is a row of stored steps (services/stripe_steps.py). It can stop anywhere, and every later
call of `push_invoice` goes on from what Stripe has, never from what was last heard.
"""

import logging
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from django.db import transaction

from billing.gateways.errors import (
    BusyError,
    CredentialsError,
    GoneError,
    OutcomeUnknownError,
    StripeGatewayError,
)
from billing.gateways.requests import payload_digest
from billing.gateways.stripe import StripeGateway
from billing.models import Invoice, StripePush
from billing.selectors.locks import only_one
from billing.selectors.stripe import invoices_to_push, pushes_to_retry
from billing.services import stripe_steps
from billing.services.payments import apply_stripe_state, follow_stripe
from billing.services.stripe_attempts import commit, retry_delay
from billing.services.stripe_lines import line_chunks
from billing.services.stripe_steps import NeedsAttentionError, PushJob
from config.errors import DomainError

logger = logging.getLogger(__name__)

PUSH_LOCKS = 1 << 56
NOT_CONFIGURED = "STRIPE_SECRET_KEY is not set, so no invoice was pushed to Stripe."
# Pushes that stopped together are not tried again in the same second.
RETRY_JITTER_SECONDS = 20
FINISHED = (
    "status",
    "completed_at",
    "attention",
    "last_error",
    "request_id",
    "attempts",
    "retry_at",
)


class PushOutcome(StrEnum):
    """How a push ended for now."""

    COMPLETED = "completed"
    WAITING = "waiting"
    ATTENTION = "attention"
    SKIPPED = "skipped"
    HALTED = "halted"
    BUSY = "busy"
    NOT_CONFIGURED = "not_configured"


@dataclass(slots=True)
class PushReport:
    """What a run over many invoices did; `failures` has one sentence for each that stopped."""

    counts: Counter[PushOutcome] = field(default_factory=Counter)
    failures: list[dict[str, str]] = field(default_factory=list)
    halted: str = ""

    @property
    def pushed(self) -> int:
        return self.counts[PushOutcome.COMPLETED]


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
        invoice = Invoice.objects.select_related("customer").get(pk=invoice.pk)
        return advance(invoice, push, gateway, at)


def push_due_invoices(*, gateway: StripeGateway | None, at: datetime) -> PushReport:
    """Push every issued invoice that is not yet at Stripe, those that need attention included.

    One invoice's failure stops no other. A refused secret key stops the rest of this run, since
    no call could succeed; everything stays queued.
    """
    return push_each(invoices_to_push(), gateway, at)


def retry_pushes(*, gateway: StripeGateway | None, at: datetime) -> PushReport:
    """Take up the pushes whose time to be tried again has come."""
    return push_each(pushes_to_retry(at), gateway, at)


def push_each(
    invoices: Iterable[Invoice], gateway: StripeGateway | None, at: datetime
) -> PushReport:
    report = PushReport()
    if gateway is None:
        report.halted = NOT_CONFIGURED
        return report
    for invoice in invoices:
        outcome = push_guarded(invoice, gateway, at)
        report.counts[outcome] += 1
        if outcome in {PushOutcome.WAITING, PushOutcome.ATTENTION, PushOutcome.HALTED}:
            report.failures.append(failure(invoice))
        if outcome is PushOutcome.HALTED:
            report.halted = report.failures[-1]["error"]
            break
    return report


def push_guarded(invoice: Invoice, gateway: StripeGateway, at: datetime) -> PushOutcome:
    """Push one of many: an unforeseen error is recorded on it and stops no other."""
    try:
        return push_invoice(invoice=invoice, gateway=gateway, at=at)
    except Exception as error:
        logger.exception("Pushing invoice %s failed", invoice.pk)
        push, _ = StripePush.objects.get_or_create(invoice=invoice)
        stop(push, at, f"{type(error).__name__}: {error}")
        return PushOutcome.WAITING


def failure(invoice: Invoice) -> dict[str, str]:
    push = StripePush.objects.get(invoice=invoice)
    return {"invoice": str(invoice), "error": push.attention or push.last_error}


def advance(
    invoice: Invoice, push: StripePush, gateway: StripeGateway, at: datetime
) -> PushOutcome:
    """Run the steps and write down how that ended."""
    try:
        if reason := reason_to_skip(invoice):
            return leave(invoice, push, reason, gateway, at)
        job = prepare(invoice, push, gateway, at)
        run_steps(job)
    except CredentialsError as error:
        stop(push, at, error.message, error.request_id)
        logger.error("Stripe refuses the secret key, pushing is halted: %s", error.message)
        return PushOutcome.HALTED
    except (OutcomeUnknownError, BusyError) as error:
        stop(push, at, error.message, error.request_id)
        return PushOutcome.WAITING
    except StripeGatewayError as error:
        return hold(push, error.message, error.request_id)
    except NeedsAttentionError as error:
        return hold(push, str(error))
    return PushOutcome.COMPLETED


def reason_to_skip(invoice: Invoice) -> str:
    """Return why an invoice is not for Stripe, or nothing."""
    is_settled = invoice.status == Invoice.Status.PAID and not invoice.total
    if invoice.status != Invoice.Status.OPEN and not is_settled:
        return f"The invoice is {invoice.status}: only an open one is pushed."
    if invoice.total < 0:
        # Stripe would put the money on the customer's balance and take it off a later invoice.
        return "The total is negative: Stripe must not get it as an invoice."
    if not invoice.lines.exists():
        return "The invoice has no lines, and Stripe takes none without."
    return ""


def leave(
    invoice: Invoice, push: StripePush, reason: str, gateway: StripeGateway, at: datetime
) -> PushOutcome:
    """End a push that has no more to do: its invoice was paid or voided on the way, or never fit.

    Raises NeedsAttentionError for a draft that was left at Stripe.
    """
    if not push.stripe_invoice_id:
        return skip(push, reason)
    state = gateway.retrieve_invoice(push.stripe_invoice_id)
    if state.status == Invoice.Status.DRAFT:
        raise NeedsAttentionError(f"{reason} Delete draft {state.id} at Stripe.")
    with transaction.atomic(durable=True):
        finish(push, at)
    follow_stripe(invoice=invoice, stripe_invoice_id=state.id, gateway=gateway, at=at)
    return PushOutcome.COMPLETED


def prepare(invoice: Invoice, push: StripePush, gateway: StripeGateway, at: datetime) -> PushJob:
    """Return the job, after refusing what could never end well before anything is sent."""
    chunks = line_chunks(invoice)
    total = sum((line.amount for chunk in chunks for line in chunk), start=Decimal(0))
    if total != invoice.total:
        raise NeedsAttentionError(
            f"The lines come to {total} {invoice.currency} and the invoice to {invoice.total}."
        )
    for chunk in chunks:
        # Refuses amounts and currencies that Stripe has no numbers for.
        payload_digest(chunk)
    if push.first_started_at is None:
        push.first_started_at, push.environment = at, gateway.account
        commit(push, "first_started_at", "environment")
    if push.environment != gateway.account:
        raise NeedsAttentionError(
            f"This push began as {push.environment} and Stripe is now asked as "
            f"{gateway.account}. Go back to the key and the STRIPE_ENVIRONMENT of then."
        )
    return PushJob(invoice=invoice, push=push, gateway=gateway, at=at, chunks=chunks)


def run_steps(job: PushJob) -> None:
    customer_id = stripe_steps.ensure_customer(job)
    try:
        from_draft_to_open(job, customer_id)
    except GoneError:
        stripe_steps.restart(job, customer_id)
        from_draft_to_open(job, customer_id)
    state = job.gateway.retrieve_invoice(job.push.stripe_invoice_id)
    stripe_steps.refuse_other_totals(job, state)
    if state.status == "open":
        stripe_steps.deliver(job)
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
    if job.gateway.retrieve_invoice(job.push.stripe_invoice_id).status == "draft":
        stripe_steps.ensure_lines(job)
        stripe_steps.verify(job)
        stripe_steps.finalize(job)


def finish(push: StripePush, at: datetime) -> None:
    push.status, push.completed_at = StripePush.Status.COMPLETED, at
    push.attention = push.last_error = push.request_id = ""
    push.attempts, push.retry_at = 0, None
    push.save(update_fields=FINISHED)


def stop(push: StripePush, at: datetime, error: str, request_id: str = "") -> None:
    """Leave a push for a later attempt."""
    jitter = timedelta(seconds=random.randint(0, RETRY_JITTER_SECONDS))  # noqa: S311
    push.status = StripePush.Status.PENDING
    push.retry_at = at + retry_delay(push.attempts) + jitter
    push.attempts += 1
    push.attention, push.last_error, push.request_id = "", error, request_id
    commit(push, "status", "retry_at", "attempts", "attention", "last_error", "request_id")


def hold(push: StripePush, attention: str, request_id: str = "") -> PushOutcome:
    """Leave a push for a person. The nightly run tries it again too: reading first is safe."""
    push.status, push.retry_at = StripePush.Status.ATTENTION, None
    push.attention, push.last_error, push.request_id = attention, "", request_id
    commit(push, "status", "retry_at", "attention", "last_error", "request_id")
    return PushOutcome.ATTENTION


def skip(push: StripePush, reason: str) -> PushOutcome:
    push.status, push.retry_at = StripePush.Status.SKIPPED, None
    push.attention, push.last_error = "", reason
    commit(push, "status", "retry_at", "attention", "last_error")
    return PushOutcome.SKIPPED
