"""Fresh rows added to the stored roll-ups; call these while the customer's usage is locked."""
# ruff: noqa: S608  # The statements are put together from constants; see meter_sql.

from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.db import connection

from metering.aggregations import of_meter
from metering.models import Meter
from metering.models.usage import NO_DIMENSIONS, Grain
from metering.selectors.partials import PARTIALS
from metering.selectors.rollups import BUCKET_KEY, MEMBER_COLUMNS, FreshRows

KEY = ", ".join(BUCKET_KEY)
# Which of a meter's buckets it is.
BUCKET = "grain, bucket_start, dimensions_digest"
# Where the fresh members of a bucket go: behind the parts that it has.
NEXT_PART = f"""
    COALESCE((
        SELECT max(p.part) + 1 FROM metering_usagemembers p
        WHERE p.customer_id = %(customer)s AND p.meter_id = %(meter)s
            AND (p.{BUCKET.replace(", ", ", p.")}) = (fresh.{BUCKET.replace(", ", ", fresh.")})
    ), 0)
"""
# The part from which on a bucket's are made one is the first that is no longer than those behind
# it together. So each part is longer than all behind it: a bucket has few, and as it grows a
# member is written again only when its part at least doubles.
MERGE_PARTS = f"""
    WITH parts AS (
        SELECT {BUCKET}, part, size,
            sum(size) OVER (PARTITION BY {BUCKET} ORDER BY part DESC) - size AS behind
        FROM metering_usagemembers
        WHERE customer_id = %(customer)s AND meter_id = %(meter)s
            AND bucket_start BETWEEN %(first)s AND %(last)s
    ), short AS (
        SELECT {BUCKET}, min(part) AS part FROM parts WHERE size <= behind GROUP BY {BUCKET}
    ), taken AS (
        DELETE FROM metering_usagemembers m USING short
        WHERE m.customer_id = %(customer)s AND m.meter_id = %(meter)s
            AND (m.{BUCKET.replace(", ", ", m.")}) = (short.{BUCKET.replace(", ", ", short.")})
            AND m.part >= short.part
        RETURNING m.{BUCKET.replace(", ", ", m.")}, m.part, m.members
    )
    INSERT INTO metering_usagemembers ({KEY}, part, size, members)
    SELECT %(customer)s, %(meter)s, {BUCKET}, last_part + 1, cardinality(members), members
    FROM (
        SELECT {BUCKET}, max(part) AS last_part, array_agg(DISTINCT member) AS members
        FROM taken CROSS JOIN LATERAL unnest(members) AS member GROUP BY {BUCKET}
    ) AS merged
"""


# Every grain is named so that the table's key leads to the rows.
METERS_WITH_ROWS = f"""
    SELECT DISTINCT b.meter_id FROM metering_usagebucket b
    WHERE b.customer_id = %(customer)s AND b.meter_id = ANY(%(meters)s)
        AND b.grain IN ({", ".join(f"'{grain}'" for grain in Grain.values)})
        AND b.bucket_start > %(since)s
"""


def meters_with_rows(customer_id: int, meter_ids: Collection[int], since: datetime) -> set[int]:
    """Return the meters that have buckets beginning later than `since`."""
    params: dict[str, Any] = {"customer": customer_id, "meters": list(meter_ids), "since": since}
    with connection.cursor() as cursor:
        cursor.execute(METERS_WITH_ROWS, params)
        return {meter_id for (meter_id,) in cursor.fetchall()}


def add_rows(buckets: FreshRows, members: FreshRows | None, *, are_new: bool) -> None:
    """Add a meter's rows to the stored ones; those of members come from the same cells.

    Where the caller knows that none of the buckets is there yet (`are_new`), none is looked for.
    """
    added = add_buckets(buckets) + ("" if are_new else merge_buckets(buckets))
    if members is None:
        with connection.cursor() as cursor:
            cursor.execute(f"{buckets.read} {added}", buckets.params)
        return
    statement = f"{buckets.read}, buckets AS ({added}) {add_members(members)}"
    with connection.cursor() as cursor:
        cursor.execute(statement, buckets.params)
        # Buckets that had members before.
        grown = [bucket_start for bucket_start, part in cursor.fetchall() if part]
        if grown:
            stretch: dict[str, Any] = {"first": min(grown), "last": max(grown)}
            cursor.execute(MERGE_PARTS, buckets.params | stretch)


def add_buckets(fresh: FreshRows) -> str:
    return f"""
        INSERT INTO metering_usagebucket AS b ({", ".join(fresh.columns)})
        SELECT * FROM ({fresh.sql}) AS fresh ORDER BY {KEY}
    """


def merge_buckets(fresh: FreshRows) -> str:
    merged = {name: PARTIALS[name].merge for name in fresh.columns if name in PARTIALS}
    merged["unparsed"] = "b.unparsed + EXCLUDED.unparsed"
    return f"""
        ON CONFLICT ({KEY}) DO UPDATE SET
            {", ".join(f"{name} = {merge}" for name, merge in merged.items())}
    """


def add_members(fresh: FreshRows) -> str:
    return f"""
        INSERT INTO metering_usagemembers ({KEY}, part, size, members)
        SELECT {KEY}, {NEXT_PART}, cardinality(members), members FROM (
            SELECT {KEY}, array_agg(member) AS members
            FROM ({fresh.sql}) AS single ({", ".join(MEMBER_COLUMNS)}) GROUP BY {KEY}
        ) AS fresh
        RETURNING bucket_start, part
    """


def replace_levels(fresh: FreshRows, meter: Meter) -> None:
    """Replace the greatest running totals of buckets by those of all their events."""
    grain = of_meter(meter).roll_ups(meter).grain
    statement = f"""
        UPDATE metering_usagebucket AS b SET highest = fresh.highest FROM ({fresh.sql}) AS fresh
        WHERE b.customer_id = %(customer)s AND b.meter_id = %(meter)s AND b.grain = '{grain}'
            AND b.dimensions_digest = uuid '{NO_DIMENSIONS}'
            AND b.bucket_start = fresh.bucket_start
    """
    with connection.cursor() as cursor:
        cursor.execute(statement, fresh.params)
