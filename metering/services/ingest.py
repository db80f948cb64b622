"""Taking events in: each counts exactly once, and each gets an answer of its own."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from operator import attrgetter

from django.conf import settings
from django.db import transaction

from customers.principals import Principal
from metering.models import IngestBatch, PendingBatch, RefusedEvent
from metering.selectors.customers import ids_by_key
from metering.services import event_rules as rules
from metering.services.decoding import EventDocument, Item
from metering.services.event_rules import Reason
from metering.services.refused import keep_refused
from metering.services.screening import Desk, Refusal, StorableEvent, screen_events
from metering.services.storing import Key, Stored, instant, store_events

Kind = RefusedEvent.Kind


@dataclass(frozen=True, slots=True)
class IngestResult:
    """How many events were new, known, in conflict and refused; `errors` are the last two."""

    accepted: int = 0
    duplicate: int = 0
    conflict: int = 0
    rejected: int = 0
    errors: Sequence[Refusal] = ()


@dataclass(slots=True)
class Verdict:
    """What became of a batch's storable events."""

    accepted: int = 0
    duplicate: int = 0
    conflicts: list[StorableEvent] = field(default_factory=list)
    unstorable: list[StorableEvent] = field(default_factory=list)


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

    With `is_backfill` events of any age are taken.
    """
    if not items:
        return IngestResult()
    desk = desk_for(items, principal, at, is_backfill=is_backfill)
    events, refusals = screen_events(items=items, desk=desk)
    with transaction.atomic():
        batch = IngestBatch.objects.create(
            source=source,
            api_key_id=principal.api_key_id,
            received_at=at,
            accepted=len(events),
            rejected=len(refusals),
        )
        verdict = store_batch(events, batch.pk)
        refusals += [refusal_for(event, rules.UNSTORABLE) for event in verdict.unstorable]
        conflicts = [refusal_for(event, rules.CONFLICT) for event in verdict.conflicts]
        note_counts(batch, verdict, rejected=len(refusals))
        keep_refused(items=items, refusals=refusals, kind=Kind.REJECTED, batch=batch)
        keep_refused(items=items, refusals=conflicts, kind=Kind.CONFLICT, batch=batch)
    return IngestResult(
        accepted=batch.accepted,
        duplicate=batch.duplicate,
        conflict=batch.conflict,
        rejected=batch.rejected,
        errors=sorted(conflicts + refusals, key=attrgetter("index")),
    )


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
    )


def refusal_for(event: StorableEvent, reason: Reason) -> Refusal:
    return Refusal(event.index, event.id, event.key[0], reason)


def store_batch(events: Sequence[StorableEvent], batch_id: int) -> Verdict:
    """Store the events whose keys are free and judge the others; the first of a key goes in."""
    firsts: dict[Key, StorableEvent] = {}
    for event in events:
        firsts.setdefault(event.key, event)
    if not firsts:
        return Verdict()
    distinct = sorted(firsts.values(), key=attrgetter("key"))
    stored = store_events(events=distinct, batch_id=batch_id)
    announce(stored.accepted, batch_id)
    verdict = Verdict(accepted=len(stored.accepted))
    if verdict.accepted < len(events):
        judge_others(events, firsts, stored, verdict)
    return verdict


def judge_others(
    events: Sequence[StorableEvent],
    firsts: dict[Key, StorableEvent],
    stored: Stored,
    verdict: Verdict,
) -> None:
    """Compare every event that was not stored with the one that holds its key."""
    accepted = {event.index for event in stored.accepted}
    unstorable = {event.key for event in stored.unstorable}
    for event in events:
        if event.index in accepted:
            continue
        if event.key in unstorable:
            verdict.unstorable.append(event)
            continue
        standing = stored.taken.get(event.key) or firsts[event.key].content_digest
        if event.content_digest == standing:
            verdict.duplicate += 1
        else:
            verdict.conflicts.append(event)


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


def note_counts(batch: IngestBatch, verdict: Verdict, *, rejected: int) -> None:
    """Correct the counts that a batch began with, which took every event for a new one."""
    if verdict.accepted == batch.accepted:
        return
    batch.accepted = verdict.accepted
    batch.duplicate = verdict.duplicate
    batch.conflict = len(verdict.conflicts)
    batch.rejected = rejected
    batch.save(update_fields=["accepted", "duplicate", "conflict", "rejected"])
