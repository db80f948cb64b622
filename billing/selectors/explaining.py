"""Explaining an issued line: from its price steps to usage by day, and to the raw events."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from billing.models import Invoice, InvoiceLine
from billing.selectors.proofs import cutoff_of, invoice_lines, is_metered
from billing.selectors.usage import in_zone
from config.errors import InvalidInputError, NotFoundError
from metering.selectors.events import EventFilters, EventsPage, events_page
from metering.selectors.usage import UsageRow, usage


@dataclass(frozen=True, slots=True)
class ExplainedLine:
    """A line with its usage by day of the billing zone, as of the invoice's cut-off.

    Lines that no events were counted for have no days.
    """

    line: InvoiceLine
    days: Sequence[UsageRow]

    @property
    def is_metered(self) -> bool:
        return is_metered(self.line)

    @property
    def adds_up(self) -> bool:
        """Whether the days add up to the line's quantity; those of a unique count may not."""
        together = sum((day.value for day in self.days), Decimal(0))
        return bool(together == self.line.quantity)


def explained_lines(invoice: Invoice) -> list[ExplainedLine]:
    """Return an invoice's lines in their order, each with what it was worked out from.

    Raises NotFoundError for a draft.
    """
    require_issued(invoice)
    return [explained(invoice, line) for line in invoice_lines(invoice)]


def explained_line(invoice: Invoice, position: int) -> ExplainedLine:
    """Return one line, whose position counts from 1. Raises NotFoundError for one not there."""
    return explained(invoice, line_at(invoice, position))


def line_at(invoice: Invoice, position: int) -> InvoiceLine:
    require_issued(invoice)
    lines = [line for line in invoice_lines(invoice) if line.position == position - 1]
    if not lines:
        raise NotFoundError(f"Invoice {invoice} has no line {position}.")
    return lines[0]


def require_issued(invoice: Invoice) -> None:
    if invoice.is_draft:
        raise NotFoundError("A draft still moves: it can be explained once it is issued.")


def explained(invoice: Invoice, line: InvoiceLine) -> ExplainedLine:
    row, period, cutoff = line.billed_price, line.billing_period, cutoff_of(invoice)
    is_empty = line.period_start >= line.period_end
    if row is None or row.meter is None or period is None or cutoff is None or is_empty:
        return ExplainedLine(line, [])
    days = usage(
        meter=row.meter,
        customer=in_zone(invoice.customer, period.time_zone),
        start=line.period_start,
        end=line.period_end,
        window="day",
        zone=ZoneInfo(period.time_zone),
        cutoff=cutoff,
    )
    return ExplainedLine(line, days)


def events_of_line(
    invoice: Invoice,
    position: int,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    before: str = "",
    after: str = "",
    limit: int = 50,
) -> EventsPage:
    """Return a page of the events that a line counted, newest first, as of the cut-off.

    `start` and `end` narrow its period down. `before` and `after` are an earlier page's
    neighbours. Raises NotFoundError for a line that is not there, InvalidInputError for one that
    counted no events and for a page that does not exist.
    """
    line = line_at(invoice, position)
    row, cutoff = line.billed_price, cutoff_of(invoice)
    if row is None or row.meter is None or cutoff is None:
        raise InvalidInputError(
            f"Line {position} is a {line.get_kind_display().lower()}: no events were counted for "
            "it. Ask for one that has a meter.",
            field="line",
        )
    filters = EventFilters(
        meter=row.meter,
        start=max(line.period_start, start or line.period_start),
        end=min(line.period_end, end or line.period_end),
        cutoff=cutoff,
    )
    return events_page(
        customer=invoice.customer, filters=filters, before=before, after=after, limit=limit
    )


@dataclass(frozen=True, slots=True)
class ExplanationPage:
    """A line as a page shows it: its days, the one chosen if any, and a page of its events."""

    explained: ExplainedLine
    chosen: UsageRow | None
    events: EventsPage


def explanation_page(
    invoice: Invoice, position: int, *, day: str = "", before: str = "", after: str = ""
) -> ExplanationPage:
    """Return what a page about a line shows; `day` is the number of one of its days, from 1.

    Raises NotFoundError for a line, a day or a page that is not there.
    """
    found = explained_line(invoice, position)
    chosen = None
    if day:
        if not (
            day.isascii() and day.isdigit() and len(day) < 6 and 0 < int(day) <= len(found.days)
        ):
            raise NotFoundError(f"Line {position} has no day {day!r}.")
        chosen = found.days[int(day) - 1]
    if not found.days:
        return ExplanationPage(found, None, EventsPage([], None, None))
    try:
        events = events_of_line(
            invoice,
            position,
            start=None if chosen is None else chosen.start,
            end=None if chosen is None else chosen.end,
            before=before,
            after=after,
        )
    except InvalidInputError as error:
        raise NotFoundError(error.message) from error
    return ExplanationPage(found, chosen, events)
