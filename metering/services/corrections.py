"""Correcting events: voided or amended, never overwritten.

A correction is a batch of its own. The version that counted gets that batch's number and stays; an
amended event is a new version in the batch. Usage is other from the moment the correction is
committed. A void is final unless the event is amended: that brings it back.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import DataError, transaction

from config.errors import DomainError, InvalidInputError, NotFoundError
from customers.models import Customer
from customers.principals import Principal
from metering.filters import is_storable
from metering.models import Correction, Event, EventKey, IngestBatch, PendingCorrection
from metering.selectors.archive import archived_around
from metering.selectors.event_versions import latest_version, locked_key
from metering.services import event_rules as rules
from metering.services.event_rules import RefusedEventError
from metering.services.screening import EPOCH, MICROSECOND, StorableEvent, canonical
from metering.services.storing import copy_events

Action = Correction.Action
LONGEST_REASON = 500


@dataclass(frozen=True, slots=True)
class Content:
    """What a correction makes of an event."""

    timestamp: datetime
    properties: Mapping[str, Any]
    canonical: bytes


def correct_event(
    *,
    action: Correction.Action,
    properties: Mapping[str, Any] | None = None,
    timestamp: datetime | None = None,
    **asked: Any,
) -> Correction:
    """Void or amend an event; what a void takes no notice of must not be given."""
    if action == Action.AMEND:
        return amend_event(properties=properties, timestamp=timestamp, **asked)
    for name, value in (("properties", properties), ("timestamp", timestamp)):
        if value is not None:
            message = f"A void takes no {name}; to change the event, amend it."
            raise InvalidInputError(message, field=name)
    return void_event(**asked)


@transaction.atomic
def void_event(
    *, customer: Customer, event_id: str, reason: str, principal: Principal, at: datetime
) -> Correction:
    """Take an event out of usage.

    Raises NotFoundError for an unknown event, InvalidInputError for a missing reason, and
    DomainError with the code `already_void`, or `event_archived` when its month was detached, or one
    that shares a day with it.
    """
    check_reason(reason)
    version = version_to_correct(customer, event_id)
    if version.voided_batch_id is not None:
        message = f"The event {event_id!r} is void already; amend it to bring it back."
        raise DomainError(message, code="already_void")
    check_not_archived(version, [version.timestamp])
    correction = correction_of(Action.VOID, version, reason, principal, at)
    end_version(version, correction)
    mark_for_recount(correction, [version.timestamp])
    return correction


@transaction.atomic
def amend_event(
    *,
    customer: Customer,
    event_id: str,
    reason: str,
    principal: Principal,
    at: datetime,
    properties: Mapping[str, Any] | None = None,
    timestamp: datetime | None = None,
) -> Correction:
    """Replace what an event says, or bring a void event back.

    `properties` replace all of the event's properties; what is None stays as it was last. Raises
    NotFoundError for an unknown event, InvalidInputError for a missing reason or content that no
    event may have, and DomainError with the code `nothing_amended` when nothing would change or
    `event_archived` when the event's month was detached, or the one that it would move into.
    """
    check_reason(reason)
    if properties is None and timestamp is None:
        message = "An amendment gives new properties, a new timestamp or both."
        raise InvalidInputError(message, field="properties")
    version = version_to_correct(customer, event_id)
    content = amended_content(version, properties, timestamp)
    is_void = version.voided_batch_id is not None
    is_same = content == amended_content(version, None, None)
    if is_same and not is_void:
        message = f"The event {event_id!r} says just that already; nothing was amended."
        raise DomainError(message, code="nothing_amended")
    check_not_archived(version, [version.timestamp, content.timestamp])
    correction = correction_of(Action.AMEND, version, reason, principal, at, content)
    if not is_void:
        end_version(version, correction)
    store_version(version, content, correction.batch_id)
    EventKey.objects.filter(customer=customer, digest=version.digest).update(
        timestamp=content.timestamp
    )
    touched = [content.timestamp] if is_void else [version.timestamp, content.timestamp]
    mark_for_recount(correction, touched)
    return correction


def check_reason(reason: str) -> None:
    if not reason.strip() or len(reason) > LONGEST_REASON or not is_storable(reason):
        message = f"Say why, in 1 to {LONGEST_REASON} characters: it is kept with the correction."
        raise InvalidInputError(message, field="reason")


def version_to_correct(customer: Customer, event_id: str) -> Event:
    """Return an event's latest version; nobody else corrects the event meanwhile."""
    key = locked_key(customer, event_id)
    if key is None:
        raise NotFoundError(f"The customer {customer.key!r} has no event {event_id!r}.")
    version = latest_version(customer, key)
    if version is None:
        message = (
            f"The event {event_id!r} of {key.timestamp:%Y-%m} is archived; restore that month "
            "first, then correct it."
        )
        raise DomainError(message, code="event_archived")
    return version


