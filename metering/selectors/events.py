"""Single events: a customer's, newest first and page by page, and one by its id."""

# ruff: noqa: S608  # The statement is put together from constants; see meter_sql.

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Self, override
from uuid import UUID

from django.db import connection

from config.errors import InvalidInputError
from customers.models import Customer
from metering.filters import is_storable
from metering.identity import id_digest
from metering.models import Event, EventKey, Meter, RefusedEvent
from metering.selectors.cutoffs import COUNTED, Cutoff
from metering.selectors.meter_sql import CURRENT, matches_sql, meter_params

LARGEST_PAGE = 500
MOST_REFUSED = 20
INSTANT_BYTES = 8
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
COLUMNS = """
    e.timestamp, e.digest, e.event_id, e.type, e.properties, e.batch_id, e.voided_batch_id
"""
HAS_PROPERTY = "(e.properties -> %(property)s) IS NOT NULL"
# As text, as conditions of meters compare it: 200 and "200" are the same.
PROPERTY_IS = "(e.properties ->> %(property)s) = %(property_value)s"


@dataclass(frozen=True, slots=True)
class EventFilters:
    """Which of a customer's events to show; what is left out does not narrow.

    `start` and `end` bound the events' timestamps: `[start, end)`. `meter` shows what it counts.
    `property_name` shows events that have the property, with `property_value` where it is given.
    With a `cutoff` they are what counted for a reader who had seen so much, instead of now.
    """

    event_id: str = ""
    event_type: str = ""
    meter: Meter | None = None
    start: datetime | None = None
    end: datetime | None = None
    property_name: str = ""
    property_value: str = ""
    cutoff: Cutoff | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        return (self.event_type, self.property_name, self.property_value)


@dataclass(frozen=True, slots=True)
class Position:
    """An event's place in the order of pages, written as a text that fits into an address."""

    timestamp: datetime
    digest: UUID

    @classmethod
    def of(cls, event: Event) -> Self:
        return cls(event.timestamp, event.digest)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `str()` wrote; raises InvalidInputError for anything else."""
        try:
            raw = urlsafe_b64decode(text)
            instant, digest = raw[:INSTANT_BYTES], raw[INSTANT_BYTES:]
            microseconds = timedelta(microseconds=int.from_bytes(instant, signed=True))
            return cls(EPOCH + microseconds, UUID(bytes=digest))
        except (ValueError, OverflowError) as error:
            message = "This page address is not complete; start again from the first page."
            raise InvalidInputError(message, field="cursor") from error

    @override
    def __str__(self) -> str:
        microseconds = (self.timestamp - EPOCH) // timedelta(microseconds=1)
        instant = microseconds.to_bytes(INSTANT_BYTES, signed=True)
        return urlsafe_b64encode(instant + self.digest.bytes).decode()


@dataclass(frozen=True, slots=True)
class EventsPage:
    """Events, newest first; `older` and `newer` lead to the pages beside it, where there are any.

    Give them back as `before` and `after`.
    """

    events: Sequence[Event]
    older: str | None
    newer: str | None


def events_page(
    *,
    customer: Customer,
    filters: EventFilters = EventFilters(),
    before: str = "",
    after: str = "",
    limit: int = 50,
) -> EventsPage:
    """Return one page of a customer's events; `before` or `after` is an earlier page's neighbour.

    Pages stay right while events come in: each begins where the other ended, not at a number.
    """
    limit = min(limit, LARGEST_PAGE)
    narrowed = conditions(customer, filters)
    if narrowed is None:
        return EventsPage([], None, None)
    where, params = narrowed
    if edge := after or before:
        position = Position.parse(edge)
        params |= {"edge_at": position.timestamp, "edge_digest": position.digest}
        compare = ">" if after else "<"
        where += f" AND (e.timestamp, e.digest) {compare} (%(edge_at)s, %(edge_digest)s)"
    order = "ASC" if after else "DESC"
    rows = fetch(where, f"e.timestamp {order}, e.digest {order}", params | {"limit": limit + 1})
    has_more = len(rows) > limit
    events = [event_of(customer, row) for row in rows[:limit]]
    if after:
        events.reverse()
    has_older, has_newer = (True, has_more) if after else (has_more, bool(before))
    return EventsPage(
        events=events,
        older=str(Position.of(events[-1])) if events and has_older else None,
        newer=str(Position.of(events[0])) if events and has_newer else None,
    )


def event_by_id(*, customer: Customer, event_id: str) -> Event | None:
    """Return a customer's event as it counts now, or None if none does or it is archived."""
    page = events_page(customer=customer, filters=EventFilters(event_id=event_id), limit=1)
    return page.events[0] if page.events else None


def refused_reports(*, customer: Customer, event_id: str) -> list[RefusedEvent]:
    """Return the latest reports of a customer's event that were not counted, newest first."""
    if not is_storable(event_id):
        return []
    refused = RefusedEvent.objects.filter(customer=customer, event_id=event_id)
    return list(refused.order_by("-id")[:MOST_REFUSED])


def conditions(customer: Customer, filters: EventFilters) -> tuple[str, dict[str, Any]] | None:
    """Return SQL over the event `e` and its parameters, or None when nothing can match."""
    params: dict[str, Any] = {"customer": customer.pk}
    counts = CURRENT if filters.cutoff is None else COUNTED
    parts = ["e.customer_id = %(customer)s", counts]
    if filters.cutoff is not None:
        params |= filters.cutoff.params
    if filters.event_id:
        key = event_key(customer, filters.event_id)
        if key is None:
            return None
        parts.append("e.timestamp = %(key_at)s AND e.digest = %(key_digest)s")
        params |= {"key_at": key.timestamp, "key_digest": key.digest}
    if not all(map(is_storable, filters.texts)):
        return None
    if filters.event_type:
        parts.append("e.type = %(type)s")
        params["type"] = filters.event_type
    if filters.meter is not None:
        parts.append(matches_sql(filters.meter, counts=counts))
        params |= meter_params(filters.meter)
    if filters.property_name:
        parts.append(PROPERTY_IS if filters.property_value else HAS_PROPERTY)
        params |= {"property": filters.property_name, "property_value": filters.property_value}
    if filters.start is not None:
        parts.append("e.timestamp >= %(start)s")
        params["start"] = filters.start
    if filters.end is not None:
        parts.append("e.timestamp < %(end)s")
        params["end"] = filters.end
    return " AND ".join(parts), params


def event_key(customer: Customer, event_id: str) -> EventKey | None:
    try:
        digest = UUID(bytes=id_digest(event_id))
    except UnicodeEncodeError:
        return None
    return EventKey.objects.filter(customer=customer, digest=digest).first()


def fetch(where: str, order: str, params: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Return COLUMNS of the events `e`; `limit` is among the parameters, None for all."""
    sql = f"SELECT {COLUMNS} FROM metering_event e WHERE {where} ORDER BY {order} LIMIT %(limit)s"
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def event_of(customer: Customer, row: tuple[Any, ...]) -> Event:
    timestamp, digest, event_id, event_type, properties, batch_id, voided_batch_id = row
    return Event(
        customer=customer,
        timestamp=timestamp,
        digest=digest,
        event_id=event_id,
        type=event_type,
        # Numbers as they were sent: Decimals where they have a fraction.
        properties=json.loads(properties, parse_float=Decimal),
        batch_id=batch_id,
        voided_batch_id=voided_batch_id,
    )
