"""Which lines of an invoice go to Stripe, and in which calls."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import batched

from billing.gateways.values import LineDraft
from billing.models import Invoice, InvoiceLine

# Stripe's limits: lines on an invoice, and (by practice) lines in one call.
MAX_LINES = 250
CHUNK = 100
REST = "rest"


def line_chunks(invoice: Invoice) -> list[tuple[LineDraft, ...]]:
    """Return the lines to send, in calls of at most 100.

    An invoice of more than 250 lines keeps its 249 greatest amounts; the others become one line
    that says how many they are, and our own document has them all. The same invoice always gives
    the same chunks, because a chunk that is sent again must be the same request.
    """
    lines = list(invoice.lines.order_by("position", "pk"))
    return list(batched(rolled_up(invoice, lines), CHUNK, strict=False))


def rolled_up(invoice: Invoice, lines: Sequence[InvoiceLine]) -> list[LineDraft]:
    if len(lines) <= MAX_LINES:
        return [line_draft(invoice, line) for line in lines]
    by_size = sorted(lines, key=lambda line: (-abs(line.amount), line.position))
    kept = {line.pk for line in by_size[: MAX_LINES - 1]}
    others = by_size[MAX_LINES - 1 :]
    rest = LineDraft(
        reference=REST,
        description=f"and {len(others):,} more lines, listed in invoice {invoice.number}",
        amount=sum((line.amount for line in others), start=Decimal(0)),
        currency=invoice.currency,
        period_start=min(line.period_start for line in others),
        period_end=max(line.period_end for line in others),
    )
    return [*(line_draft(invoice, line) for line in lines if line.pk in kept), rest]


def line_draft(invoice: Invoice, line: InvoiceLine) -> LineDraft:
    return LineDraft(
        reference=str(line.pk),
        description=line.description,
        amount=line.amount,
        currency=invoice.currency,
        period_start=line.period_start,
        period_end=line.period_end,
    )
