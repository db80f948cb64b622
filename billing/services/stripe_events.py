"""What Stripe tells: stored once, answered at once, handled by reading the object again.

An event says that something happened, in no order and perhaps twice. So its content is kept for
people to read, and what it is about is fetched anew and applied.
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import DataError, transaction

from billing.gateways.errors import CredentialsError, StripeGatewayError, WebhookRefusedError
from billing.gateways.stripe import API_VERSION, StripeGateway
from billing.gateways.values import WebhookMessage
from billing.gateways.webhooks import verified_webhook
from billing.models import StripeEvent
from billing.selectors.stripe import events_to_handle
from billing.services.stripe_attempts import retry_delay
from billing.services.stripe_news import NotYetError, outcome_of
from billing.services.stripe_queue import halt, halt_of, is_halted
from config.queue import enqueue_on_commit, has_room

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
MAX_TYPE_LENGTH = 100
EVENTS_KEPT = timedelta(days=30)


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
    if event.handled_at is not None:
        return
    if has_room():
        enqueue_on_commit("billing.tasks.handle_stripe_event", event.pk)
    else:
        event.retry_at = at
        event.save(update_fields=["retry_at"])


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
    if gateway is None:
        wait(event, "STRIPE_SECRET_KEY is not set, so nothing can be asked.", at)
        return
    if is_halted(gateway, at):
        wait(event, halt_of(gateway).reason, at)
        return
    try:
        outcome = outcome_of(event, gateway, at)
    except CredentialsError as error:
        halt(gateway, error, at)
        wait(event, error.message, at)
        return
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


def recover_missed_events(*, gateway: StripeGateway, at: datetime) -> int:
    """Store and handle events that never arrived here; return how many there were.

    Stripe keeps them for 30 days. Raises the errors of the gateway when they cannot be listed.
    """
    missed = gateway.missed_events(SUBSCRIBED_EVENTS, since=at - EVENTS_KEPT)
    known = set(
        StripeEvent.objects.filter(event_id__in=[each.event_id for each in missed]).values_list(
            "event_id", flat=True
        )
    )
    fresh = [stored(message, at) for message in missed if message.event_id not in known]
    StripeEvent.objects.bulk_create(fresh, ignore_conflicts=True)
    events = StripeEvent.objects.filter(
        event_id__in=[event.event_id for event in fresh], handled_at=None
    )
    for event in events.order_by("created_at", "pk"):
        handle_stripe_event(event=event, gateway=gateway, at=at)
    return len(fresh)


def wait(event: StripeEvent, reason: str, at: datetime) -> None:
    event.outcome, event.retry_at = reason, at + retry_delay(event.attempts)
    event.attempts += 1
    event.save(update_fields=["attempts", "outcome", "retry_at"])
