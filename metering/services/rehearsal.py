"""What a change would do to usage and to whatever is made of it: done in earnest, then undone.

The change goes the very way that it would go for good, so what is shown is what will be.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import OperationalError, connection, transaction
from psycopg.errors import SerializationFailure

from config.errors import DomainError
from customers.models import Customer
from metering.models import BackfillSession
from metering.selectors.customers import ids_by_key
from metering.selectors.event_versions import latest_version
from metering.selectors.events import event_key
from metering.services import event_rules as rules
from metering.services.backfill import COUNTS, EVERYBODY, ingest_part, staged_documents
from metering.services.corrections import correct_event

INSTANT = timedelta.resolution


@dataclass(frozen=True, slots=True)
class Touched:
    """A stretch of a customer's time in which a change adds, moves or removes events."""

    customer: Customer
    start: datetime
    end: datetime
    event_types: frozenset[str]


@dataclass(frozen=True, slots=True)
class Rehearsal[T]:
    """What was to be seen before a change and after it, and what the change itself returned."""

    touched: Sequence[Touched]
    before: T
    after: T
    outcome: Any


class UndoneError(Exception):
    """Takes a rehearsed change back."""


type Look[T] = Callable[[Sequence[Touched]], T]


def rehearse[T](
    *, touched: Sequence[Touched], change: Callable[[], object], look: Look[T]
) -> Rehearsal[T]:
    """Look, make a change, look again and take the change back.

    Both looks are at one moment, so what others do meanwhile is not mistaken for the change's
    doing. Raises what the change raises, and DomainError with the code `busy` when somebody else
    is at the same events.
    """
    seen: list[T] = []
    outcome: object = None
    is_outermost = not connection.in_atomic_block
    try:
        with suppress(UndoneError), transaction.atomic():
            if is_outermost:
                use_one_snapshot()
            seen.append(look(touched))
            outcome = change()
            seen.append(look(touched))
            raise UndoneError
    except OperationalError as error:
        if not isinstance(error.__cause__, SerializationFailure):
            raise
        message = "Somebody else is changing the same events just now; look again in a moment."
        raise DomainError(message, code="busy") from error
    before, after = seen
    return Rehearsal(touched, before, after, outcome)


def use_one_snapshot() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")


def rehearse_correction[T](*, look: Look[T], **asked: Any) -> Rehearsal[T]:
    """Return what `correct_event` would do, given the same arguments."""
    touched = touched_by_correction(asked["customer"], asked["event_id"], asked.get("timestamp"))
    return rehearse(touched=touched, change=lambda: correct_event(**asked), look=look)


def touched_by_correction(
    customer: Customer, event_id: str, timestamp: datetime | None = None
) -> list[Touched]:
    """Return where a correction reaches; nothing for an event that cannot be corrected."""
    key = event_key(customer, event_id)
    version = None if key is None else latest_version(customer, key)
    if version is None:
        return []
    instants = {version.timestamp}
    # What lies out of range is refused by the correction itself.
    if timestamp is not None and rules.EARLIEST <= timestamp <= rules.LATEST:
        instants.add(timestamp)
    types = frozenset({version.type})
    return [Touched(customer, min(instants), max(instants) + INSTANT, types)]


def rehearse_session[T](*, session: BackfillSession, at: datetime, look: Look[T]) -> Rehearsal[T]:
    """Return what committing a backfill session would do."""
    parts = list(session.staged_parts.order_by("pk"))

    def commit() -> Counter[str]:
        outcome: Counter[str] = Counter()
        for part in parts:
            result = ingest_part(part, at)
            outcome.update({count: getattr(result, count) for count in COUNTS})
        return outcome

    return rehearse(touched=touched_by_session(session), change=commit, look=look)


def touched_by_session(session: BackfillSession) -> list[Touched]:
    """Return where the staged events of a session reach, customer by customer."""
    instants: dict[str, list[datetime]] = {}
    types: dict[str, set[str]] = {}
    for part in session.staged_parts.order_by("pk"):
        for event in staged_documents(part):
            if event.customer is not None and event.timestamp is not None:
                instants.setdefault(event.customer, []).append(event.timestamp)
                types.setdefault(event.customer, set()).add(event.type)
    customers = Customer.objects.filter(pk__in=ids_by_key(EVERYBODY, instants).values())
    return [
        Touched(
            customer,
            min(instants[customer.key]),
            max(instants[customer.key]) + INSTANT,
            frozenset(types[customer.key]),
        )
        for customer in customers.order_by("key")
    ]
