"""Answers of any size, a row at a time: for files, where a page or an API answer has an end."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import batched, chain, islice
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from django.db import connection

from config.csv_files import instant_text
from customers.models import Customer
from metering import windows
from metering.models import Event, Meter
from metering.numbers import plain
from metering.selectors.events import LARGEST_PAGE, EventFilters, EventsPage, events_page
from metering.selectors.usage import (
    MOST_WINDOWS,
    UsageRow,
    check_period,
    check_properties,
    check_readable,
    check_window,
    laid_out,
    usage_rows,
    with_corrections,
)
from metering.selectors.usage_plan import Question, plan_reading
from metering.selectors.usage_sql import UsageStatement


def usage_export(
    *,
    meter: Meter,
    customer: Customer,
    start: datetime,
    end: datetime,
    window: str | None = None,
    zone: ZoneInfo | None = None,
    group_by: Sequence[str] = (),
    filters: Mapping[str, str | None] | None = None,
) -> Iterator[UsageRow]:
    """Return what `usage` returns, of any number of windows and rows.

    The rows are read from the database as they are taken. Raises InvalidInputError, at once, for
    what `usage` refuses but for the size.
    """
    check_period(start, end)
    check_properties(group_by, filters or {})
    check_window(window)
    cuts = windows.window_cuts(start, end, window, zone or customer.zone) if window else ()
    rows = chain.from_iterable(
        usage_of_some(
            Question(
                meter=meter,
                customer_ids=[customer.pk],
                starts=starts,
                end=past,
                zone=customer.zone,
                limit=None,
                group_by=group_by,
                filters=filters or {},
            )
        )
        for starts, past in runs_of(chain([start], cuts), end)
    )
    # What cannot be read is refused before the file begins.
    return chain(list(islice(rows, 1)), rows)


def runs_of(
    starts: Iterator[datetime], end: datetime
) -> Iterator[tuple[Sequence[datetime], datetime]]:
    """Yield runs of windows, and where each run ends: as many windows as one statement takes."""
    before: Sequence[datetime] = ()
    for run in batched(starts, MOST_WINDOWS, strict=False):
        if before:
            yield before, run[0]
        before = run
    yield before, end


def usage_of_some(question: Question) -> Iterator[UsageRow]:
    return usage_rows(question, answer_in_pieces(question))


def answer_in_pieces(question: Question) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of an answer from a cursor of the database's own.

    Word that the roll-ups were cut anew or corrected meanwhile comes before any row of theirs.
    """
    [question] = laid_out(with_corrections(question))
    statement = UsageStatement(question, plan_reading(question))
    with connection.chunked_cursor() as cursor:
        cursor.execute(statement.sql, statement.params)
        for row in cursor:
            if row[-1]:
                check_readable(question, [row])
                break
            yield row[:-1]
        else:
            return
    yield from answer_in_pieces(question)


def usage_header(group_by: Sequence[str]) -> list[str]:
    return ["start", "end", *group_by, "value"]


def usage_cells(row: UsageRow) -> list[str | None]:
    """Return a row's cells under `usage_header`; what an event lacks is empty."""
    return [instant_text(row.start), instant_text(row.end), *row.group.values(), plain(row.value)]


_encoder = msgspec.json.Encoder(decimal_format="number")
EVENT_HEADER = ("id", "type", "timestamp", "properties")


def event_cells(event: Event) -> list[str]:
    """Return an event's cells under EVENT_HEADER; its properties are one JSON text."""
    properties = _encoder.encode(event.properties).decode()
    return [event.event_id, event.type, instant_text(event.timestamp), properties]


def events_export(*, customer: Customer, filters: EventFilters) -> Iterator[Event]:
    """Yield a customer's events, newest first, page after page.

    Those that come in meanwhile and are newer than the first are left out. Raises InvalidInputError
    at once for filters that no page takes.
    """
    first = events_page(customer=customer, filters=filters, limit=LARGEST_PAGE)
    return _following(customer, filters, first)


def _following(customer: Customer, filters: EventFilters, first: EventsPage) -> Iterator[Event]:
    page = first
    yield from page.events
    while page.older is not None:
        page = events_page(
            customer=customer, filters=filters, before=page.older, limit=LARGEST_PAGE
        )
        yield from page.events
