"""Taking events in: each counts exactly once, and each gets an answer of its own."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from operator import attrgetter

from django.conf import settings
from django.db import connection, transaction

from customers.principals import Principal
from metering.models import IngestBatch, PendingBatch, RefusedEvent
from metering.selectors.archive import archived_ranges
from metering.selectors.customers import ids_by_key
from metering.selectors.event_keys import content_digests
from metering.services import event_rules as rules
from metering.services.decoding import EventDocument, Item
from metering.services.event_rules import Reason
from metering.services.partitions import make_for_backfill
from metering.services.refused import Items, keep_refused
from metering.services.screening import Desk, Refusal, StorableEvent, screen_events
from metering.services.storing import (
    Key,
    NotAllNewError,
    Stored,
    Storing,
    instant,
    part_archived,
    store_events,
    store_new,
)

Kind = RefusedEvent.Kind


@dataclass(frozen=True, slots=True)
class IngestResult:
    """How many events were new, known, in conflict and refused; `errors` are the last two.

    `customers` says by customer id whose the new ones are.
    """

    accepted: int = 0
    duplicate: int = 0
    conflict: int = 0
    rejected: int = 0
    errors: Sequence[Refusal] = ()
    customers: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Intake:
    """A batch as it was screened; `firsts` are the events to store, by key."""

    items: Items
    events: Sequence[StorableEvent]
    firsts: Mapping[Key, StorableEvent]
    refusals: Sequence[Refusal]


@dataclass(slots=True)
class Verdict:
    """What became of a batch's storable events."""

    accepted: Sequence[StorableEvent]
    duplicate: int = 0
    conflicts: list[Refusal] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)


def ingest_events(
    *,
    items: Sequence[Item],
    principal: Principal,
    source: IngestBatch.Source,
    at: datetime,
    is_backfill: bool = False,
) -> IngestResult:
    """Store the events that are new, in one transaction, and say what became of each.

    `at` is when they were received. An event is the same as an earlier one when its customer and
    its id are; whether it also says the same makes it a duplicate or a conflict. Any part of a
    batch may be sent again at any time, by anybody: nothing counts twice. Once this has returned
    and the caller's transaction, if any, is committed, accepted events survive a crash.

    With `is_backfill` events of any age are taken, but new ones of archived months.
    """
    if not items:
        return IngestResult()
    desk = desk_for(items, principal, at, is_backfill=is_backfill)
    events, refusals = screen_events(items=items, desk=desk)
    if is_backfill and not connection.in_atomic_block:
        make_for_backfill(instants=[instant(event.microseconds) for event in events])
    return store_screened(
        events=events,
        refusals=refusals,
        items=items,
        source=source,
        at=at,
        api_key_id=principal.api_key_id,
    )


def store_screened(
    *,
    events: Sequence[StorableEvent],
    refusals: Sequence[Refusal],
    items: Items,
    source: IngestBatch.Source,
    at: datetime,
    api_key_id: int | None = None,
) -> IngestResult:
    """Do what `ingest_events` does, for events that were screened already.

    `items` are the events as they were sent, by the index that events and refusals have.
    """
    intake = Intake(items, events, first_of_each(events), refusals)
    batch = IngestBatch(
        source=source,
        api_key_id=api_key_id,
        received_at=at,
        accepted=len(events),
        rejected=len(refusals),
    )
    try:
        return store_intake(intake, batch, store_new)
    except NotAllNewError:
        batch.pk = None
        return store_intake(intake, batch, store_events)


@transaction.atomic
def store_intake(intake: Intake, batch: IngestBatch, store: Storing) -> IngestResult:
    """Store a batch with all that belongs to it; the caller's Storing decides how."""
    batch.save(force_insert=True)
    stored = store(events=by_key(intake.firsts), batch_id=batch.pk) if intake.firsts else Stored()
    announce(stored.accepted, batch.pk)
    verdict = judge(intake.events, intake.firsts, stored)
    result = result_of(verdict, intake.refusals)
    if result.accepted < len(intake.events):
        note_counts(batch, result)
    rejected = [*intake.refusals, *verdict.refused]
    keep_refused(items=intake.items, refusals=rejected, kind=Kind.REJECTED, batch=batch)
    keep_refused(items=intake.items, refusals=verdict.conflicts, kind=Kind.CONFLICT, batch=batch)
    return result


