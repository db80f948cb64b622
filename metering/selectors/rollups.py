"""Raw events aggregated into the rows that roll-ups hold.

Folding adds these rows to the stored ones, verification compares them. The events are read once,
cut as finely as any of the rows needs, and the result is added up again: by bucket, and by day and
dimensions. The distinct values that a meter counts are cut apart too.
"""
# ruff: noqa: S608  # The statements are put together from constants; see meter_sql.

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from django.db import connection

from metering import aggregations
from metering.aggregations import RollUps
from metering.models import Meter, UsageLayout
from metering.models.usage import NO_DIMENSIONS, Grain
from metering.selectors.meter_sql import (
    STEPS,
    bucket_sql,
    digest_sql,
    dimension_sql,
    kept_params,
    matches_sql,
    meter_params,
    numbered,
    reading_of,
)
from metering.selectors.partials import PARTIALS
from metering.windows import Grid, Range

BUCKET_KEY = ("customer_id", "meter_id", "grain", "bucket_start", "dimensions_digest")
MEMBER_COLUMNS = (*BUCKET_KEY, "member")


@dataclass(frozen=True, slots=True)
class Selection:
    """Which events of one customer are read: SQL over the event `e`, and its parameters.

    All of them lie in `span`.
    """

    sql: str
    params: dict[str, Any]
    span: Range


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
        Range(first_at, last_at + timedelta.resolution),
    )


FOLDED = (
    "e.customer_id = %(customer)s AND e.batch_id NOT IN ("
    "SELECT p.batch_id FROM metering_pendingbatch p WHERE p.customer_id = %(customer)s)"
)


def folded_events(customer_id: int) -> Selection | None:
    """Select the events that the roll-ups hold, or held: all but those of pending batches.

    Versions that no longer count are left out where a meter reads the selection. None when there
    is no event at all.
    """
    span = event_span(customer_id)
    return None if span is None else Selection(FOLDED, {"customer": customer_id}, span)


def folded_events_between(customer_id: int, start: datetime, end: datetime) -> Selection:
    """Select the events in `[start, end)` that the roll-ups hold."""
    return Selection(
        f"{FOLDED} AND e.timestamp >= %(first_at)s AND e.timestamp < %(past_at)s",
        {"customer": customer_id, "first_at": start, "past_at": end},
        Range(start, end),
    )


def event_span(customer_id: int) -> Range | None:
    """Return the stretch of time that all events of a customer lie in."""
    statement = "SELECT min(timestamp), max(timestamp) FROM metering_event WHERE customer_id = %s"
    with connection.cursor() as cursor:
        cursor.execute(statement, [customer_id])
        [(first, last)] = cursor.fetchall()
    return None if first is None else Range(first, last + timedelta.resolution)


@dataclass(frozen=True, slots=True)
class FreshRows:
    """A SELECT of the rows that a selection of events makes of a meter, and its parameters.

    It reads them from `cells`, a SELECT for a statement to begin with, under this name.
    """

    sql: str
    columns: tuple[str, ...]
    params: dict[str, Any]
    cells: str = ""

    @property
    def read(self) -> str:
        """Return what a statement begins with that reads these rows; others may share it."""
        return f"WITH cells AS MATERIALIZED ({self.cells})" if self.cells else ""


