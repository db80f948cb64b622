"""Events that do not count, kept with what was sent so that staff can look into them."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol

import msgspec

from config.errors import DomainError
from customers.principals import Principal
from metering.models import Correction, IngestBatch, RefusedEvent
from metering.selectors.events import event_by_id
from metering.services.corrections import amend_event
from metering.services.decoding import EventDocument, Item
from metering.services.event_rules import printable
from metering.services.screening import Refusal

# Every conflicting event fits: its properties are shorter by far.
LONGEST_PAYLOAD = 100_000
KEPT_FOR = timedelta(days=90)
BEYOND_KEEPING = "(nested too deeply to be kept)"

_decoder = msgspec.json.Decoder(EventDocument, float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")


class Items(Protocol):
    """Events as they were sent, by their place in the batch: a sequence, or what can make them."""

    def __getitem__(self, index: int, /) -> Item: ...


def keep_refused(
    *,
    items: Items,
    refusals: Sequence[Refusal],
    kind: RefusedEvent.Kind,
    batch: IngestBatch,
) -> None:
    """Store the refused among the `items` of a batch, as they were sent."""
    RefusedEvent.objects.bulk_create(
        RefusedEvent(
            batch=batch,
            customer_id=refusal.customer_id,
            kind=kind,
            event_id=refusal.printable_id,
            code=refusal.reason.code,
            message=refusal.reason.message,
            payload=payload_of(items[refusal.index])[:LONGEST_PAYLOAD],
            received_at=batch.received_at,
        )
        for refusal in refusals
    )


def accept_conflict(
    *, refused: RefusedEvent, reason: str, principal: Principal, at: datetime
) -> Correction:
    """Amend the event that stands with what a conflicting report of it says.

    Raises DomainError when it is no conflict or tells of another type, which no amendment
    changes, and what `amend_event` raises.
    """
    if refused.kind != RefusedEvent.Kind.CONFLICT or refused.customer is None:
        message = "Only a conflict can be accepted: nothing stands that this could amend."
        raise DomainError(message, code="no_conflict")
    says = _decoder.decode(refused.payload)
    standing = event_by_id(customer=refused.customer, event_id=says.id)
    if standing is not None and standing.type != says.type:
        message = (
            f"The event that stands is of the type {standing.type}, this one of {says.type}. Void "
            "that one and report this one under a new id."
        )
        raise DomainError(message, code="other_type")
    return amend_event(
        customer=refused.customer,
        event_id=says.id,
        reason=reason,
        principal=principal,
        at=at,
        properties=says.properties or {},
        timestamp=says.timestamp,
    )


def payload_of(item: Item) -> str:
    document = item if isinstance(item, EventDocument) else item.document
    try:
        return printable(_encoder.encode(document).decode())
    except UnicodeEncodeError:
        return json.dumps(plain(document), default=str)
    except RecursionError:
        return BEYOND_KEEPING


def plain(document: object) -> object:
    return msgspec.structs.asdict(document) if isinstance(document, EventDocument) else document


def forget_refused(*, at: datetime) -> int:
    """Delete refused events that were kept for 90 days; return how many."""
    deleted, _ = RefusedEvent.objects.filter(received_at__lt=at - KEPT_FOR).delete()
    return deleted
