"""The parts of the statement that reads usage: roll-ups, and raw events as partial results.

All parts share a snapshot: whole buckets from the roll-ups, raw events where a bucket is cut, and
the raw events of batches that are still to be folded. Together they are every event exactly once,
at any moment.
"""
# ruff: noqa: S608  # The statements are put together from constants; see meter_sql.

from collections.abc import Iterator
from functools import cached_property
from typing import Any

from metering.aggregations import Reads
from metering.models.usage import NO_DIMENSIONS
from metering.selectors.cutoffs import COUNTED
from metering.selectors.meter_sql import (
    CURRENT,
    TEXT,
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
from metering.selectors.usage_plan import Plan, Question, Stretch
from metering.windows import Range

# Between the two edges of a whole range, an odd number of edges has been passed.
IS_WHOLE = "mod(width_bucket({at}, %(edges_{name})s::timestamptz[]), 2) = 1"


def edges_of(ranges: list[Range]) -> list[Any]:
    return [edge for whole in ranges for edge in (whole.start, whole.end)]


class UsageParts:
    """SELECTs of customer id, `at`, the groups `g0`, `g1`, ... and partial results or members."""

    def __init__(self, question: Question, plan: Plan) -> None:
        self.question = question
        self.plan = plan
        self.meter = question.meter
        self.measure = question.aggregation.measure(self.meter)
        self.reads_members = self.measure.reads is Reads.TEXT
        # Rows of dimensions say `other` for values without a row; events read beside them too.
        is_by_rows = any(stretch.by_dimensions for stretch in plan.stretches)
        self.layout = question.layout if is_by_rows else None
        is_one = len(question.customer_ids) == 1
        self.customers = "= %(customer)s" if is_one else "= ANY(%(customers)s)"

    @cached_property
    def partials(self) -> list[str]:
        """Return the columns of partial results. What carries in is told by its events too."""
        counts_events = self.question.aggregation.carries
        return list(dict.fromkeys([*(["events"] if counts_events else []), *self.measure.partials]))

    @property
    def params(self) -> dict[str, Any]:
        question, plan = self.question, self.plan
        edges = {
            f"edges_{index}": edges_of(stretch.ranges)
            for index, stretch in enumerate(plan.stretches)
        }
        return {
            **meter_params(self.meter),
            **(question.cutoff.params if question.cutoff else {}),
            **numbered("group", question.group_by),
            **kept_params(question.group_by, self.layout),
            **numbered("only", question.filters),
            **numbered("only_text", question.filters.values()),
            **edges,
            "edges_carried": edges_of(in_order(plan.carried)),
            "edges_period": edges_of(in_order(plan.whole)),
            "edges_all": edges_of(in_order(plan.stretches)),
            "customer": question.customer_ids[0],
            "customers": list(question.customer_ids),
            "begin": question.begin,
            "start": question.start,
            "end": question.end,
            "midnights": plan.grid.midnights if plan.grid else [],
            "raw_starts": [raw.start for raw in plan.raw],
            "raw_ends": [raw.end for raw in plan.raw],
        }

    def __iter__(self) -> Iterator[str]:
        is_ordered = self.question.aggregation.ordered
        for index, stretch in enumerate(self.plan.stretches):
            rows = self.rows_of_whole_buckets(stretch, str(index))
            if is_ordered and stretch not in self.plan.carried:
                rows += " AND b.bucket_start < (SELECT since FROM disturbed)"
            yield rows
        if self.plan.stretches:
            yield self.pending_events("carried" if is_ordered else "all")
            if is_ordered:
                yield self.disturbed_events
        if self.plan.raw:
            yield self.events_of_cut_buckets

    @property
    def pending(self) -> str:
        return f"""
            SELECT p.customer_id, p.batch_id, p.first_at, p.last_at FROM metering_pendingbatch p
            WHERE p.customer_id {self.customers}
                AND p.last_at >= %(begin)s AND p.first_at < %(end)s
        """

    @property
    def disturbed(self) -> str:
        """Return since when buckets lack events, so that what is kept in order does not hold."""
        first = bucket_sql("min(GREATEST(first_at, %(start)s))", "hour")
        return f"""
            SELECT COALESCE({first}, 'infinity') AS since FROM pending WHERE last_at >= %(start)s
        """

    def rows_of_whole_buckets(self, stretch: Stretch, name: str) -> str:
        """Return the partial results of the roll-ups."""
        row, source = "b", "metering_usagebucket b"
        columns = ", ".join(f"b.{column}" for column in self.partials)
        if self.reads_members:
            row, columns = "m", "member"
            source = "metering_usagemembers m CROSS JOIN LATERAL unnest(m.members) AS member"
            if stretch.by_dimensions:
                # A row of members knows its dimensions by their digest alone.
                source += """ JOIN metering_usagebucket b
                    USING (customer_id, meter_id, grain, bucket_start, dimensions_digest)"""
        kind = "<>" if stretch.by_dimensions else "="
        groups = self.groups("b.dimensions") if stretch.by_dimensions else ""
        edges = f"(%(edges_{name})s::timestamptz[])"
        customer = (
            "customer_id"
            if self.reads_members and stretch.by_dimensions
            else (f"{row}.customer_id")
        )
        return f"""
            SELECT {customer}, {row}.bucket_start AS at, {columns}{groups}
            FROM {source}
            WHERE {row}.customer_id {self.customers} AND {row}.meter_id = %(meter)s
                AND {row}.grain = '{stretch.grain}'
                AND {row}.bucket_start >= {edges}[1]
                AND {row}.bucket_start < {edges}[array_upper({edges}, 1)]
                AND {IS_WHOLE.format(at=f"{row}.bucket_start", name=name)}
                AND {row}.dimensions_digest {kind} uuid '{NO_DIMENSIONS}'
                AND {self.conditions("b.dimensions")}
        """

    @property
    def events_of_cut_buckets(self) -> str:
        return f"""
            {self.event_columns}
            FROM unnest(%(raw_starts)s::timestamptz[], %(raw_ends)s::timestamptz[]) AS r (start, past)
            CROSS JOIN LATERAL (
                SELECT * FROM metering_event e WHERE e.customer_id {self.customers}
                    AND e.timestamp >= r.start AND e.timestamp < r.past OFFSET 0
            ) AS e
            WHERE {self.event_conditions}
        """

    def pending_events(self, name: str) -> str:
        """Return the events, in whole buckets, of batches that are still to be folded.

        IS TRUE keeps the condition from becoming a join, which compares every event with every
        batch where the planner expects few; as it is, each event is looked up in a hash table.
        """
        return f"""
            {self.event_columns}
            FROM metering_event e
            WHERE e.customer_id {self.customers}
                AND e.timestamp >= %(begin)s AND e.timestamp < %(end)s
                AND e.timestamp >= (SELECT min(first_at) FROM pending)
                AND e.timestamp <= (SELECT max(last_at) FROM pending)
                AND ((e.customer_id, e.batch_id) IN (SELECT customer_id, batch_id FROM pending))
                    IS TRUE
                AND {IS_WHOLE.format(at="e.timestamp", name=name)} AND {self.event_conditions}
        """

    @property
    def disturbed_events(self) -> str:
        """Return every event of the period's buckets from the first on that lacks one."""
        return f"""
            {self.event_columns}
            FROM metering_event e
            WHERE e.customer_id {self.customers}
                AND e.timestamp >= %(start)s AND e.timestamp < %(end)s
                AND e.timestamp >= (SELECT since FROM disturbed)
                AND {IS_WHOLE.format(at="e.timestamp", name="period")} AND {self.event_conditions}
        """

    @property
    def event_columns(self) -> str:
        """Return one event as the partial results of itself.

        The types are those of the roll-ups, or columns that nobody reads would be worked out.
        """
        if self.reads_members:
            # Digests match those of the roll-ups; among themselves events need none.
            columns = f"{digest_sql(TEXT) if self.plan.stretches else TEXT} AS member"
        else:
            columns = ", ".join(self.event_partials)
        return f"SELECT e.customer_id, e.timestamp AS at, {columns}{self.groups('e.properties')}"

    @property
    def event_partials(self) -> Iterator[str]:
        number = reading_of(self.meter).number
        for name in self.partials:
            if name not in PARTIALS:
                # An event alone has no running total to keep the greatest of.
                yield f"NULL::numeric AS {name}"
                continue
            partial = PARTIALS[name]
            event = partial.event.format(number=number, at="e.timestamp", id="e.event_id")
            yield f"({event})::{partial.type} AS {name}"

    @property
    def event_conditions(self) -> str:
        counts = CURRENT if self.question.cutoff is None else COUNTED
        conditions = [matches_sql(self.meter, counts=counts), self.conditions("e.properties")]
        if self.reads_members:
            conditions.append(f"{TEXT} IS NOT NULL")
        return " AND ".join(conditions)

    def groups(self, properties: str) -> str:
        return "".join(
            f", {dimension_sql(properties, 'group', index, name, self.layout)} AS g{index}"
            for index, name in enumerate(self.question.group_by)
        )

    def conditions(self, properties: str) -> str:
        names = range(len(self.question.filters))
        conditions = (
            f"({properties} ->> %(only_{index})s) IS NOT DISTINCT FROM %(only_text_{index})s::text"
            for index in names
        )
        return " AND ".join(conditions) or "TRUE"


def in_order(stretches: list[Stretch]) -> list[Range]:
    return sorted(
        (whole for stretch in stretches for whole in stretch.ranges), key=lambda each: each.start
    )