class Cells:
    """How a meter's events are cut: by bucket, and by day and dimensions where it has any."""

    def __init__(self, meter: Meter, layout: UsageLayout, selection: Selection) -> None:
        self.meter = meter
        self.layout = layout
        self.selection = selection
        self.aggregation = aggregations.of_meter(meter)
        self.roll_ups: RollUps = self.aggregation.roll_ups(meter)
        self.dimensions = meter.group_by if self.roll_ups.by_dimensions else []
        self.names = [f"d{index}" for index in range(len(self.dimensions))]
        self.day_key = ", ".join(["day", *self.names])
        self.partials = kept_partials(meter)
        self.values = ("events", *self.partials, *self.ordered_values, "unparsed")

    @cached_property
    def params(self) -> dict[str, Any]:
        span = self.selection.span
        return {
            **meter_params(self.meter),
            **self.selection.params,
            **numbered("dimension", self.dimensions),
            **kept_params(self.dimensions, self.layout),
            "midnights": Grid(span.start, span.end, self.layout.zone).midnights,
        }

    @property
    def ordered_values(self) -> tuple[str, ...]:
        return ("highest",) if self.aggregation.ordered else ()

    @property
    def cuts_days(self) -> bool:
        return bool(self.dimensions) or self.roll_ups.daily

    @property
    def cuts(self) -> str:
        """Return the columns `bucket_start`, `day`, `d0`, ... of the events that are read."""
        columns = [f"{bucket_sql('at', self.roll_ups.grain)} AS bucket_start"]
        if self.cuts_days:
            columns += [f"{bucket_sql('at', Grain.DAY)} AS day", *self.names]
        return ", ".join(columns)

    @property
    def cut_names(self) -> str:
        return ", ".join(["bucket_start", self.day_key] if self.cuts_days else ["bucket_start"])

    @property
    def read(self) -> str:
        """Return the events with their values.

        OFFSET keeps a value from being worked out again by each aggregate over it.
        """
        reading = reading_of(self.meter)
        dimensions = "".join(
            f", {dimension_sql('e.properties', 'dimension', index, name, self.layout)} AS d{index}"
            for index, name in enumerate(self.dimensions)
        )
        return f"""
            (SELECT e.timestamp AS at, e.event_id, {reading.number} AS number,
                {reading.member} AS member{dimensions}
            FROM metering_event e
            WHERE {self.selection.sql} AND {matches_sql(self.meter)} OFFSET 0) AS read
        """

    @property
    def sql(self) -> str:
        """Return the cells and what their events add up to, by member where members are kept."""
        added = "".join(f", {PARTIALS[name].add} AS {name}" for name in self.partials)
        by_member, member = "", ""
        if self.roll_ups.members:
            by_member, member = ", member", f", {digest_sql('member')} AS member"
        return f"""
            SELECT {self.cut_names}{member}, count(*) AS events{added},
                count(*) FILTER (WHERE is_unparsed) AS unparsed
            FROM (
                SELECT {self.cuts}{by_member}{self.event_values},
                    {reading_of(self.meter).is_unparsed} AS is_unparsed
                FROM {self.read}
            ) AS event GROUP BY {self.cut_names}{by_member}
        """

    @property
    def dimensions_object(self) -> str:
        pairs = (f"%(dimension_{index})s::text, d{index}" for index in range(len(self.dimensions)))
        return f"jsonb_build_object({', '.join(pairs)})"

    @property
    def event_values(self) -> str:
        names = {"number": "number", "at": "at", "id": "event_id"}
        columns = (f"{PARTIALS[name].event.format(**names)} AS {name}" for name in self.partials)
        return "".join(f", {column}" for column in columns)

    @property
    def added_up(self) -> str:
        added = (f"{PARTIALS[name].add} AS {name}" for name in ("events", *self.partials))
        return ", ".join([*added, "sum(unparsed)::bigint AS unparsed"])

    def row_values(self, highest: str) -> str:
        ordered = [f"{highest} AS highest"] if self.aggregation.ordered else []
        return ", ".join(["events", *self.partials, *ordered, "unparsed"])

    def head(self, grain: str, bucket: str, digest: str) -> str:
        """Return the key of a row, in the order of BUCKET_KEY."""
        return f"""
            %(customer)s::bigint AS customer_id, %(meter)s::bigint AS meter_id,
            '{grain}'::varchar AS grain, {bucket} AS bucket_start, {digest} AS dimensions_digest
        """

    def total_head(self, grain: str, bucket: str) -> str:
        return self.head(grain, bucket, f"uuid '{NO_DIMENSIONS}'")

    @property
    def day_head(self) -> str:
        return self.head(Grain.DAY, "day", digest_sql("dimensions::text"))


def kept_partials(meter: Meter) -> tuple[str, ...]:
    """Return the columns beside `events` that a meter's roll-ups keep and that add up."""
    partials = aggregations.of_meter(meter).measure(meter).partials
    return tuple(name for name in partials if name in PARTIALS and name != "events")


