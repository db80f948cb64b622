"""The one statement that reads usage.

Its parts share a snapshot: whole buckets from the roll-ups, raw events where a bucket is cut, and
the raw events of batches that are still to be folded. Together they are every event exactly once,
at any moment.
"""
# ruff: noqa: S608  # The statements are put together from constants; see meter_sql.

from typing import Any

from metering import aggregations
from metering.aggregations import Reads
from metering.models.usage import NO_DIMENSIONS
from metering.selectors.cutoffs import COUNTED
from metering.selectors.meter_sql import (
    CURRENT,
    STEPS,
    TEXT,
    digest_sql,
    matches_sql,
    meter_params,
    numbered,
    reading_of,
)
from metering.selectors.usage_plan import Plan, Question

# The meter's own windows are counted from the start of their day; without any, all is one.
DAYS = "%(days)s::timestamptz[]"
DAY_NUMBER = f"width_bucket(at, {DAYS})"
INNER_WINDOWS = {
    "": "0",
    "minute": f"date_bin({STEPS['minute']}, at, ({DAYS})[{DAY_NUMBER}])",
    "hour": f"date_bin({STEPS['hour']}, at, ({DAYS})[{DAY_NUMBER}])",
    "day": DAY_NUMBER,
}
# Between the two edges of a whole range, an odd number of edges has been passed.
IS_WHOLE = "mod(width_bucket({at}, %(edges)s::timestamptz[]), 2) = 1"


