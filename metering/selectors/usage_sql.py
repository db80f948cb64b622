"""The one statement that reads usage: partial results, placed in windows and combined.

The parts it reads from and why they are every event once: `metering.selectors.usage_parts`.
"""
# ruff: noqa: S608  # The statements are put together from constants; see meter_sql.

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

from metering import windows
from metering.aggregations import HIGHEST_PERCENTILE, Percentile
from metering.selectors.meter_sql import STEPS
from metering.selectors.usage_parts import UsageParts
from metering.selectors.usage_plan import Plan, Question

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta.resolution
# The meter's own windows are counted from the start of their day; without any, all is one.
DAYS = "%(days)s::timestamptz[]"
DAY_NUMBER = f"width_bucket(at, {DAYS})"
# Numbers of windows in rows that are no answer.
OUTDATED, ARCHIVED = 0, -1
INNER_WINDOWS = {
    "": "0",
    "day": DAY_NUMBER,
    **{name: f"date_bin({step}, at, ({DAYS})[{DAY_NUMBER}])" for name, step in STEPS.items()},
}


class UsageStatement:
    """SQL for rows of customer id, number of the window from 1, groups, value and NULL.

    Where a customer's roll-ups are cut otherwise than the plan took for granted, or an event was
    corrected that it does not know of, the first rows are of the customer's id, 0, NULLs and TRUE,
    and the other rows of that customer are worthless. Where the answer needs events that are
    archived, the number is ARCHIVED.
    """

    def __init__(self, question: Question, plan: Plan) -> None:
        self.question = question
        self.plan = plan
        self.aggregation = question.aggregation
        self.parts = UsageParts(question, plan)
        self.groups = "".join(f", g{index}" for index in range(len(question.group_by)))
        self.key = f"customer_id, number{self.groups}"

    @property
    def params(self) -> dict[str, Any]:
        question = self.question
        params = {
            **self.parts.params,
            "starts": list(question.starts),
            "last": len(question.starts),
            "days": list(self.plan.days),
            "limit": question.limit,
            "revisions": list(question.revisions),
            "corrections": list(question.corrections),
        }
        if self.aggregation.carries:
            cuts = [*question.starts, question.end]
            params["bounds"] = [(cut - EPOCH) // MICROSECOND for cut in cuts]
        if self.aggregation is Percentile:
            params |= self.counted_windows
        return params

    @property
    def counted_windows(self) -> dict[str, list[int]]:
        """Return how many windows of the meter each part of the period has, and leaves out."""
        meter, zone = self.question.meter, self.question.zone
        cuts = pairwise([*self.question.starts, self.question.end])
        counts = [windows.count_windows(*cut, meter.window, zone) for cut in cuts]
        percentile = meter.percentile or Decimal(HIGHEST_PERCENTILE)
        discarded = [Percentile.discarded(count, percentile) for count in counts]
        return {"windows": counts, "discarded": discarded}

    @property
    def sql(self) -> str:
        ctes = {"pending": self.parts.pending}
        if self.aggregation.ordered and self.plan.stretches:
            ctes["disturbed"] = self.parts.disturbed
        ctes["partial"] = " UNION ALL ".join(self.parts)
        ctes |= self.levels if self.aggregation.carries else self.cells
        answer = self.answer_of_levels if self.aggregation.carries else self.answer_of_cells
        written = ", ".join(f"{name} AS ({sql})" for name, sql in ctes.items())
        statement = f"({answer} ORDER BY {self.key} LIMIT %(limit)s)"
        refusals = [self.archived, *([self.outdated] if self.plan.stretches else []), statement]
        return f"WITH {written} {' UNION ALL '.join(refusals)}"

    @property
    def no_groups(self) -> str:
        return ", NULL::text" * len(self.question.group_by)

    @property
    def archived(self) -> str:
        """Return a row for each month whose events would be read, were they not archived.

        It is part of the statement that reads them, so no month can go unnoticed in between.
        """
        reads = [
            """EXISTS (
                SELECT FROM unnest(%(raw_starts)s::timestamptz[], %(raw_ends)s::timestamptz[])
                    AS r (start, past)
                WHERE a.start_at < r.past AND a.end_at > r.start
            )"""
        ]
        if self.aggregation.ordered and self.plan.stretches:
            reads.append("(a.end_at > %(start)s AND a.end_at > (SELECT since FROM disturbed))")
        return f"""
            SELECT a.customer_id, {ARCHIVED}{self.no_groups}, NULL::numeric, TRUE
            FROM metering_archivedusage a
            WHERE a.customer_id {self.parts.customers} AND a.event_type = %(event_type)s
                AND a.start_at < %(end)s AND ({" OR ".join(reads)})
        """

    @property
    def outdated(self) -> str:
        return f"""
            SELECT l.customer_id, {OUTDATED}{self.no_groups}, NULL::numeric, TRUE FROM metering_usagelayout l
            WHERE l.customer_id {self.parts.customers} AND l.meter_id = %(meter)s
                AND l.revision <> ALL(%(revisions)s::uuid[])
            UNION ALL
            SELECT c.customer_id, {OUTDATED}{self.no_groups}, NULL::numeric, TRUE FROM metering_pendingcorrection c
            WHERE c.customer_id {self.parts.customers} AND c.event_type = %(event_type)s
                AND c.batch_id <> ALL(%(corrections)s::bigint[])
        """

    @property
    def cells(self) -> dict[str, str]:
        """Return the value of each window of the meter, in each window of the question."""
        # What is read may hold a member twice; once for each window is what counts.
        distinct = "DISTINCT " if self.parts.reads_members else ""
        partials = "member" if self.parts.reads_members else ", ".join(self.parts.partials)
        combine = self.aggregation.measure(self.question.meter).combine
        return {
            "placed": f"""
                SELECT {distinct}customer_id{self.groups}, {partials},
                    width_bucket(at, %(starts)s::timestamptz[]) AS number,
                    {INNER_WINDOWS[self.question.meter.window]} AS inner_window
                FROM partial
            """,
            "cells": f"""
                SELECT {self.key}, {combine} AS value
                FROM placed GROUP BY {self.key}, inner_window
            """,
        }

    @property
    def answer_of_cells(self) -> str:
        return f"""
            SELECT {self.key}, COALESCE({self.aggregation.across}, 0)::numeric, NULL::boolean
            FROM cells GROUP BY {self.key}
        """

    @property
    def levels(self) -> dict[str, str]:
        """Return each window with the total before it, whether or not anything happened in it.

        What lies before the first window has the number 0.
        """
        who = f"customer_id{self.groups}"
        read = ", ".join(self.parts.partials)
        ctes = {
            "placed": f"""
                SELECT {who}, at, {read}, width_bucket(at, %(starts)s::timestamptz[]) AS number
                FROM partial
            """
        }
        source = "placed"
        if self.aggregation.ordered:
            source = "reached"
            ctes["reached"] = f"""
                SELECT {self.key}, events, total,
                    level + CASE WHEN highest IS NULL THEN 0 ELSE highest - total END AS reached
                FROM (
                    SELECT *, sum(total) OVER (PARTITION BY {who} ORDER BY number, at) AS level
                    FROM placed
                ) AS running
            """
        ctes["sums"] = f"""
            SELECT {self.key}, sum(events) AS events, COALESCE(sum(total), 0) AS total,
                {self.aggregation.combine} AS value
            FROM {source} GROUP BY {self.key}
        """
        ctes["every"] = f"""
            SELECT {self.key}, events, total, value FROM sums
            UNION ALL
            SELECT customer_id, every_number{self.groups}, 0, 0, NULL
            FROM (SELECT DISTINCT {who} FROM sums) AS each
            CROSS JOIN generate_series(1, %(last)s) AS every_number
        """
        ctes["levels"] = f"""
            SELECT {self.key}, sum(events) AS events, sum(total) AS total, max(value) AS value,
                sum(sum(total)) OVER (PARTITION BY {who} ORDER BY number) - sum(total) AS carried
            FROM every GROUP BY {self.key}
        """
        return ctes

    @property
    def answer_of_levels(self) -> str:
        return f"""
            SELECT {self.key}, {self.aggregation.across}, NULL::boolean
            FROM (
                SELECT *, (%(bounds)s::numeric[])[number] AS begin,
                    (%(bounds)s::numeric[])[number + 1] AS past
                FROM levels WHERE number > 0 AND (events > 0 OR carried <> 0)
            ) AS level
        """
