"""The queue of what Stripe is asked to do: one attempt, how it ended, and when it is tried again.

A refused secret key halts everything at once, because no call can succeed: one alert goes out,
nothing is lost, and nothing is asked until the key is another one or an hour has passed.
"""

import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from django.db import transaction
from django.db.models import Q

from billing.gateways.errors import (
    BusyError,
    CredentialsError,
    OutcomeUnknownError,
    StripeGatewayError,
)
from billing.gateways.stripe import StripeGateway
from billing.models import StripeOperation, StripePush, StripeQueue
from billing.services.stripe_attempts import commit, retry_delay

logger = logging.getLogger(__name__)

NOT_CONFIGURED = "STRIPE_SECRET_KEY is not set, so no invoice was pushed to Stripe."
# Work that stopped together is not tried again in the same second.
RETRY_JITTER_SECONDS = 20
# A process that works for longer than this is taken for dead, and its work is taken up again.
LEASE = timedelta(minutes=10)
PROBE_AFTER = timedelta(hours=1)
# A task that runs for longer is killed; what is left by then is due to the next one.
LONGEST = timedelta(minutes=45)
WAITING_FIELDS = ("status", "retry_at", "attempts", "attention", "last_error", "request_id")
FINISHED_FIELDS = (*WAITING_FIELDS, "completed_at")

type Work = StripePush | StripeOperation


class NeedsAttentionError(Exception):
    """Something only a person can decide; the message says what they are looking at."""


class PushOutcome(StrEnum):
    """How work for Stripe ended for now."""

    COMPLETED = "completed"
    WAITING = "waiting"
    ATTENTION = "attention"
    SKIPPED = "skipped"
    HALTED = "halted"
    BUSY = "busy"
    NOT_CONFIGURED = "not_configured"


STOPPED = frozenset({PushOutcome.WAITING, PushOutcome.ATTENTION, PushOutcome.HALTED})


@dataclass(slots=True)
class PushReport:
    """What a run over much work did; `failures` has one sentence for each that stopped."""

    counts: Counter[PushOutcome] = field(default_factory=Counter)
    failures: list[dict[str, str]] = field(default_factory=list)
    halted: str = ""

    @property
    def pushed(self) -> int:
        return self.counts[PushOutcome.COMPLETED]


def work_through[W](
    items: Iterable[W],
    work: Callable[[W], PushOutcome],
    row_of: Callable[[W], Work],
    *,
    gateway: StripeGateway | None,
    at: datetime,
) -> PushReport:
    """Do `work` for each item; an unforeseen error is recorded on its row and stops no other.

    A refused secret key stops the rest of the run, and so does its length; everything stays queued.
    """
    report = PushReport()
    ends = time.monotonic_ns() + LONGEST // timedelta(microseconds=1) * 1000
    if gateway is None:
        report.halted = NOT_CONFIGURED
        return report
    for item in items:
        if time.monotonic_ns() > ends:
            break
        try:
            outcome = work(item)
        except Exception as error:
            logger.exception("Work for Stripe failed: %s", item)
            stop(row_of(item), at, f"{type(error).__name__}: {error}")
            outcome = PushOutcome.WAITING
        report.counts[outcome] += 1
        if outcome in STOPPED:
            report.failures.append(failure(row_of(item)))
        if outcome is PushOutcome.HALTED:
            report.halted = halt_of(gateway).reason
            break
    return report


def failure(row: Work) -> dict[str, str]:
    return {"invoice": str(row.invoice), "error": row.attention or row.last_error}


def one_attempt(
    row: Work, work: Callable[[], PushOutcome], *, gateway: StripeGateway, at: datetime
) -> PushOutcome:
    """Do `work`, and write on `row` what stopped it. Raises nothing of Stripe's."""
    if is_halted(gateway, at):
        wait_for_key(row, halt_of(gateway), at)
        return PushOutcome.HALTED
    lease(row, at)
    try:
        outcome = work()
    except CredentialsError as error:
        halt(gateway, error, at)
        stop(row, at, error.message, error.request_id)
        return PushOutcome.HALTED
    except (OutcomeUnknownError, BusyError) as error:
        stop(row, at, error.message, error.request_id)
        return PushOutcome.WAITING
    except StripeGatewayError as error:
        return hold(row, error.message, error.request_id)
    except NeedsAttentionError as error:
        return hold(row, str(error))
    resume(gateway)
    return outcome


