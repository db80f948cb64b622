"""Backfill sessions: staging events, and committing or discarding them together.

Staged events count nowhere. A commit hands them to the ordinary intake part by part, each part in
the transaction that removes it from the session, so one that broke off is simply taken up again.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import cast

import msgspec
from django.db import transaction

from config.errors import DomainError
from config.queue import enqueue_on_commit
from config.validation import validate
from customers.principals import Principal
from metering.filters import is_storable
from metering.models import BackfillSession, IngestBatch, StagedEvents
from metering.services import event_rules as rules
from metering.services.decoding import EventDocument, Item, UnreadableEvent, decode_json
from metering.services.event_rules import Reason
from metering.services.ingest import IngestResult, ingest_events, preview_events
from metering.services.partitions import make_partitions

Status = BackfillSession.Status
# A preview tries out the whole session in one transaction.
MOST_STAGED = 200_000
MISSING_TIMESTAMP = Reason(
    "missing_timestamp",
    "Events of a backfill session say when the usage happened: give a timestamp.",
)
# What becomes of staged events; fields of a session and of an answer to events alike.
COUNTS = ("accepted", "duplicate", "conflict", "rejected")
EVERYBODY = Principal(customer_ids=None)

_encoder = msgspec.json.Encoder(decimal_format="number")


def open_session(
    *, name: str, principal: Principal, at: datetime, note: str = ""
) -> BackfillSession:
    """Open a session.

    Raises InvalidInputError for a name that no session may have and DomainError for a taken one.
    """
    session = BackfillSession(
        name=name,
        note=note,
        created_at=at,
        opened_by_id=principal.user_id,
        api_key_id=principal.api_key_id,
    )
    validate(session)
    session.save()
    return session


def stage_for(
    name: str, *, items: Sequence[Item], principal: Principal, at: datetime
) -> IngestResult:
    """Stage events in the session of this name, opened now if there is none."""
    found = BackfillSession.objects.filter(name=name).first() if is_storable(name) else None
    session = found or open_session(name=name, principal=principal, at=at)
    return stage_events(session=session, items=items, principal=principal, at=at)


@transaction.atomic
def stage_events(
    *, session: BackfillSession, items: Sequence[Item], principal: Principal, at: datetime
) -> IngestResult:
    """Set events apart, and say what would become of each if they were committed now.

    Invalid events are not set apart. Raises DomainError when the session is no longer open, or
    would hold more than MOST_STAGED events.
    """
    locked = lock_session(session)
    refuse_unless_open(locked)
    items = with_timestamps(items)
    result = preview_events(items=items, principal=principal, at=at, is_backfill=True)
    wrong = {error.index for error in result.errors if error.reason is not rules.CONFLICT}
    kept = [item for index, item in enumerate(items) if index not in wrong]
    if locked.staged + len(kept) > MOST_STAGED:
        message = (
            f"A session holds at most {MOST_STAGED:,} events, and {locked.name} has "
            f"{locked.staged:,}; commit it and open another one."
        )
        raise DomainError(message, code="session_full")
    if kept:
        payload = _encoder.encode(kept).decode()
        StagedEvents.objects.create(session=locked, events=len(kept), payload=payload)
    locked.staged += len(kept)
    locked.refused += len(wrong)
    locked.save(update_fields=["staged", "refused"])
    return result


def with_timestamps(items: Sequence[Item]) -> list[Item]:
    """Refuse what says no timestamp: it would be another event at each preview."""
    return [
        UnreadableEvent(MISSING_TIMESTAMP, item.id, item)
        if isinstance(item, EventDocument) and item.timestamp is None
        else item
        for item in items
    ]


def staged_documents(part: StagedEvents) -> list[EventDocument]:
    """Return the events of a part, as they were sent."""
    return cast("list[EventDocument]", decode_json(part.payload.encode()))


@transaction.atomic
def begin_commit(*, session: BackfillSession, principal: Principal) -> BackfillSession:
    """Close a session for further events and have its events counted by a background task."""
    locked = lock_session(session)
    if locked.status != Status.COMMITTING:
        refuse_unless_open(locked)
    if not locked.staged:
        message = f"The session {locked.name} holds no events; load some, or discard it."
        raise DomainError(message, code="session_empty")
    locked.status = Status.COMMITTING
    locked.finished_by_id = principal.user_id
    locked.save(update_fields=["status", "finished_by"])
    enqueue_on_commit("metering.tasks.commit_backfill", locked.pk)
    return locked


def commit_session(*, session: BackfillSession, at: datetime) -> BackfillSession:
    """Count the events of a session whose commit was begun; again and again does no harm.

    Whoever was interrupted goes on where the last part was counted.
    """
    for part in session.staged_parts.order_by("pk"):
        days = {cast("datetime", event.timestamp).date() for event in staged_documents(part)}
        make_partitions(months=sorted({day.replace(day=1) for day in days}))
    while commit_part(session=session, at=at):
        pass
    session.refresh_from_db()
    return session


@transaction.atomic
def commit_part(*, session: BackfillSession, at: datetime) -> bool:
    """Count the next part of a session; False when none was left."""
    locked = lock_session(session)
    if locked.status != Status.COMMITTING:
        return False
    part = locked.staged_parts.order_by("pk").first()
    if part is None:
        locked.status = Status.COMMITTED
        locked.finished_at = at
        locked.save(update_fields=["status", "finished_at"])
        return False
    result = ingest_part(part, at)
    for count in COUNTS:
        setattr(locked, count, getattr(locked, count) + getattr(result, count))
    locked.save(update_fields=COUNTS)
    part.delete()
    return True


def ingest_part(part: StagedEvents, at: datetime) -> IngestResult:
    """Hand a part of a session to the intake."""
    return ingest_events(
        items=staged_documents(part),
        principal=EVERYBODY,
        source=IngestBatch.Source.BACKFILL,
        at=at,
        is_backfill=True,
    )


@transaction.atomic
def discard_session(*, session: BackfillSession, principal: Principal, at: datetime) -> None:
    """Drop the staged events of an open session; nothing of them was ever counted."""
    locked = lock_session(session)
    refuse_unless_open(locked)
    locked.staged_parts.all().delete()
    locked.status = Status.DISCARDED
    locked.finished_at = at
    locked.finished_by_id = principal.user_id
    locked.save(update_fields=["status", "finished_at", "finished_by"])


def lock_session(session: BackfillSession) -> BackfillSession:
    return BackfillSession.objects.select_for_update().get(pk=session.pk)


def refuse_unless_open(session: BackfillSession) -> None:
    if session.status != Status.OPEN:
        state = session.get_status_display().lower()
        message = f"The session {session.name} is {state}; open another one."
        raise DomainError(message, code="session_closed")


def unfinished_sessions() -> Iterator[BackfillSession]:
    """Yield the sessions whose commit was begun and not finished."""
    yield from BackfillSession.objects.filter(status=Status.COMMITTING).order_by("pk")