def check_not_archived(version: Event, instants: Iterable[datetime]) -> None:
    """Refuse what could not be counted: the days around the instants are made anew from events.

    The event was read before in this transaction, so no month is archived until it ends.
    """
    month = archived_around(version.customer, version.type, instants)
    if month is not None:
        message = (
            f"The event {version.event_id!r} lies in {month.start:%Y-%m}, would move into it or "
            "shares a day with it, and the events of that month are archived; restore it first."
        )
        raise DomainError(message, code="event_archived")


def amended_content(
    version: Event, properties: Mapping[str, Any] | None, timestamp: datetime | None
) -> Content:
    """Return what an event says when these are replaced; raises InvalidInputError."""
    at = version.timestamp if timestamp is None else timestamp
    if not rules.EARLIEST <= at <= rules.LATEST:
        reason = rules.timestamp_out_of_range(at, rules.EARLIEST, rules.LATEST)
        raise InvalidInputError(reason.message, field="timestamp", code=reason.code)
    said = version.properties if properties is None else dict(properties)
    try:
        return Content(at, said, canonical(said))
    except RefusedEventError as error:
        reason = error.reason
    except UnicodeEncodeError:
        reason = rules.INVALID_CHARACTER
    raise InvalidInputError(reason.message, field="properties", code=reason.code)


def correction_of(
    action: Correction.Action,
    version: Event,
    reason: str,
    principal: Principal,
    at: datetime,
    content: Content | None = None,
) -> Correction:
    """Write down a correction in a batch of its own.

    The batch gets its number while the event's key is locked, so that the versions of an event
    are in the order of their batches.
    """
    batch = IngestBatch.objects.create(
        source=IngestBatch.Source.CORRECTION, api_key_id=principal.api_key_id, received_at=at
    )
    return Correction.objects.create(
        customer=version.customer,
        event_id=version.event_id,
        digest=version.digest,
        event_type=version.type,
        action=action,
        reason=reason,
        batch=batch,
        ended_batch_id=None if version.voided_batch_id is not None else version.batch_id,
        old_timestamp=version.timestamp,
        old_properties=version.properties,
        new_timestamp=content.timestamp if content else None,
        new_properties=content.properties if content else None,
        user_id=principal.user_id,
        api_key_id=principal.api_key_id,
        created_at=at,
    )


def end_version(version: Event, correction: Correction) -> None:
    Event.objects.filter(
        customer=version.customer,
        timestamp=version.timestamp,
        digest=version.digest,
        batch_id=version.batch_id,
    ).update(voided_batch_id=correction.batch_id)


def store_version(version: Event, content: Content, batch_id: int) -> None:
    amended = StorableEvent(
        index=0,
        key=(version.customer_id, version.digest.bytes),
        content_digest=b"",
        microseconds=(content.timestamp - EPOCH) // MICROSECOND,
        id=version.event_id,
        type=version.type,
        properties=content.canonical,
    )
    try:
        with transaction.atomic():
            copy_events([amended], batch_id)
    except DataError as error:
        reason = rules.UNSTORABLE
        raise InvalidInputError(reason.message, field="properties", code=reason.code) from error


def mark_for_recount(correction: Correction, instants: Iterable[datetime]) -> None:
    """Leave word, with the correction, that roll-ups do not hold around these instants."""
    PendingCorrection.objects.bulk_create(
        PendingCorrection(
            customer=correction.customer,
            batch_id=correction.batch_id,
            at=at,
            event_type=correction.event_type,
        )
        for at in sorted(set(instants))
    )
