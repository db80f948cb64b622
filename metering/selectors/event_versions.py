"""The versions of one event: as it was accepted, and as corrections left it."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from customers.models import Customer
from metering.identity import id_digest
from metering.models import Correction, Event, EventKey
from metering.selectors.events import event_key, event_of, fetch

VERSIONS = """
    e.customer_id = %(customer)s AND e.digest = %(digest)s
    AND e.timestamp = ANY(%(timestamps)s::timestamptz[])
"""


def locked_key(customer: Customer, event_id: str) -> EventKey | None:
    """Return an event's key; until the transaction ends nobody else corrects the event."""
    try:
        digest = UUID(bytes=id_digest(event_id))
    except UnicodeEncodeError:
        return None
    keys = EventKey.objects.select_for_update()
    return keys.filter(customer=customer, digest=digest).first()


def latest_version(customer: Customer, key: EventKey) -> Event | None:
    """Return an event as it counts now, or as it last counted; None when it is archived."""
    versions = stored_versions(customer, key, [key.timestamp])
    return versions[-1] if versions else None


def event_versions(*, customer: Customer, event_id: str) -> list[Event]:
    """Return what is not archived of an event's versions, the oldest first."""
    key = event_key(customer, event_id)
    if key is None:
        return []
    moves = Correction.objects.filter(customer=customer, digest=key.digest)
    timestamps = {key.timestamp, *moves.values_list("old_timestamp", flat=True)}
    return stored_versions(customer, key, timestamps)


def stored_versions(
    customer: Customer, key: EventKey, timestamps: Collection[datetime]
) -> list[Event]:
    """Return the versions at these instants; batches are numbered in the order of corrections."""
    params = {
        "customer": customer.pk,
        "digest": key.digest,
        "timestamps": list(timestamps),
        "limit": None,
    }
    return [event_of(customer, row) for row in fetch(VERSIONS, "e.batch_id", params)]