def fresh_buckets(meter: Meter, layout: UsageLayout, selection: Selection) -> FreshRows:
    """Return rows of the meter's own columns, with its key in front."""
    cells = Cells(meter, layout, selection)
    parts = [totals(cells)]
    if cells.roll_ups.daily:
        parts.append(f"""
            SELECT {cells.total_head(Grain.DAY, "day")}, jsonb '{{}}' AS dimensions,
                {cells.row_values("NULL::numeric")}
            FROM (SELECT day, {cells.added_up} FROM cells GROUP BY day) AS days
        """)
    if cells.dimensions:
        parts.append(f"""
            SELECT {cells.day_head}, dimensions, {cells.row_values("NULL::numeric")} FROM (
                SELECT day, {cells.dimensions_object} AS dimensions, {cells.added_up}
                FROM cells GROUP BY {cells.day_key}
            ) AS days
        """)
    columns = (*BUCKET_KEY, "dimensions", *cells.values)
    return FreshRows(" UNION ALL ".join(parts), columns, cells.params, cells.sql)


def totals(cells: Cells) -> str:
    source = f"(SELECT bucket_start, {cells.added_up} FROM cells GROUP BY bucket_start) AS total"
    if cells.aggregation.ordered:
        source += f" LEFT JOIN ({greatest_levels(cells.cuts, cells.read)}) AS level"
        source += " USING (bucket_start)"
    return f"""
        SELECT {cells.total_head(cells.roll_ups.grain, "bucket_start")}, jsonb '{{}}' AS dimensions,
            {cells.row_values("highest")}
        FROM {source}
    """


def greatest_levels(cuts: str, read: str) -> str:
    """Return rows of `bucket_start` and `highest`: what the running total reaches in a bucket.

    Without ROWS the frame of the sum takes in all events of an instant.
    """
    return f"""
        SELECT bucket_start, max(reached) AS highest FROM (
            SELECT bucket_start, sum(number) OVER (PARTITION BY bucket_start ORDER BY at) AS reached
            FROM (SELECT {cuts}, number, at FROM {read}) AS event
        ) AS levels GROUP BY bucket_start
    """


def touched_levels(meter: Meter, layout: UsageLayout, selection: Selection) -> FreshRows:
    """Return the rows of `greatest_levels` of the buckets that the selected events lie in.

    They are worked out from all events that the roll-ups are to hold.
    """
    cells = Cells(meter, layout, selection)
    grain = cells.roll_ups.grain
    touched = f"""
        SELECT DISTINCT {bucket_sql("e.timestamp", grain)} AS start FROM metering_event e
        WHERE {selection.sql} AND {matches_sql(meter)}
    """
    read = f"""
        (SELECT t.start AS bucket_start, e.timestamp AS at, {reading_of(meter).number} AS number
        FROM ({touched}) AS t CROSS JOIN LATERAL (
            SELECT * FROM metering_event e WHERE {FOLDED}
                AND e.timestamp >= t.start AND e.timestamp < t.start + {STEPS[grain]} OFFSET 0
        ) AS e
        WHERE {matches_sql(meter)} AND {bucket_sql("e.timestamp", grain)} = t.start) AS read
    """
    sql = greatest_levels("bucket_start", read)
    return FreshRows(sql, ("bucket_start", "highest"), cells.params)


def fresh_members(meter: Meter, layout: UsageLayout, selection: Selection) -> FreshRows | None:
    """Return rows in the order of MEMBER_COLUMNS, or None for a meter that keeps no members.

    They come from the same cells as the meter's buckets.
    """
    cells = Cells(meter, layout, selection)
    if not cells.roll_ups.members:
        return None
    sql = f"""
        SELECT {cells.total_head(cells.roll_ups.grain, "bucket_start")}, member
        FROM cells WHERE member IS NOT NULL
    """
    if cells.dimensions:
        # A member is in a cell of each combination of dimensions that it was seen with.
        sql += f"""
            GROUP BY bucket_start, member
            UNION ALL
            SELECT {cells.day_head}, member FROM (
                SELECT day, {cells.dimensions_object} AS dimensions, member
                FROM cells WHERE member IS NOT NULL GROUP BY {cells.day_key}, member
            ) AS days
        """
    return FreshRows(sql, MEMBER_COLUMNS, cells.params, cells.sql)
