"""Events as programs report them, and ways to send and count them."""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import connection
from rest_framework.test import APIClient

from customers.principals import Principal
from metering.models import Event, IngestBatch
from metering.services.decoding import decode_json
from metering.services.ingest import IngestResult, ingest_events
from tests.factories import NOW

URL = "/api/v1/events"
OPERATOR = Principal(customer_ids=None)
COUNTS = ("accepted", "duplicate", "conflict", "rejected")


def event(event_id: str, *, customer: str | None = "acme", **fields: Any) -> dict[str, Any]:
    document = {"id": event_id, "type": "api.request"} | fields
    return document | {"customer": customer} if customer is not None else document


def post(client: APIClient, document: object, url: str = URL, **headers: str) -> Any:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    content_type = headers.pop("content_type", "application/json")
    return client.post(url, body, content_type=content_type, headers=headers)


def report(
    documents: Iterable[dict[str, Any]],
    *,
    principal: Principal = OPERATOR,
    at: datetime = NOW,
    is_backfill: bool = False,
) -> IngestResult:
    """Ingest events as the API does, without HTTP."""
    return ingest_events(
        items=decode_json(json.dumps(list(documents)).encode()),
        principal=principal,
        source=IngestBatch.Source.API,
        at=at,
        is_backfill=is_backfill,
    )


def counts(result: IngestResult | dict[str, Any]) -> tuple[int, ...]:
    """Return how many were accepted, duplicate, in conflict and rejected."""
    if isinstance(result, dict):
        return tuple(result[name] for name in COUNTS)
    return tuple(getattr(result, name) for name in COUNTS)


def stored_ids() -> list[str]:
    return sorted(Event.objects.values_list("event_id", flat=True))


def partitions_in_use() -> set[str]:
    """Return the names of the partitions that hold events."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT tableoid::regclass::text FROM metering_event")
        return {name for (name,) in cursor.fetchall()}
