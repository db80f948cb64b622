"""Events that do not count, kept with what was sent so that staff can look into them."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from metering.models import IngestBatch, RefusedEvent
from metering.services.decoding import EventDocument, Item
from metering.services.event_rules import printable
from metering.services.screening import Refusal

# Every conflicting event fits: its properties are shorter by far.
LONGEST_PAYLOAD = 100_000
KEPT_FOR = timedelta(days=90)
BEYOND_KEEPING = "(nested too deeply to be kept)"

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
