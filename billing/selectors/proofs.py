"""What an issued line says, worked out once more: from raw events as of its document's cut-off."""

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db.models import Min

from billing.models import CreditNote, CreditNoteLine, Invoice, InvoiceLine, SubscriptionPeriod
from billing.models.lines import DocumentLine
from billing.rating.differences import Billed, left_to_bill, nothing_left
from billing.rating.lines import RatedLine, price_usage
from billing.rating.minimums import true_up
from billing.rating.money import round_amount
from billing.rating.periods import CALENDAR, Period, period_containing
from billing.rating.prices import Price, parse_price
from billing.rating.usage import Usage, no_usage
from billing.selectors.charges import fraction_of
from billing.selectors.lines_left import TAKEN_BACK
from billing.selectors.minimums import Stake
from billing.selectors.usage import UsageReader
from config.errors import NotFoundError
from metering.selectors.cutoffs import Cutoff

# What an invoice has in common with the one that bills the same again.
REISSUED = ("customer_id", "subscription_id", "currency", "billing_at", "billing_reason")
ORIGINS = ("billing_period", "billed_price__meter", "subscription")

type Document = Invoice | CreditNote


@dataclass(frozen=True, slots=True)
class Expected:
    """What a line has to say: the total of its stretch, what is billed of it now, and why."""

    quantity: Decimal
    amount: Decimal
    steps: list[dict[str, Any]]


def issued_document(number: str) -> Document:
    """Return the issued invoice or credit note with a number; raises NotFoundError."""
    invoice = Invoice.objects.issued().select_related("customer").filter(number=number).first()
    note = CreditNote.objects.issued().select_related("customer").filter(number=number).first()
    document = invoice or note
    if document is None:
        raise NotFoundError(f"There is no issued invoice or credit note {number!r}.")
    return document


def lines_of(document: Document) -> Sequence[DocumentLine]:
    """Return a document's lines in their order, with what they are worked out from."""
    if isinstance(document, Invoice):
        return invoice_lines(document)
    return list(document.lines.select_related(*ORIGINS).order_by("position"))


def invoice_lines(invoice: Invoice) -> list[InvoiceLine]:
    related = (*ORIGINS, "original__invoice")
    return list(invoice.lines.select_related(*related).order_by("position"))


def cutoff_of(document: Document) -> Cutoff | None:
    return None if document.cutoff is None else Cutoff.parse(document.cutoff)


def is_metered(line: DocumentLine) -> bool:
    """Say whether a line was worked out from events, for which what is taken back needs none."""
    has_meter = line.billed_price is not None and line.billed_price.meter is not None
    return has_meter and not is_taken_back(line)


def expected_lines(document: Document, line: DocumentLine) -> Iterator[Expected]:
    """Yield what a line that bills a charge has to say, in the few ways it can be right.

    Whether its subscription was known to end with the line is not kept, nor of which interval its
    period was then, and both may have changed since; it makes a difference for fees alone.
    """
    billed = billed_before(document, line)
    is_minimum = line.kind == DocumentLine.Kind.MINIMUM
    counts_units = not is_minimum and parse_price(line.document).counts_units
    if is_taken_back(line) and billed is not None:
        zero = round_amount(Decimal(0), document.currency)
        yield expectation(nothing_left(line.price, billed, zero, counts_units=counts_units))
        return
    seen: list[RatedLine] = []
    for worth in worths_of(document, line):
        rated = left_to_bill(worth, billed, counts_units=counts_units)
        # Parts of a period that come to the same after rounding have other steps.
        if rated not in seen:
            seen.append(rated)
            yield expectation(rated)


def expectation(rated: RatedLine) -> Expected:
    return Expected(rated.quantity, rated.amount, [step.as_document() for step in rated.steps])


def is_taken_back(line: DocumentLine) -> bool:
    """Say whether a line gives back a charge that a change of the past did away with."""
    return not line.quantity and line.description.endswith(f", {TAKEN_BACK}")


def worths_of(document: Document, line: DocumentLine) -> Iterator[RatedLine]:
    """Yield what the line's charge may have come to at the cut-off."""
    for is_last in (False, True):
        if line.kind == DocumentLine.Kind.MINIMUM:
            yield least_worth_of(document, line, is_last=is_last)
            continue
        for period in periods_of(line):
            yield worth_of(document, line, period, is_last=is_last)


def periods_of(line: DocumentLine) -> Iterator[SubscriptionPeriod]:
    """Yield a line's period; for a fee in advance also as the interval of its plan would cut it.

    A change to another interval from the period's start on cuts anew what is billed in advance.
    """
    period, price, subscription = line.billing_period, line.billed_price, line.subscription
    assert period is not None  # noqa: S101  # Only charges are asked about.
    yield period
    if price is None or subscription is None or line.document.get("timing") != "advance":
        return
    version, zone = price.version, period.zone
    first = (subscription.trial_end_at or subscription.start_at).astimezone(zone).date()
    phases = subscription.phases.exclude(anchor_on=None)
    days = {first, *(phase.anchor_on for phase in phases if phase.anchor_on)}
    is_calendar = subscription.anchor == subscription.Anchor.CALENDAR
    for anchor in (CALENDAR,) if is_calendar else sorted(days):
        full = period_containing(
            period.period_start,
            interval=version.interval,
            interval_count=version.interval_count,
            zone=zone,
            anchor=anchor,
        )
        if (full.start, full.end) != (period.full_start, period.full_end):
            cut = copy(period)
            cut.full_start, cut.full_end = full.start, full.end
            yield cut


