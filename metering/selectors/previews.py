"""What a meter would count, of events that came in lately, before anybody saves it."""
# ruff: noqa: S608  # The statement is put together from constants; see meter_sql.

from copy import copy
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection

from customers.models import Customer
from metering.models import Meter
from metering.selectors.meter_sql import CURRENT, matches_sql, meter_params, reading_of
from metering.selectors.usage import usage_quantity

AGE = timedelta(days=7)
DAY = timedelta(days=1)
MOST_OF_ONE_CUSTOMER = 20
MOST_EVENTS = 100


@dataclass(frozen=True, slots=True)
class PreviewedEvent:
    """One event, whether the meter counts it, and the value it reads there, if it reads any."""

    customer: str
    event_id: str
    timestamp: datetime
    counts: bool
    value: str | None
    is_unparsed: bool


@dataclass(frozen=True, slots=True)
class MeterPreview:
    """The newest events of the meter's type, and what one customer used in the last day.

    That is the customer of the newest event which counts; without one there is no quantity.
    """

    events: list[PreviewedEvent]
    customer: str = ""
    quantity: Decimal = Decimal(0)

    @property
    def counted(self) -> int:
        return sum(event.counts for event in self.events)

    @property
    def unparsed(self) -> int:
        return sum(event.counts and event.is_unparsed for event in self.events)


def meter_preview(meter: Meter, at: datetime) -> MeterPreview:
    """Try a valid meter, saved or not, on the events of the last seven days."""
    customers = {customer.pk: customer for customer in Customer.objects.all()}
    rows = newest_events(meter, list(customers), at)
    events = [
        PreviewedEvent(customers[customer_id].key, *columns) for customer_id, *columns in rows
    ]
    first = next((row[0] for row in rows if row[3]), None)
    if first is None:
        return MeterPreview(events)
    # What is not saved has no roll-ups.
    tried = copy(meter)
    tried.filled_at = None
    customer = customers[first]
    quantity = usage_quantity(meter=tried, customer=customer, start=at - DAY, end=at)
    return MeterPreview(events, customer.key, quantity)


def newest_events(meter: Meter, customer_ids: list[int], at: datetime) -> list[tuple[Any, ...]]:
    """Return customer id, event id, instant, whether it counts, value, and whether that fails."""
    reading = reading_of(meter)
    statement = f"""
        SELECT customer_id, event_id, timestamp, counts, COALESCE(number::text, member),
            {reading.is_unparsed}
        FROM (
            SELECT e.customer_id, e.event_id, e.timestamp, {matches_sql(meter)} AS counts,
                {reading.number} AS number, {reading.member} AS member
            FROM unnest(%(customers)s::bigint[]) AS asked (id) CROSS JOIN LATERAL (
                SELECT * FROM metering_event e
                WHERE e.customer_id = asked.id AND e.type = %(event_type)s AND {CURRENT}
                    AND e.timestamp >= %(since)s AND e.timestamp < %(at)s
                ORDER BY e.timestamp DESC LIMIT %(of_one)s
            ) AS e
        ) AS read
        ORDER BY timestamp DESC, event_id LIMIT %(limit)s
    """
    params = {
        **meter_params(meter),
        "customers": customer_ids,
        "since": at - AGE,
        "at": at,
        "of_one": MOST_OF_ONE_CUSTOMER,
        "limit": MOST_EVENTS,
    }
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return list(cursor.fetchall())
