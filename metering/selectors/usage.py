"""How much was used: exact for any instants, at any moment, from one selector.

Usage does not wait for the aggregator: an event counts from the moment it was accepted.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection

from config.errors import InvalidInputError
from customers.models import Customer
from metering import aggregations, windows
from metering.filters import PROPERTY_WANTED, is_property, is_storable
from metering.models import Meter, PendingCorrection
from metering.selectors.archive import unreadable
from metering.selectors.cutoffs import Cutoff
from metering.selectors.layouts import cut_alike
from metering.selectors.usage_plan import Question, plan_reading
from metering.selectors.usage_sql import ARCHIVED, UsageStatement
from metering.windows import Range

# A chart or a page of the API; anything larger is an export.
MOST_WINDOWS = 10_000
MOST_ROWS = 100_000
MOST_GROUPS = 5
UTC_ZONE = ZoneInfo("UTC")
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class UsageRow:
    """Usage in `[start, end)`, of the events whose properties are those of `group`."""

    start: datetime
    end: datetime
    group: dict[str, str | None]
    value: Decimal


def usage(
    *,
    meter: Meter,
    customer: Customer,
    start: datetime,
    end: datetime,
    window: str | None = None,
    zone: ZoneInfo | None = None,
    group_by: Sequence[str] = (),
    filters: Mapping[str, str | None] | None = None,
    cutoff: Cutoff | None = None,
    takes_others: bool = False,
) -> list[UsageRow]:
    """Return a customer's usage in `[start, end)`, in order of time and then of group.

    `window` (hour, day, week or month) cuts the period in `zone`, by default the customer's; the
    first and the last window are cut short by the period. Without `group_by` there is a row for
    every window, zero where nothing was used; with it, only for what was used. `filters` keeps the
    events whose property has this text, or with None is absent. Dimensions of the meter are read
    from roll-ups; any other property is as exact but read from the raw events. With a `cutoff` the
    answer is what it was for a reader who had seen so much, read from the events too.

    With `takes_others` the groups of a dimension that is capped may be the greatest values and one
    `other`; otherwise each value is a group, read from the events.

    Raises InvalidInputError for a period that is empty or out of range, an unknown window, too
    many windows, groups or rows, and with the code `month_archived` for what could only be read
    from events that are archived.
    """
    check_period(start, end)
    check_properties(group_by, filters or {})
    starts = window_starts(start, end, window, zone or customer.zone)
    question = Question(
        meter=meter,
        customer_ids=[customer.pk],
        starts=starts,
        end=end,
        zone=customer.zone,
        limit=MOST_ROWS + 1,
        group_by=group_by,
        filters=filters or {},
        cutoff=cutoff,
        takes_others=takes_others,
    )
    rows = list(answers(question))
    if len(rows) > MOST_ROWS:
        message = f"The answer has more than {MOST_ROWS:,} rows; ask for less time or fewer groups."
        raise InvalidInputError(message, field="group_by")
    return list(usage_rows(question, rows))


def usage_rows(question: Question, rows: Iterable[Sequence[Any]]) -> Iterator[UsageRow]:
    """Yield an answer's rows in its windows; ungrouped, the windows without usage among them."""
    starts, ends = question.starts, [*question.starts[1:], question.end]
    if not question.group_by:
        values = {number: value for _, number, value in rows}
        for number, (begin, past) in enumerate(zip(starts, ends, strict=True), start=1):
            yield UsageRow(begin, past, {}, values.get(number, Decimal(0)))
        return
    for _, number, *texts, value in rows:
        yield UsageRow(
            start=starts[number - 1],
            end=ends[number - 1],
            group=dict(zip(question.group_by, texts, strict=True)),
            value=value,
        )


def usage_quantity(
    *,
    meter: Meter,
    customer: Customer,
    start: datetime,
    end: datetime,
    cutoff: Cutoff | None = None,
) -> Decimal:
    """Return a customer's usage in `[start, end)` as one number, now or as of a cut-off."""
    [row] = usage(meter=meter, customer=customer, start=start, end=end, cutoff=cutoff)
    return row.value


def usage_by_customer(
    *, meter: Meter, customers: Iterable[Customer], start: datetime, end: datetime
) -> dict[int, Decimal]:
    """Return usage in `[start, end)` by customer id, for staff and named jobs.

    Customers who used nothing are left out.
    """
    check_period(start, end)
    result: dict[int, Decimal] = {}
    for zone, customer_ids in ids_by_zone(meter, customers).items():
        question = Question(
            meter=meter,
            customer_ids=customer_ids,
            starts=[start],
            end=end,
            zone=zone,
            limit=len(customer_ids),
        )
        result |= {customer_id: value for customer_id, _, value in answers(question)}
    return result


