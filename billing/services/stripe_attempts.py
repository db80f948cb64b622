"""The bookkeeping that makes a call to Stripe safe to repeat.

Before a call is made, what it is called by (its key), when, and what it says are committed. A key
is good for a day at Stripe, and it also repeats a saved failure; so after 23 hours, or three
failures, or when the request is no longer the same, it is not sent again. Then the object is
looked for, and only when it is not there does the call get a new generation, and so a new key.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from django.db import models, transaction

from billing.gateways.errors import KeyReusedError, RefusedError, ServerFailureError
from billing.models import StripeCustomer, StripeOperation, StripePushStep

KEY_LIFE = timedelta(hours=23)
MAX_FAILURES = 3
# What waits for Stripe is tried again after this long, and then hourly.
RETRY_MINUTES = (1, 5, 15, 60)

type Attempted = StripePushStep | StripeCustomer | StripeOperation


def retry_delay(attempts: int) -> timedelta:
    """Return how long to wait after this many attempts that came to nothing."""
    return timedelta(minutes=RETRY_MINUTES[min(attempts, len(RETRY_MINUTES) - 1)])


def commit(row: models.Model, *fields: str) -> None:
    """Save these fields and commit, whatever comes next. Never call it inside a transaction."""
    with transaction.atomic(durable=True):
        row.save(update_fields=fields)


def is_fresh(row: Attempted) -> bool:
    """Return whether the call was never made, under any key."""
    return row.started_at is None and row.generation == 1


def is_key_usable(row: Attempted, *, at: datetime, digest: str = "") -> bool:
    """Return whether sending the request again under its key is a repetition, at Stripe too.

    `digest` is that of the request, where requests under one name can differ.
    """
    return (
        row.started_at is not None
        and abs(at - row.started_at) < KEY_LIFE
        and row.failures < MAX_FAILURES
        and row.payload_digest == digest
    )


def renew(row: Attempted) -> None:
    """Give the call a new key. Only once it is proven that the old one left nothing behind."""
    if row.started_at is None:
        return
    row.generation += 1
    row.started_at = None
    row.failures = 0
    row.payload_digest = ""
    commit(row, "generation", "started_at", "failures", "payload_digest")


def begin(row: Attempted, *, at: datetime, digest: str = "") -> None:
    """Write down that the request is about to be sent."""
    if row.started_at is None:
        row.started_at = at
        row.payload_digest = digest
        commit(row, "started_at", "payload_digest")


def attempt[T](row: Attempted, request: Callable[[], T]) -> T:
    """Make the call and count its failures.

    A refusal executed nothing, so what a person puts right is sent under a new key; except that a
    key refused for having carried another request is kept for them to look at.
    """
    try:
        return request()
    except ServerFailureError:
        row.failures += 1
        commit(row, "failures")
        raise
    except KeyReusedError:
        raise
    except RefusedError:
        renew(row)
        raise
