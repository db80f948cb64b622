"""Which days of which customers changed, so that past periods need not all be looked at."""

# ruff: noqa: S608  # The statements are put together from constants; see meter_sql.

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Max

from metering.models import IngestBatch
from metering.selectors.meter_sql import utc_day_sql
from metering.selectors.rollups import Selection

NOTE = """
    INSERT INTO metering_changedday AS d (customer_id, day_start, seen_batch_id, is_settled)
    SELECT %(customer)s, changed.day_start, %(seen)s, FALSE
    FROM unnest(%(days)s::timestamptz[]) AS changed (day_start)
    ON CONFLICT (customer_id, day_start)
    DO UPDATE SET seen_batch_id = GREATEST(d.seen_batch_id, EXCLUDED.seen_batch_id),
        is_settled = FALSE
"""


def types_and_days(selection: Selection) -> tuple[set[str], set[datetime]]:
    """Return the types of events, and the days of UTC that they lie in."""
    day = utc_day_sql("e.timestamp")
    statement = f"SELECT DISTINCT e.type, {day} FROM metering_event e WHERE {selection.sql}"
    with connection.cursor() as cursor:
        cursor.execute(statement, selection.params)
        found = cursor.fetchall()
    return {event_type for event_type, _ in found}, {start for _, start in found}


def note_changed(customer_id: int, days: Iterable[datetime]) -> None:
    """Write down that a customer's usage of these days changed; call it while usage is locked.

    The highest batch is looked for after the changes were seen, so it is no lower than that of
    any reader's cut-off that has not seen them.
    """
    seen = IngestBatch.objects.aggregate(highest=Max("pk"))["highest"]
    params = {"customer": customer_id, "days": sorted(days), "seen": seen}
    with connection.cursor() as cursor:
        cursor.execute(NOTE, params)


CHANGED = f"""
    SELECT d.customer_id, d.day_start FROM metering_changedday d
    WHERE d.customer_id = ANY(%(customers)s) AND d.seen_batch_id >= %(seen)s
    UNION
    SELECT c.customer_id, {utc_day_sql("c.at")} FROM metering_pendingcorrection c
    WHERE c.customer_id = ANY(%(customers)s)
    UNION
    SELECT p.customer_id, day FROM metering_pendingbatch p CROSS JOIN LATERAL generate_series(
        {utc_day_sql("p.first_at")}, p.last_at, interval '24 hours'
    ) AS day
    WHERE p.customer_id = ANY(%(customers)s)
"""


def days_changed_since(
    highest_batch_id: int, customer_ids: Collection[int]
) -> dict[int, list[datetime]]:
    """Return by customer the starts of the days of UTC, in order, whose usage may have changed.

    Nothing is left out that a reader with a cut-off of this highest batch has not seen, whether
    or not the aggregator has run since; days may be named that did not change.
    """
    params: dict[str, Any] = {"seen": highest_batch_id, "customers": list(customer_ids)}
    days: dict[int, list[datetime]] = {}
    with connection.cursor() as cursor:
        cursor.execute(f"{CHANGED} ORDER BY 1, 2", params)
        for customer_id, day in cursor.fetchall():
            days.setdefault(customer_id, []).append(day)
    return days