class UsageStatement:
    """SQL for rows of customer id, number of the window from 1, groups, value and NULL.

    Where an event of a customer was corrected that the plan does not know of, the first rows are
    of the customer's id, 0, NULLs and TRUE, and the others are worthless.
    """

    def __init__(self, question: Question, plan: Plan) -> None:
        self.question = question
        self.plan = plan
        self.meter = question.meter
        self.aggregation = aggregations.of_meter(self.meter)
        self.measure = self.aggregation.measure(self.meter)
        self.reads_members = self.measure.reads is Reads.TEXT
        is_one = len(question.customer_ids) == 1
        self.customers = "= %(customer)s" if is_one else "= ANY(%(customers)s)"

    @property
    def params(self) -> dict[str, Any]:
        question, plan = self.question, self.plan
        edges = [edge for whole in plan.whole for edge in (whole.start, whole.end)]
        return {
            **meter_params(self.meter),
            **(question.cutoff.params if question.cutoff else {}),
            **numbered("group", question.group_by),
            **numbered("only", question.filters),
            **numbered("only_text", question.filters.values()),
            "customer": question.customer_ids[0],
            "customers": list(question.customer_ids),
            "start": question.start,
            "end": question.end,
            "starts": list(question.starts),
            "days": list(plan.days),
            "grain": plan.grain,
            "edges": edges,
            "first_edge": edges[0] if edges else None,
            "last_edge": edges[-1] if edges else None,
            "raw_starts": [raw.start for raw in plan.raw],
            "raw_ends": [raw.end for raw in plan.raw],
            "limit": question.limit,
            "corrections": list(question.corrections),
        }

    @property
    def sql(self) -> str:
        parts = [self.rows_of_whole_buckets, self.pending_events] if self.plan.whole else []
        parts += [self.events_of_cut_buckets] if self.plan.raw else []
        groups = "".join(f", g{index}" for index in range(len(self.question.group_by)))
        key = f"customer_id, number{groups}"
        # What is read may hold a member twice; once for each window is what counts.
        distinct = "DISTINCT " if self.reads_members else ""
        partials = "member" if self.reads_members else "events, total, greatest, least"
        statement = f"""
            WITH pending AS ({self.pending}),
            partial AS ({" UNION ALL ".join(parts)}),
            placed AS (
                SELECT {distinct}customer_id{groups}, {partials},
                    width_bucket(at, %(starts)s::timestamptz[]) AS number,
                    {INNER_WINDOWS[self.meter.window]} AS inner_window
                FROM partial
            ),
            cells AS (
                SELECT {key}, {self.measure.combine} AS value
                FROM placed GROUP BY {key}, inner_window
            )
            SELECT {key}, COALESCE({self.aggregation.across}, 0)::numeric, NULL::boolean
            FROM cells GROUP BY {key} ORDER BY {key} LIMIT %(limit)s
        """
        return f"{self.outdated} UNION ALL ({statement})" if self.plan.whole else statement

    @property
    def outdated(self) -> str:
        no_groups = ", NULL" * len(self.question.group_by)
        return f"""
            SELECT c.customer_id, 0{no_groups}, NULL, TRUE FROM metering_pendingcorrection c
            WHERE c.customer_id {self.customers} AND c.event_type = %(event_type)s
                AND c.batch_id <> ALL(%(corrections)s::bigint[])
        """

    @property
    def pending(self) -> str:
        return f"""
            SELECT p.customer_id, p.batch_id, p.first_at, p.last_at FROM metering_pendingbatch p
            WHERE p.customer_id {self.customers}
                AND p.last_at >= %(start)s AND p.first_at < %(end)s
        """

    @property
    def rows_of_whole_buckets(self) -> str:
        """Return the partial results of the roll-ups."""
        row, source = "b", "metering_usagebucket b"
        columns = "b.events, b.total, b.greatest, b.least"
        if self.reads_members:
            row, source, columns = "m", "metering_usagemember m", "m.member"
            if self.plan.by_dimensions:
                # A member's row knows its dimensions by their digest alone.
                source += """ JOIN metering_usagebucket b
                    USING (customer_id, meter_id, grain, bucket_start, dimensions_digest)"""
        kind = "<>" if self.plan.by_dimensions else "="
        return f"""
            SELECT {row}.customer_id, {row}.bucket_start AS at, {columns}{self.groups("b.dimensions")}
            FROM {source}
            WHERE {row}.customer_id {self.customers} AND {row}.meter_id = %(meter)s
                AND {row}.grain = %(grain)s
                AND {row}.bucket_start >= %(first_edge)s AND {row}.bucket_start < %(last_edge)s
                AND {IS_WHOLE.format(at=f"{row}.bucket_start")}
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

    @property
    def pending_events(self) -> str:
        """Return the events of batches that are still to be folded.

        IS TRUE keeps the condition from becoming a join, which compares every event with every
        batch where the planner expects few; as it is, each event is looked up in a hash table.
        """
        return f"""
            {self.event_columns}
            FROM metering_event e
            WHERE e.customer_id {self.customers}
                AND e.timestamp >= %(start)s AND e.timestamp < %(end)s
                AND e.timestamp >= (SELECT min(first_at) FROM pending)
                AND e.timestamp <= (SELECT max(last_at) FROM pending)
                AND ((e.customer_id, e.batch_id) IN (SELECT customer_id, batch_id FROM pending))
                    IS TRUE
                AND {IS_WHOLE.format(at="e.timestamp")} AND {self.event_conditions}
        """

    @property
    def event_columns(self) -> str:
        """Return one event as the partial results of itself.

        The types are those of the roll-ups, or columns that nobody reads would be worked out.
        """
        number = reading_of(self.meter).number
        columns = f"1::bigint AS events, {number} AS total, {number} AS greatest, {number} AS least"
        if self.reads_members:
            # Digests match those of the roll-ups; among themselves events need none.
            columns = f"{digest_sql(TEXT) if self.plan.whole else TEXT} AS member"
        return f"SELECT e.customer_id, e.timestamp AS at, {columns}{self.groups('e.properties')}"

    @property
    def event_conditions(self) -> str:
        counts = CURRENT if self.question.cutoff is None else COUNTED
        conditions = [matches_sql(self.meter, counts=counts), self.conditions("e.properties")]
        if self.reads_members:
            conditions.append(f"{TEXT} IS NOT NULL")
        return " AND ".join(conditions)

    def groups(self, properties: str) -> str:
        names = range(len(self.question.group_by))
        return "".join(f", {properties} ->> %(group_{index})s AS g{index}" for index in names)

    def conditions(self, properties: str) -> str:
        names = range(len(self.question.filters))
        conditions = (
            f"({properties} ->> %(only_{index})s) IS NOT DISTINCT FROM %(only_text_{index})s::text"
            for index in names
        )
        return " AND ".join(conditions) or "TRUE"