def answers(question: Question) -> Iterator[tuple[Any, ...]]:
    """Yield rows of customer id, number of the window from 1, groups and value.

    Nearly always roll-ups hold every correction, so at first none is looked for: the statement
    that answers tells of those it does not know, and is asked again.
    """
    for each in laid_out(question):
        yield from answer(each)


def laid_out(question: Question) -> Iterator[Question]:
    """Yield the question for the customers whose roll-ups are cut alike, with their layout."""
    for alike in cut_alike(question.meter, question.customer_ids):
        yield replace(
            question,
            customer_ids=alike.customer_ids,
            layout=alike.layout,
            revisions=alike.revisions,
        )


def with_corrections(question: Question) -> Question:
    """Return the question with what roll-ups do not know of yet, of the events it is about."""
    found = PendingCorrection.objects.filter(
        customer_id__in=question.customer_ids, event_type=question.meter.event_type
    ).values_list("at", "batch_id")
    if not found:
        return question
    corrected, corrections = zip(*found, strict=True)
    return replace(question, corrected=corrected, corrections=corrections)


def answer(question: Question) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of customers whose roll-ups have the question's layout.

    Whoever's were cut anew or corrected since the question was laid out is asked for again. Raises
    InvalidInputError when events were to be read that are archived.
    """
    statement = UsageStatement(question, plan_reading(question))
    with connection.cursor() as cursor:
        cursor.execute(statement.sql, statement.params)
        rows = list(cursor.fetchall())
    check_readable(question, rows)
    outdated = {row[0] for row in rows if row[-1]}
    yield from (row[:-1] for row in rows if row[0] not in outdated)
    if outdated:
        yield from answers(with_corrections(replace(question, customer_ids=sorted(outdated))))


def check_readable(question: Question, rows: Iterable[Sequence[Any]]) -> None:
    away = [row[0] for row in rows if row[-1] and row[1] == ARCHIVED]
    if away:
        period = Range(question.begin, question.end)
        raise unreadable(away, question.meter.event_type, period)


def window_starts(
    start: datetime, end: datetime, window: str | None, zone: ZoneInfo
) -> list[datetime]:
    """Return where the windows of a period begin; the first begins with the period."""
    if window is None:
        return [start]
    check_window(window)
    cuts = islice(windows.window_cuts(start, end, window, zone), MOST_WINDOWS)
    starts = [start, *cuts]
    if len(starts) > MOST_WINDOWS:
        message = f"More than {MOST_WINDOWS:,} windows; ask for less time or a longer window."
        raise InvalidInputError(message, field="window")
    return starts


def ids_by_zone(meter: Meter, customers: Iterable[Customer]) -> dict[ZoneInfo, list[int]]:
    """Group customers by their zone, where the meter cuts windows in it; otherwise not at all."""
    result: dict[ZoneInfo, list[int]] = defaultdict(list)
    for customer in customers:
        zone = customer.zone if aggregations.of_meter(meter).windowed else UTC_ZONE
        result[zone].append(customer.pk)
    return result


def check_period(start: datetime, end: datetime) -> None:
    if not EARLIEST <= start < end <= LATEST:
        message = (
            f"The end must be later than the start, and both between the years {EARLIEST.year} "
            f"and {LATEST.year}."
        )
        raise InvalidInputError(message, field="end")


def check_window(window: str | None) -> None:
    if window is not None and window not in windows.WINDOWS:
        known = ", ".join(windows.WINDOWS)
        raise InvalidInputError(f"There is no window {window!r}; use {known}.", field="window")


def check_properties(group_by: Sequence[str], only: Mapping[str, str | None]) -> None:
    if len(group_by) > MOST_GROUPS or len(set(group_by)) < len(group_by):
        message = f"Group by at most {MOST_GROUPS} properties, each named once."
        raise InvalidInputError(message, field="group_by")
    for field, names in (("group_by", group_by), ("filter", only)):
        if not all(is_property(name) for name in names):
            raise InvalidInputError(PROPERTY_WANTED, field=field)
    if not all(text is None or is_storable(text) for text in only.values()):
        raise InvalidInputError("A filter's text cannot hold a zero character.", field="filter")