def worth_of(
    document: Document, line: DocumentLine, period: SubscriptionPeriod, *, is_last: bool
) -> RatedLine:
    """Return what the line's charge came to at the cut-off, as a fee of a period as it was cut."""
    assert line.subscription is not None  # noqa: S101  # Only charges are asked about.
    price = parse_price(line.document)
    part = Period(line.period_start, line.period_end)
    return price_usage(
        price,
        usage_of(document, line, price),
        None,
        document.currency,
        fraction=fraction_of(price.proration, line.subscription, period, part, is_last=is_last),
        is_final=not is_threshold(document),
    )


def least_worth_of(document: Document, line: DocumentLine, *, is_last: bool) -> RatedLine:
    """Return what a period's minimum came to beyond what had been billed of the period by then."""
    assert line.billing_period is not None  # noqa: S101  # Only charges are asked about.
    assert line.subscription is not None  # noqa: S101
    ends_at = line.period_end if is_last else None
    commitments = [
        Stake.parse(each).commitment(line.subscription, line.billing_period, ends_at)
        for each in line.document["minimums"]
    ]
    return true_up(commitments, reached_by(document, line), document.currency)


def reached_by(document: Document, line: DocumentLine) -> Decimal:
    """Return what a document and those before it billed of the prices of a line's period."""
    at = document.issued_at
    prices = {"billing_period": line.billing_period_id, "billed_price__isnull": False}
    lines = InvoiceLine.objects.filter(**prices, invoice__issued_at__lte=at)
    if isinstance(document, Invoice):
        lines = lines.exclude(invoice__issued_at=at, invoice__pk__gt=document.pk)
    notes = CreditNoteLine.objects.filter(**prices, credit_note__issued_at__lte=at)
    billed = [
        each.amount
        for each in lines.select_related("invoice")
        if counted_by(document, each.invoice)
    ]
    back = [
        -each.amount
        for each in notes.select_related("credit_note__invoice")
        if counted_by(document, each.credit_note.invoice)
    ]
    return sum((*billed, *back), Decimal(0))


def is_threshold(document: Document) -> bool:
    return isinstance(document, Invoice) and document.billing_reason == Invoice.Reason.THRESHOLD


def usage_of(document: Document, line: DocumentLine, price: Price) -> Usage:
    """Return what a line's meter counted at the cut-off, from raw events; or its stated units."""
    row = line.billed_price
    if row is None or row.meter is None or line.billing_period is None:
        stated: Decimal = line.quantity
        return stated
    if line.period_start >= line.period_end:
        unused: Usage = no_usage(price.model.reads.kind).usage
        return unused
    reader = UsageReader(cutoff_of(document))
    want = reader.want(
        row.meter,
        document.customer,
        line.period_start,
        line.period_end,
        line.billing_period.time_zone,
        price.model.reads,
    )
    return reader.read_alone(want)


def billed_before(document: Document, line: DocumentLine) -> Billed | None:
    """Return what earlier documents had billed of a line's charge when it was issued."""
    charge = {
        "billing_period": line.billing_period_id,
        "billed_price": line.billed_price_id,
        "period_start": line.period_start,
    }
    issued = InvoiceLine.objects.filter(**charge).exclude(invoice__status=Invoice.Status.DRAFT)
    lines = list(issued.select_related("invoice"))
    parts = [
        (each.part, each.amount, each.quantity)
        for each in lines
        if each.part < line.part and not is_billed_again(document, line, each.invoice, lines)
    ]
    notes = CreditNoteLine.objects.filter(
        **charge, part__lt=line.part, credit_note__status=CreditNote.Status.ISSUED
    )
    parts += [
        (each.part, -each.amount, each.quantity)
        for each in notes.select_related("credit_note__invoice")
        if not is_billed_again(document, line, each.credit_note.invoice, lines)
    ]
    billed = None
    for part, amount, quantity in sorted(parts):
        before = billed or Billed(Decimal(0), Decimal(0), 0)
        billed = before.with_line(amount, quantity, part)
    return billed


def is_billed_again(
    document: Document, line: DocumentLine, before: Invoice, lines: Sequence[InvoiceLine]
) -> bool:
    """Say whether what an invoice billed was billed again by the time of a line.

    The parts of a charge tell their order; clocks do not, where a night is run as of a past instant.
    """
    if not before.is_reissued:
        return False
    again = [each.part for each in lines if stands_for(each.invoice, before)]
    return line.part >= min(again) if again else not counted_by(document, before)


def stands_for(other: Invoice, invoice: Invoice) -> bool:
    """Say whether an invoice bills again what another did."""
    same = (getattr(other, name) == getattr(invoice, name) for name in REISSUED)
    return other.pk > invoice.pk and all(same)


def counted_by(document: Document, invoice: Invoice) -> bool:
    """Say whether an invoice had not been billed again yet when a document was issued."""
    if not invoice.is_reissued:
        return True
    if isinstance(document, CreditNote) and document.invoice_id == invoice.pk:
        # Nothing is given back of an invoice any more once it is billed again.
        return True
    same = {name: getattr(invoice, name) for name in REISSUED}
    again = Invoice.objects.filter(**same, pk__gt=invoice.pk)
    first = again.aggregate(pk=Min("pk"), at=Min("created_at"))
    if first["at"] is None or (isinstance(document, Invoice) and document.pk >= first["pk"]):
        return False
    return document.issued_at is not None and document.issued_at < first["at"]
