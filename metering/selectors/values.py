"""The values of single events, for prices that look at each of them."""
# The statements are put together from constants; see meter_sql.

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection

from customers.models import Customer
from metering.models import Meter
from metering.selectors.archive import unreadable
from metering.selectors.cutoffs import COUNTED, Cutoff
from metering.selectors.meter_sql import CURRENT, matches_sql, meter_params, reading_of
from metering.windows import Range

READ = """
    SELECT {number} AS number, e.timestamp, e.event_id, FALSE AS is_away FROM metering_event e
    WHERE e.customer_id = %(customer)s AND e.timestamp >= %(start)s AND e.timestamp < %(end)s
        AND {matches}
    UNION ALL
    SELECT NULL, a.start_at, NULL, TRUE FROM metering_archivedusage a
    WHERE a.customer_id = %(customer)s AND a.event_type = %(event_type)s
        AND a.start_at < %(end)s AND a.end_at > %(start)s
"""
# A row without a number comes first where events are archived that would be read.
TOGETHER = (
    "SELECT number, count(*) FROM ({read}) AS r WHERE number IS NOT NULL OR is_away"
    " GROUP BY 1 ORDER BY 1 NULLS FIRST"
)
IN_ORDER = (
    "SELECT number, 1 FROM ({read}) AS r WHERE number IS NOT NULL OR is_away"
    " ORDER BY is_away DESC, timestamp, event_id"
)


def event_values(
    *,
    meter: Meter,
    customer: Customer,
    start: datetime,
    end: datetime,
    in_order: bool,
    cutoff: Cutoff | None = None,
) -> list[tuple[Decimal, int]]:
    """Return the values of a meter's events in `[start, end)`, each with how many events have it.

    With `in_order` there is one entry for each event, by timestamp and id; without it equal values
    come together. Events whose value is no number are left out. With a `cutoff` the answer is as
    of then. Raises InvalidInputError with the code `month_archived` where events are archived.
    """
    counts = CURRENT if cutoff is None else COUNTED
    read = READ.format(number=reading_of(meter).number, matches=matches_sql(meter, counts=counts))
    params: dict[str, Any] = {
        **meter_params(meter),
        **({} if cutoff is None else cutoff.params),
        "customer": customer.pk,
        "start": start,
        "end": end,
    }
    with connection.cursor() as cursor:
        cursor.execute((IN_ORDER if in_order else TOGETHER).format(read=read), params)
        rows: list[tuple[Decimal, int]] = cursor.fetchall()
    if rows and rows[0][0] is None:
        raise unreadable([customer.pk], meter.event_type, Range(start, end))
    return rows
