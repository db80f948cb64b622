"""Accepted events, put straight into the tables: what the ingest leaves behind."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from customers.models import Customer
from metering.models import Event, IngestBatch, PendingBatch

TYPE = "api.request"


@dataclass(frozen=True, slots=True)
class Use:
    """One event, as far as it matters to usage."""

    at: datetime
    properties: dict[str, Any] = field(default_factory=dict)
    type: str = TYPE
    id: str = ""


def store_batch(customer: Customer, uses: Iterable[Use]) -> int:
    """Store events as one batch that is still to be folded; return its id."""
    uses = list(uses)
    batch = IngestBatch.objects.create(source=IngestBatch.Source.API, accepted=len(uses))
    Event.objects.bulk_create(
        Event(
            customer=customer,
            timestamp=use.at,
            digest=uuid.uuid4(),
            event_id=use.id or str(number),
            type=use.type,
            properties=use.properties,
            batch_id=batch.pk,
        )
        for number, use in enumerate(uses)
    )
    if uses:
        PendingBatch.objects.create(
            customer=customer,
            batch_id=batch.pk,
            first_at=min(use.at for use in uses),
            last_at=max(use.at for use in uses),
            events=len(uses),
        )
    return batch.pk