def preview_events(
    *, items: Sequence[Item], principal: Principal, at: datetime, is_backfill: bool = False
) -> IngestResult:
    """Say what `ingest_events` would answer, and store nothing."""
    desk = desk_for(items, principal, at, is_backfill=is_backfill)
    events, refusals = screen_events(items=items, desk=desk)
    return preview_screened(events=events, refusals=refusals)


def preview_screened(
    *, events: Sequence[StorableEvent], refusals: Sequence[Refusal]
) -> IngestResult:
    """Say what `store_screened` would answer, and store nothing."""
    firsts = first_of_each(events)
    taken = content_digests(firsts)
    new = [event for key, event in firsts.items() if key not in taken]
    here, away = part_archived(new, archived_ranges())
    stored = Stored(accepted=here, taken=taken, archived=away)
    return result_of(judge(events, firsts, stored), refusals)


def desk_for(
    items: Sequence[Item], principal: Principal, at: datetime, *, is_backfill: bool
) -> Desk:
    named = {item.customer for item in items if isinstance(item, EventDocument)}
    only_customer_id = None
    if principal.customer_ids is not None and len(principal.customer_ids) == 1:
        (only_customer_id,) = principal.customer_ids
    max_age = timedelta(days=settings.INGEST_MAX_AGE_DAYS)
    return Desk(
        customer_ids=ids_by_key(principal, {key for key in named if key is not None}),
        only_customer_id=only_customer_id,
        received_at=at,
        earliest=rules.EARLIEST if is_backfill else at - max_age,
        latest=rules.LATEST if is_backfill else at + rules.FARTHEST_AHEAD,
        event_types=principal.event_types,
    )


def refusal_for(event: StorableEvent, reason: Reason) -> Refusal:
    return Refusal(event.index, event.id, event.key[0], reason)


def first_of_each(events: Iterable[StorableEvent]) -> dict[Key, StorableEvent]:
    """Return by key the events that are stored if their keys are free."""
    firsts: dict[Key, StorableEvent] = {}
    for event in events:
        firsts.setdefault(event.key, event)
    return firsts


def by_key(firsts: Mapping[Key, StorableEvent]) -> list[StorableEvent]:
    return sorted(firsts.values(), key=attrgetter("key"))


def judge(
    events: Sequence[StorableEvent], firsts: Mapping[Key, StorableEvent], stored: Stored
) -> Verdict:
    """Compare every event that was not stored with the one that holds its key."""
    verdict = Verdict(accepted=stored.accepted)
    if len(stored.accepted) == len(events):
        return verdict
    accepted = {event.index for event in stored.accepted}
    refused = {event.key: rules.UNSTORABLE for event in stored.unstorable}
    refused |= {
        event.key: rules.month_archived(instant(event.microseconds)) for event in stored.archived
    }
    for event in events:
        if event.index in accepted:
            continue
        if event.key in refused:
            verdict.refused.append(refusal_for(event, refused[event.key]))
            continue
        standing = stored.taken.get(event.key) or firsts[event.key].content_digest
        if event.content_digest == standing:
            verdict.duplicate += 1
        else:
            verdict.conflicts.append(refusal_for(event, rules.CONFLICT))
    return verdict


def result_of(verdict: Verdict, refusals: Sequence[Refusal]) -> IngestResult:
    rejected = [*refusals, *verdict.refused]
    return IngestResult(
        accepted=len(verdict.accepted),
        duplicate=verdict.duplicate,
        conflict=len(verdict.conflicts),
        rejected=len(rejected),
        errors=sorted([*verdict.conflicts, *rejected], key=attrgetter("index")),
        customers=Counter(event.key[0] for event in verdict.accepted),
    )


def announce(events: Iterable[StorableEvent], batch_id: int) -> None:
    """Leave word for the aggregator, with the events, that roll-ups lack them."""
    times: dict[int, list[int]] = {}
    for event in events:
        times.setdefault(event.key[0], []).append(event.microseconds)
    PendingBatch.objects.bulk_create(
        PendingBatch(
            customer_id=customer_id,
            batch_id=batch_id,
            first_at=instant(min(microseconds)),
            last_at=instant(max(microseconds)),
            events=len(microseconds),
        )
        for customer_id, microseconds in sorted(times.items())
    )


def note_counts(batch: IngestBatch, result: IngestResult) -> None:
    """Correct the counts that a batch began with, which took every event for a new one."""
    batch.accepted = result.accepted
    batch.duplicate = result.duplicate
    batch.conflict = result.conflict
    batch.rejected = result.rejected
    batch.save(update_fields=["accepted", "duplicate", "conflict", "rejected"])