def lease(row: Work, at: datetime) -> None:
    """Say until when this process may be at it: one that is killed leaves work to be taken up."""
    if row.status == row.Status.PENDING:
        row.retry_at = at + LEASE
        commit(row, "retry_at")


def stop(row: Work, at: datetime, error: str, request_id: str = "") -> None:
    """Leave work for a later attempt."""
    jitter = timedelta(seconds=random.randint(0, RETRY_JITTER_SECONDS))  # noqa: S311
    row.status = row.Status.PENDING
    row.retry_at = at + retry_delay(row.attempts) + jitter
    row.attempts += 1
    row.attention, row.last_error, row.request_id = "", error, request_id
    commit(row, *WAITING_FIELDS)


def wait_for_key(row: Work, queue: StripeQueue, at: datetime) -> None:
    """Leave work that was not even tried; it stays due, so that it goes on with the halt."""
    if row.status == row.Status.PENDING:
        row.retry_at, row.last_error, row.request_id = at, queue.reason, queue.request_id
        commit(row, "retry_at", "last_error", "request_id")


def hold(row: Work, attention: str, request_id: str = "") -> PushOutcome:
    """Leave work for a person. The nightly run tries it again too: reading first is safe."""
    row.status, row.retry_at = row.Status.ATTENTION, None
    row.attention, row.last_error, row.request_id = attention, "", request_id
    commit(row, "status", "retry_at", "attention", "last_error", "request_id")
    return PushOutcome.ATTENTION


def finish(row: Work, at: datetime) -> None:
    """Mark work as done, in the transaction of the caller."""
    row.status, row.completed_at = row.Status.COMPLETED, at
    row.attention = row.last_error = row.request_id = ""
    row.attempts, row.retry_at = 0, None
    row.save(update_fields=FINISHED_FIELDS)


def halt_of(gateway: StripeGateway) -> StripeQueue:
    return StripeQueue.objects.get_or_create(account=gateway.account)[0]


def is_halted(gateway: StripeGateway, at: datetime) -> bool:
    """Return whether the key is known to be refused and it is too early to ask again.

    Of several processes that come by when it is time, one asks.
    """
    halted = StripeQueue.objects.filter(
        account=gateway.account, key_digest=gateway.key_digest, halted_at__isnull=False
    )
    if not halted.exists():
        return False
    with transaction.atomic(durable=True):
        probes = halted.filter(Q(probe_at__lte=at) | Q(probe_at__gt=at + PROBE_AFTER))
        return not probes.update(probe_at=at + PROBE_AFTER)


def halt(gateway: StripeGateway, error: CredentialsError, at: datetime) -> None:
    """Halt all calls under this key, and say so once."""
    with transaction.atomic(durable=True):
        StripeQueue.objects.get_or_create(account=gateway.account)
        queue = StripeQueue.objects.select_for_update().get(account=gateway.account)
        is_new = queue.halted_at is None or queue.key_digest != gateway.key_digest
        queue.halted_at = at if is_new else queue.halted_at
        queue.reason, queue.request_id = error.message, error.request_id
        queue.key_digest, queue.probe_at = gateway.key_digest, at + PROBE_AFTER
        queue.save()
    if is_new:
        logger.error("Stripe refuses the secret key, everything is halted: %s", error.message)


def resume(gateway: StripeGateway) -> None:
    """End a halt: Stripe has just answered."""
    with transaction.atomic(durable=True):
        ended = StripeQueue.objects.filter(account=gateway.account, halted_at__isnull=False)
        if ended.update(halted_at=None, probe_at=None, reason="", request_id=""):
            logger.warning("Stripe takes the secret key again.")


@transaction.atomic
def try_key_again(*, queue: StripeQueue, at: datetime) -> None:
    """Have the next call find out whether the key works, without waiting for its hour."""
    queue.probe_at = at
    queue.save(update_fields=["probe_at"])
