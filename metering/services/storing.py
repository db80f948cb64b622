"""Events into the database: every key once, in the same transaction as its event.

Most batches hold nothing that is already there, so they are copied in at once. Only when a key
turns out to be taken is the batch rolled back and stored anew, its keys claimed with
INSERT ... ON CONFLICT, which tells the new ones from the others. Both ways go through the keys in
the same order, so that batches with events in common wait for each other and never deadlock.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from struct import Struct
from typing import Any, Protocol

from django.db import DataError, IntegrityError, connection, transaction
from psycopg.errors import CheckViolation, UniqueViolation

from metering.selectors.archive import archived_ranges
from metering.selectors.event_keys import content_digests
from metering.services.screening import EPOCH, StorableEvent
from metering.windows import Range

type Key = tuple[int, bytes]

# The binary form of COPY: https://www.postgresql.org/docs/current/sql-copy.html. Every value is
# preceded by its length, instants count microseconds from 2000 and jsonb text has a version in
# front. Nothing needs to be escaped.
COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_TRAILER = b"\xff\xff"
MICROSECONDS_TO_2000 = 946_684_800_000_000
JSONB_VERSION = b"\x01"
COPY_KEYS = """
    COPY metering_eventkey (customer_id, timestamp, digest, content_digest)
    FROM STDIN (FORMAT binary)
"""
COPY_EVENTS = """
    COPY metering_event (customer_id, timestamp, digest, batch_id, event_id, type, properties)
    FROM STDIN (FORMAT binary)
"""
CLAIM_KEYS = """
    INSERT INTO metering_eventkey (customer_id, timestamp, digest, content_digest)
    SELECT customer_id, timestamp, digest, content_digest
    FROM unnest(%s::bigint[], %s::timestamptz[], %s::uuid[], %s::uuid[])
         AS claimed (customer_id, timestamp, digest, content_digest)
    ORDER BY customer_id, digest
    ON CONFLICT DO NOTHING
    RETURNING customer_id, digest
