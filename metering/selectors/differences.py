"""Roll-ups compared with the events that they were made of."""
# ruff: noqa: S608  # The statements are put together from constants; see meter_sql.

from collections.abc import Iterator
from dataclasses import dataclass
from typing import override

from django.db import connection

from customers.models import Customer
from metering.models import Meter, UsageLayout
from metering.selectors import rollups
from metering.selectors.layouts import layout_of
from metering.selectors.rollups import FreshRows, Selection
from metering.windows import Range

LONGEST_BUCKET = "interval '25 hours'"
BUCKETS = "metering_usagebucket"
# A member may be in several parts.
MEMBERS = f"""
    (SELECT DISTINCT {", ".join(rollups.MEMBER_COLUMNS)}
    FROM metering_usagemembers CROSS JOIN LATERAL unnest(members) AS member) AS members
"""


@dataclass(frozen=True, slots=True)
class Difference:
    """A row of the roll-ups that is not what the events say; either may be missing (None).

    Both are written as JSON, with the columns of the table.
    """

    customer: str
    meter: str
    stored: str | None
    fresh: str | None

    @override
    def __str__(self) -> str:
        stored, fresh = self.stored or "no row", self.fresh or "no row"
        return f"{self.customer}, {self.meter}: roll-ups hold {stored}, but the events say {fresh}."


def differences(
    meter: Meter, customer: Customer, span: Range | None = None
) -> Iterator[Difference]:
    """Yield where a customer's roll-ups of a filled meter differ from its folded events.

    With a `span`, only buckets that begin in it are compared; it has to fit the roll-ups' days.

    Each statement sees one moment, so events may come in and be folded meanwhile. A customer
    without roll-ups to rely on is read from the events, so nothing can differ. Buckets around
    a correction that roll-ups do not hold yet are no difference: they are read from the events.
    Those that events of archived months went into, or should have, are left alone.
    """
    layout = layout_of(meter, customer)
    selection = selected(customer, span)
    if layout is None or selection is None:
        return
    buckets = rollups.fresh_buckets(meter, layout, selection)
    rows = compare(BUCKETS, buckets, layout, span)
    members = rollups.fresh_members(meter, layout, selection)
    if members is not None:
        rows += compare(MEMBERS, members, layout, span)
    for stored, fresh in rows:
        yield Difference(customer.key, meter.key, stored, fresh)


def selected(customer: Customer, span: Range | None) -> Selection | None:
    if span is None:
        return rollups.folded_events(customer.pk)
    return rollups.folded_events_between(customer.pk, span.start, span.end)


def compare(
    source: str, fresh: FreshRows, layout: UsageLayout, span: Range | None
) -> list[tuple[str | None, str | None]]:
    key = ", ".join(rollups.BUCKET_KEY if source == BUCKETS else fresh.columns)
    within = "TRUE"
    params = {**fresh.params, "lacks": layout.lacks}
    if span is not None:
        within = "bucket_start >= %(span_start)s AND bucket_start < %(span_end)s"
        params = params | {"span_start": span.start, "span_end": span.end}
    statement = f"""
        {fresh.read}
        SELECT to_jsonb(stored)::text, to_jsonb(fresh)::text
        FROM (
            SELECT {", ".join(fresh.columns)} FROM {source}
            WHERE customer_id = %(customer)s AND meter_id = %(meter)s AND {within}
        ) AS stored
        FULL JOIN ({fresh.sql}) AS fresh USING ({key})
        WHERE stored IS DISTINCT FROM fresh AND NOT EXISTS (
            SELECT FROM metering_pendingcorrection c
            WHERE c.customer_id = %(customer)s AND c.event_type = %(event_type)s
                AND c.at >= bucket_start AND c.at < bucket_start + {LONGEST_BUCKET}
        ) AND NOT EXISTS (
            SELECT FROM metering_archivedusage a
            WHERE a.customer_id = %(customer)s AND a.event_type = %(event_type)s
                AND bucket_start < a.end_at AND bucket_start + {LONGEST_BUCKET} > a.start_at
        ) AND NOT EXISTS (
            SELECT FROM unnest(%(lacks)s::timestamptz[]) AS month (start)
            WHERE bucket_start < month.start + interval '31 days'
                AND bucket_start + {LONGEST_BUCKET} > month.start
        )
        ORDER BY {key}
    """
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return list(cursor.fetchall())
