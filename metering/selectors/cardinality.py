"""Dimensions with more values than roll-ups can keep apart: which they are, and what is kept."""

from datetime import datetime
from typing import Any

from django.db import connection

from customers.models import Customer
from metering.models import Meter, UsageLayout
from metering.models.usage import NO_DIMENSIONS
from metering.selectors.layouts import layout_of
from metering.selectors.meter_sql import OTHER

# In one day of one customer. A path with an id in it is what exceeds it, not a list of endpoints.
MOST_VALUES = 1_000
KEPT_VALUES = 500

ROWS = f"""
    FROM metering_usagebucket b
    WHERE b.customer_id = %(customer)s AND b.meter_id = %(meter)s AND b.grain = 'day'
        AND b.dimensions_digest <> uuid '{NO_DIMENSIONS}'
"""
# A day has no more values than rows. Nearly always it has few, and no value need be looked at.
FULL_DAYS = f"""
    SELECT b.bucket_start {ROWS} AND b.bucket_start >= %(first)s
    GROUP BY b.bucket_start HAVING count(*) > %(most)s
"""
IS_CROWDED = f"""
    SELECT EXISTS (
        SELECT {ROWS} AND b.bucket_start = ANY(%(days)s)
        GROUP BY b.bucket_start HAVING count(DISTINCT b.dimensions ->> %(name)s) > %(most)s
    )
"""
GREATEST = f"""
    SELECT b.dimensions ->> %(name)s AS text {ROWS}
        AND b.dimensions ->> %(name)s <> '{OTHER}'
    GROUP BY text ORDER BY sum(b.events) DESC, text LIMIT %(kept)s
"""


def crowded_dimensions(meter: Meter, layout: UsageLayout, since: datetime) -> list[str]:
    """Return the dimensions with too many values in a day that began at or after `since`."""
    names = [name for name in meter.group_by if name not in layout.kept]
    if not names:
        return []
    params: dict[str, Any] = {"customer": layout.customer_id, "meter": meter.pk}
    params["most"] = MOST_VALUES
    crowded = []
    with connection.cursor() as cursor:
        cursor.execute(FULL_DAYS, params | {"first": since})
        params["days"] = [day for (day,) in cursor.fetchall()]
        for name in names if params["days"] else ():
            cursor.execute(IS_CROWDED, params | {"name": name})
            if cursor.fetchall() == [(True,)]:
                crowded.append(name)
    return crowded


def greatest_values(meter: Meter, customer_id: int, name: str) -> list[str]:
    """Return the values of a dimension with the most events, as far as roll-ups keep them apart."""
    params: dict[str, Any] = {"customer": customer_id, "meter": meter.pk, "name": name}
    params["kept"] = KEPT_VALUES
    with connection.cursor() as cursor:
        cursor.execute(GREATEST, params)
        return [text for (text,) in cursor.fetchall()]


def capped_dimensions(meter: Meter, customer: Customer) -> list[str]:
    """Return the dimensions of which only the greatest values are told apart."""
    layout = layout_of(meter, customer)
    return [] if layout is None else sorted(layout.kept)
