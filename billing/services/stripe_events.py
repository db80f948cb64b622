"""What Stripe tells: stored once, answered at once, handled by reading the object again.

An event says that something happened, in no order and perhaps twice. So its content is kept for
people to read, and what it is about is fetched anew and applied.
"""

import logging
from collections.abc import Sequence
from datetime import datetime

from django.db import DataError, transaction

from billing.gateways.errors import GoneError, StripeGatewayError, WebhookRefusedError
from billing.gateways.stripe import API_VERSION, StripeGateway
from billing.gateways.values import InvoiceState, WebhookMessage
from billing.gateways.webhooks import verified_webhook
from billing.models import Invoice, StripeEvent, StripePush
from billing.selectors.stripe import events_to_handle, push_of
from billing.services.payments import follow_stripe
from billing.services.stripe_attempts import retry_delay
from config.queue import enqueue_on_commit

logger = logging.getLogger(__name__)

# What the endpoint subscribes to. Not invoice.created: a slow answer to it delays Stripe.
SUBSCRIBED_EVENTS = (
    "invoice.finalized",
    "invoice.finalization_failed",
    "invoice.sent",
    "invoice.paid",
    "invoice.payment_failed",
    "invoice.payment_action_required",
    "invoice.overdue",
    "invoice.overpaid",
    "invoice.voided",
    "invoice.marked_uncollectible",
    "invoice.updated",
    "invoice.deleted",
    "invoice_payment.paid",
    "credit_note.created",
    "credit_note.updated",
    "credit_note.voided",
    "customer.updated",
    "customer.deleted",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.closed",
)
# An invoice that is ours by its metadata, but whose id is not stored yet, is waited for.
MAX_WAITS = 5
MAX_TYPE_LENGTH = 100


class NotYetError(Exception):
    """The event is about an invoice whose push has not stored its id; the message says which."""


@transaction.atomic
def receive_stripe_event(
    *, body: bytes, signature: str, secrets: Sequence[str], at: datetime
) -> None:
    """Store a webhook and queue its handling; the same event again changes nothing.

    Raises WebhookRefusedError for a body that none of `secrets` signed around `at`.
    """
    message = verified_webhook(body, signature, secrets, at=at)
    try:
        StripeEvent.objects.bulk_create([stored(message, at)], ignore_conflicts=True)
    except (DataError, ValueError) as error:
        raise WebhookRefusedError("The body is signed but cannot be stored.") from error
    event = StripeEvent.objects.get(event_id=message.event_id)
    if event.handled_at is None:
        enqueue_on_commit("billing.tasks.handle_stripe_event", event.pk)


def stored(message: WebhookMessage, at: datetime) -> StripeEvent:
    if message.api_version != API_VERSION:
        logger.warning(
            "The webhook endpoint at Stripe sends API version %s; recreate it with %s",
            message.api_version,
            API_VERSION,
        )
    return StripeEvent(
        event_id=message.event_id,
        account=message.account[:100],
        livemode=message.livemode,
        api_version=message.api_version[:50],
        type=message.type[:MAX_TYPE_LENGTH],
        object_id=message.object_id[:255],
        created_at=message.created_at,
        received_at=at,
        payload=message.payload,
    )


def handle_stripe_event(*, event: StripeEvent, gateway: StripeGateway | None, at: datetime) -> None:
    """Act on a stored event: read what it is about from Stripe and apply that.

    Safe to run twice and at once. Without an answer it stays queued; `outcome` says what was done.
    """
    if event.handled_at is not None:
        return
    try:
        if gateway is None:
            raise NotYetError("STRIPE_SECRET_KEY is not set, so nothing can be asked.")
        outcome = outcome_of(event, gateway, at)
    except (StripeGatewayError, NotYetError) as error:
        wait(event, str(error), at)
        return
    event.handled_at, event.outcome, event.retry_at = at, outcome, None
    event.save(update_fields=["handled_at", "outcome", "retry_at"])


def handle_waiting_events(*, gateway: StripeGateway | None, at: datetime) -> int:
    """Handle the events that wait for another try; return how many there were."""
    events = list(events_to_handle(at))
    for event in events:
        handle_stripe_event(event=event, gateway=gateway, at=at)
    return len(events)


def wait(event: StripeEvent, reason: str, at: datetime) -> None:
    event.outcome, event.retry_at = reason, at + retry_delay(event.attempts)
    event.attempts += 1
    event.save(update_fields=["attempts", "outcome", "retry_at"])


def outcome_of(event: StripeEvent, gateway: StripeGateway, at: datetime) -> str:
    """Do what an event asks for and return what that was."""
    if event.livemode != gateway.livemode:
        return "Ignored: it is of the other mode, live or test."
    if event.account:
        return f"Ignored: it is of another account, {event.account}."
    invoice_id = invoice_of(event)
    if not invoice_id:
        return "Recorded."
    push = push_of(invoice_id)
    try:
        if push is None:
            return refuse_unknown(event, gateway.retrieve_invoice(invoice_id), gateway)
        state = follow_stripe(
            invoice=push.invoice, stripe_invoice_id=invoice_id, gateway=gateway, at=at
        )
    except GoneError:
        return deleted(push, invoice_id)
    return f"Applied: the invoice is {state.status} at Stripe."


def invoice_of(event: StripeEvent) -> str:
    """Return the id of the invoice that an event is about, if it is about one."""
    kind = event.type.partition(".")[0]
    if kind == "invoice":
        return event.object_id
    if kind == "invoice_payment":
        return str(event.payload["data"]["object"].get("invoice") or "")
    return ""


def deleted(push: StripePush | None, invoice_id: str) -> str:
    """Note that an invoice is gone; a deleted draft is made again by its push."""
    if push is None:
        return f"Ignored: {invoice_id} is not in this Stripe account."
    if push.status == StripePush.Status.COMPLETED:
        push.attention = f"Invoice {invoice_id} was deleted at Stripe, or is another account's."
        push.save(update_fields=["attention"])
    return f"{invoice_id} is gone at Stripe."


def refuse_unknown(event: StripeEvent, state: InvoiceState, gateway: StripeGateway) -> str:
    """Return why an invoice that no push made is left alone. Raises NotYetError to wait for one."""
    if state.metadata.get("env") != gateway.account:
        return "Ignored: the invoice is not of this installation."
    number = state.metadata.get("invoice", "")
    invoices = Invoice.objects.filter(pk=int(number) if number.isdecimal() else 0)
    if invoices and event.attempts < MAX_WAITS:
        raise NotYetError(f"Invoice {number} here does not know {state.id} yet.")
    StripePush.objects.filter(invoice__in=invoices).update(
        attention=f"Stripe also has {state.id}, which says it is this invoice."
    )
    return f"Needs attention: {state.id} says it is invoice {number}, which does not know it."
