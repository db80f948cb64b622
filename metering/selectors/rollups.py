"""Raw events aggregated into the rows that roll-ups hold.

Folding adds these rows to the stored ones, verification compares them. Each statement reads the
events once, cut as finely as any of its rows needs, and adds the result up again: by bucket, and
by day and dimensions.
"""
# ruff: noqa: S608  # The statements are put together from constants; see meter_sql.

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from metering import aggregations
from metering.aggregations import RollUps
from metering.models import Meter
from metering.models.usage import NO_DIMENSIONS, Grain
from metering.selectors.meter_sql import (
    bucket_sql,
    digest_sql,
    matches_sql,
    meter_params,
    numbered,
    reading_of,
)

BUCKET_KEY = ("customer_id", "meter_id", "grain", "bucket_start", "dimensions_digest")
BUCKET_VALUES = ("events", "total", "greatest", "least", "unparsed")
BUCKET_COLUMNS = (*BUCKET_KEY, "dimensions", *BUCKET_VALUES)
MEMBER_COLUMNS = (*BUCKET_KEY, "member")

ADDED_UP = """
    sum(events)::bigint AS events, sum(total) AS total, max(greatest) AS greatest,
    min(least) AS least, sum(unparsed)::bigint AS unparsed
"""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which events of one customer are read: SQL over the event `e`, and its parameters."""

    sql: str
    params: dict[str, Any]


def events_of_batches(
    customer_id: int, batches: Sequence[int], first_at: datetime, last_at: datetime
) -> Selection:
    """Select the events of these batches, all of which lie between the two instants."""
    return Selection(
        "e.customer_id = %(customer)s AND e.batch_id = ANY(%(batches)s)"
        " AND e.timestamp BETWEEN %(first_at)s AND %(last_at)s",
        {
            "customer": customer_id,
            "batches": list(batches),
            "first_at": first_at,
            "last_at": last_at,
        },
    )


def folded_events(customer_id: int) -> Selection:
    """Select the events that the roll-ups hold, or held: all but those of pending batches.

    Versions that no longer count are left out where a meter reads the selection.
    """
    return Selection(
        "e.customer_id = %(customer)s AND e.batch_id NOT IN ("
        "SELECT p.batch_id FROM metering_pendingbatch p WHERE p.customer_id = %(customer)s)",
        {"customer": customer_id},
    )


def folded_events_between(customer_id: int, start: datetime, end: datetime) -> Selection:
    """Select the events in `[start, end)` that the roll-ups hold."""
    folded = folded_events(customer_id)
    return Selection(
        f"{folded.sql} AND e.timestamp >= %(first_at)s AND e.timestamp < %(past_at)s",
        {**folded.params, "first_at": start, "past_at": end},
    )


@dataclass(frozen=True, slots=True)
class FreshRows:
    """A SELECT of the rows that a selection of events makes of a meter, and its parameters."""

    sql: str
    params: dict[str, Any]


class Cells:
    """How a meter's events are cut: by bucket, and by day and dimensions where it has any."""

    def __init__(self, meter: Meter, selection: Selection) -> None:
        self.meter = meter
        self.selection = selection
        self.roll_ups: RollUps = aggregations.of_meter(meter).roll_ups(meter)
        self.dimensions = meter.group_by if self.roll_ups.by_dimensions else []
        self.names = [f"d{index}" for index in range(len(self.dimensions))]
        self.day_key = ", ".join(["day", *self.names])

    @property
    def params(self) -> dict[str, Any]:
        return {
            **meter_params(self.meter),
            **self.selection.params,
            **numbered("dimension", self.dimensions),
        }

    @property
    def cuts(self) -> str:
        """Return the columns `bucket_start`, `day`, `d0`, ... of the events that are read."""
        columns = [f"{bucket_sql('read.timestamp', self.roll_ups.grain)} AS bucket_start"]
        if self.dimensions:
            columns += [f"{bucket_sql('read.timestamp', Grain.DAY)} AS day", *self.names]
        return ", ".join(columns)

    @property
    def cut_names(self) -> str:
        return ", ".join(["bucket_start", self.day_key] if self.dimensions else ["bucket_start"])

    @property
    def read(self) -> str:
        """Return the events with their values.

        OFFSET keeps a value from being worked out again by each aggregate over it.
        """
        reading = reading_of(self.meter)
        dimensions = "".join(
            f", (e.properties ->> %(dimension_{index})s) AS d{index}"
            for index in range(len(self.dimensions))
        )
        return f"""
            (SELECT e.timestamp, {reading.number} AS number, {reading.member} AS member{dimensions}
            FROM metering_event e
            WHERE {self.selection.sql} AND {matches_sql(self.meter)} OFFSET 0) AS read
        """

    @property
    def dimensions_object(self) -> str:
        pairs = (f"%(dimension_{index})s::text, d{index}" for index in range(len(self.dimensions)))
        return f"jsonb_build_object({', '.join(pairs)})"

    def head(self, grain: str, bucket: str, digest: str) -> str:
        """Return the key of a row, in the order of BUCKET_KEY."""
        return f"""
            %(customer)s::bigint AS customer_id, %(meter)s::bigint AS meter_id,
            '{grain}'::varchar AS grain, {bucket} AS bucket_start, {digest} AS dimensions_digest
        """

    @property
    def total_head(self) -> str:
        return self.head(self.roll_ups.grain, "bucket_start", f"uuid '{NO_DIMENSIONS}'")

    @property
    def day_head(self) -> str:
        return self.head(Grain.DAY, "day", digest_sql("dimensions::text"))


def fresh_buckets(meter: Meter, selection: Selection) -> FreshRows:
    """Return rows in the order of BUCKET_COLUMNS."""
    cells = Cells(meter, selection)
    sql = f"""
        WITH cells AS MATERIALIZED (
            SELECT {cells.cuts}, count(*) AS events, sum(number) AS total, max(number) AS greatest,
                min(number) AS least,
                count(*) FILTER (WHERE {reading_of(meter).is_unparsed}) AS unparsed
            FROM {cells.read} GROUP BY {cells.cut_names}
        )
        SELECT {cells.total_head}, jsonb '{{}}' AS dimensions, {ADDED_UP}
        FROM cells GROUP BY bucket_start
    """
    if cells.dimensions:
        sql += f"""
            UNION ALL
            SELECT {cells.day_head}, dimensions, {", ".join(BUCKET_VALUES)} FROM (
                SELECT day, {cells.dimensions_object} AS dimensions, {ADDED_UP}
                FROM cells GROUP BY {cells.day_key}
            ) AS days
        """
    return FreshRows(sql, cells.params)


def fresh_members(meter: Meter, selection: Selection) -> FreshRows | None:
    """Return rows in the order of MEMBER_COLUMNS, or None for a meter that keeps no members."""
    cells = Cells(meter, selection)
    if not cells.roll_ups.members:
        return None
    member = digest_sql("member")
    sql = f"""
        WITH cells AS MATERIALIZED (
            SELECT DISTINCT {cells.cuts}, member FROM {cells.read} WHERE member IS NOT NULL
        )
        SELECT {cells.total_head}, {member} AS member
        FROM (SELECT DISTINCT bucket_start, member FROM cells) AS totals
    """
    if cells.dimensions:
        sql += f"""
            UNION ALL
            SELECT {cells.day_head}, {member} AS member FROM (
                SELECT day, {cells.dimensions_object} AS dimensions, member
                FROM cells GROUP BY {cells.day_key}, member
            ) AS days
        """
    return FreshRows(sql, cells.params)
