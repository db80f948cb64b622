"""Events counted by day: in all, and of each endpoint, method, user and API key."""
# ruff: noqa: S608  # The statements are put together from constants; see meter_sql.

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import QuerySet, Sum

from customers.models import ApiKey, Customer
from metering.models import ChangedDay, DailyTotal
from metering.selectors.meter_sql import CURRENT, digest_sql, utc_day_sql

Kind = DailyTotal.Kind

# What each kind counts events by: a property, or the key of the batch that brought them.
NAMES = {
    Kind.ALL: "''::text",
    Kind.ENDPOINT: "endpoint",
    Kind.METHOD: "method",
    Kind.USER: "user_id",
    Kind.API_KEY: "api_key",
}
COUNTED = f"""
    SELECT {utc_day_sql("e.timestamp")} AS day_start, e.properties ->> 'endpoint' AS endpoint,
        e.properties ->> 'method' AS method, e.properties ->> 'user_id' AS user_id,
        b.api_key_id::text AS api_key, count(*) AS events
    FROM metering_event e LEFT JOIN metering_ingestbatch b ON b.id = e.batch_id
    WHERE e.customer_id = %(customer)s AND {CURRENT}
        AND e.timestamp >= %(first)s AND e.timestamp < %(last)s::timestamptz + interval '24 hours'
        AND {utc_day_sql("e.timestamp")} = ANY(%(days)s::timestamptz[])
    GROUP BY 1, 2, 3, 4, 5
"""


def totals_of(kind: str, name: str) -> str:
    return f"""
        SELECT %(customer)s::bigint, day_start, '{kind}', {digest_sql("name")}, left(name, 255),
            sum(events)::bigint
        FROM (SELECT day_start, {name} AS name, events FROM counted) AS named
        WHERE name IS NOT NULL GROUP BY day_start, name
    """


WRITE = f"""
    WITH counted AS MATERIALIZED ({COUNTED})
    INSERT INTO metering_dailytotal
        (customer_id, day_start, kind, name_digest, name, events)
    {" UNION ALL ".join(totals_of(kind, name) for kind, name in NAMES.items())}
"""


def write_totals(customer_id: int, days: Sequence[datetime]) -> None:
    """Count a customer's events of these days of UTC anew; call it while usage is locked."""
    DailyTotal.objects.filter(customer_id=customer_id, day_start__in=days).delete()
    params: dict[str, Any] = {
        "customer": customer_id,
        "days": days,
        "first": min(days),
        "last": max(days),
    }
    with connection.cursor() as cursor:
        cursor.execute(WRITE, params)


def customers_to_settle() -> list[int]:
    """Return the ids of the customers with days that changed since they were settled."""
    days = ChangedDay.objects.filter(is_settled=False)
    return sorted(set(days.values_list("customer_id", flat=True)))


def days_to_settle(customer_id: int, limit: int) -> list[datetime]:
    """Return a customer's first days of UTC that changed since they were settled."""
    days = ChangedDay.objects.filter(customer_id=customer_id, is_settled=False)
    return list(days.order_by("day_start").values_list("day_start", flat=True)[:limit])


def mark_settled(customer_id: int, days: Collection[datetime]) -> None:
    ChangedDay.objects.filter(customer_id=customer_id, day_start__in=days).update(is_settled=True)


@dataclass(frozen=True, slots=True)
class DayRow:
    """The events of one name on one day of UTC."""

    day_start: datetime
    name: str
    events: int


def daily_totals(
    *, customer: Customer, kind: str, start: datetime, end: datetime
) -> Iterator[DayRow]:
    """Yield a customer's settled totals of the days that begin in `[start, end)`, in order.

    Within a day the greatest come first. API keys are called by their name and the beginning of
    their secret.
    """
    rows = totals_between(customer, kind, start, end).order_by("day_start", "-events", "name")
    names = key_names(customer, kind)
    for day_start, name, events in rows.values_list("day_start", "name", "events").iterator():
        yield DayRow(day_start, names.get(name, name), events)


def greatest_names(
    *, customer: Customer, kind: str, start: datetime, end: datetime, limit: int
) -> list[tuple[str, int]]:
    """Return the names with the most events over the days, and how many."""
    rows = totals_between(customer, kind, start, end).values("name_digest", "name")
    summed = rows.annotate(total=Sum("events")).order_by("-total", "name")
    names = key_names(customer, kind)
    found = summed.values_list("name", "total")[:limit]
    return [(names.get(name, name), total) for name, total in found]


def totals_between(
    customer: Customer, kind: str, start: datetime, end: datetime
) -> QuerySet[DailyTotal]:
    return DailyTotal.objects.filter(
        customer=customer, kind=kind, day_start__gte=start, day_start__lt=end
    )


def key_names(customer: Customer, kind: str) -> dict[str, str]:
    """Return what API keys are called by what their totals are stored under."""
    if kind != Kind.API_KEY:
        return {}
    ids = DailyTotal.objects.filter(customer=customer, kind=kind).values_list("name", flat=True)
    keys = ApiKey.objects.filter(pk__in={int(key_id) for key_id in ids.distinct()})
    return {str(key.pk): str(key) for key in keys}