"""
pack_key = Struct(">hiqiqi16si16s").pack
pack_event = Struct(">hiqiqi16siqi").pack
pack_length = Struct(">i").pack
pack_jsonb = Struct(">ic").pack


@dataclass(slots=True)
class Stored:
    """What became of events.

    `taken` maps the keys that other events hold to the digests of those events' content;
    `unstorable` are events that the database refused for what they carry, `archived` those that are
    new in a month whose events are archived.
    """

    accepted: Sequence[StorableEvent] = ()
    taken: dict[Key, bytes] = field(default_factory=dict)
    unstorable: list[StorableEvent] = field(default_factory=list)
    archived: list[StorableEvent] = field(default_factory=list)


class NotAllNewError(Exception):
    """Raised when events could not all be copied in at once: roll back and store them one by one."""


class Storing(Protocol):
    """A way to store events, sorted by key and none of them twice, within a transaction."""

    def __call__(self, *, events: Sequence[StorableEvent], batch_id: int) -> Stored: ...


def store_new(*, events: Sequence[StorableEvent], batch_id: int) -> Stored:
    """Store events that are all new.

    Raises NotAllNewError when one is not, or cannot be stored; the transaction is lost then.
    """
    try:
        copy_keys(events)
        copy_events(events, batch_id)
    except DataError as error:
        raise NotAllNewError from error
    except IntegrityError as error:
        if not isinstance(error.__cause__, UniqueViolation | CheckViolation):
            raise
        raise NotAllNewError from error
    return Stored(accepted=events)


def store_events(*, events: Sequence[StorableEvent], batch_id: int) -> Stored:
    """Store the events whose keys are free, and tell them from the others."""
    months = archived_ranges()
    try:
        with transaction.atomic():
            return store_unclaimed(events, batch_id, months)
    except DataError:
        return store_apart(events, batch_id)
    except IntegrityError as error:
        # A month was archived since they were looked up; its partition takes no events any more.
        if not isinstance(error.__cause__, CheckViolation) or months == archived_ranges():
            raise
        return store_events(events=events, batch_id=batch_id)


def store_unclaimed(
    events: Sequence[StorableEvent], batch_id: int, months: Sequence[Range]
) -> Stored:
    events, away = part_archived(events, months)
    claimed = claim_keys(events)
    accepted = [event for event in events if event.key in claimed]
    copy_events(accepted, batch_id)
    # A key that could not be claimed is committed by now: the claim waited for its transaction.
    unclaimed = [event.key for event in events if event.key not in claimed]
    taken = content_digests([*unclaimed, *(event.key for event in away)])
    return Stored(
        accepted=accepted,
        taken=taken,
        archived=[event for event in away if event.key not in taken],
    )


def part_archived(
    events: Sequence[StorableEvent], months: Sequence[Range]
) -> tuple[list[StorableEvent], list[StorableEvent]]:
    """Part the events from those of archived months."""
    if not months:
        return list(events), []
    here: list[StorableEvent] = []
    away: list[StorableEvent] = []
    for event in events:
        at = instant(event.microseconds)
        is_away = any(month.start <= at < month.end for month in months)
        (away if is_away else here).append(event)
    return here, away


def store_apart(events: Sequence[StorableEvent], batch_id: int) -> Stored:
    """Halve a batch that the database refused until the events at fault stand alone."""
    if len(events) == 1:
        return Stored(unstorable=list(events))
    middle = len(events) // 2
    first = store_events(events=events[:middle], batch_id=batch_id)
    second = store_events(events=events[middle:], batch_id=batch_id)
    return Stored(
        accepted=[*first.accepted, *second.accepted],
        taken=first.taken | second.taken,
        unstorable=first.unstorable + second.unstorable,
        archived=first.archived + second.archived,
    )


def claim_keys(events: Sequence[StorableEvent]) -> set[Key]:
    """Insert the keys that are free and return them."""
    columns: list[Any] = [
        [event.key[0] for event in events],
        [instant(event.microseconds) for event in events],
        [event.key[1].hex() for event in events],
        [event.content_digest.hex() for event in events],
    ]
    with connection.cursor() as cursor:
        cursor.execute(CLAIM_KEYS, columns)
        return {(customer_id, digest.bytes) for customer_id, digest in cursor.fetchall()}


def copy_keys(events: Iterable[StorableEvent]) -> None:
    copy_rows(COPY_KEYS, [key_row(event) for event in events])


def copy_events(events: Iterable[StorableEvent], batch_id: int) -> None:
    copy_rows(COPY_EVENTS, event_rows(events, batch_id))


def copy_rows(statement: str, pieces: Sequence[bytes]) -> None:
    """Copy rows in PostgreSQL's binary form; raises Django's database errors."""
    with (
        connection.cursor() as cursor,
        connection.wrap_database_errors,
        cursor.copy(statement) as copy,
    ):
        copy.write(b"".join([COPY_HEADER, *pieces, COPY_TRAILER]))


def key_row(event: StorableEvent) -> bytes:
    customer_id, digest = event.key
    at = event.microseconds - MICROSECONDS_TO_2000
    return pack_key(4, 8, customer_id, 8, at, 16, digest, 16, event.content_digest)


def event_rows(events: Iterable[StorableEvent], batch_id: int) -> list[bytes]:
    """Return the pieces of the events' rows: one list for all is cheaper than a text for each."""
    pieces: list[bytes] = []
    for event in events:
        customer_id, digest = event.key
        at = event.microseconds - MICROSECONDS_TO_2000
        event_id, event_type, properties = event.id.encode(), event.type.encode(), event.properties
        pieces += (
            pack_event(7, 8, customer_id, 8, at, 16, digest, 8, batch_id, len(event_id)),
            event_id,
            pack_length(len(event_type)),
            event_type,
            pack_jsonb(len(properties) + len(JSONB_VERSION), JSONB_VERSION),
            properties,
        )
    return pieces


def instant(microseconds: int) -> datetime:
    return EPOCH + timedelta(microseconds=microseconds)
