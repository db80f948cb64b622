"""Writing credit notes: what an issued invoice asked for and is given back, and how it is settled.

Whoever writes one has locked the customer, and is in a transaction.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from django.conf import settings

from billing.models import (
    CreditGrant,
    CreditNote,
    CreditNoteLine,
    Email,
    Invoice,
    InvoiceLine,
)
from billing.rating.arithmetic import exact_arithmetic
from billing.rating.crediting import ZERO, Part, part_by_lines, taxes_with
from billing.rating.money import allocate_amount, round_amount
from billing.selectors.credit_notes import (
    Creditable,
    creditable,
    other_bills,
    used_credits,
)
from billing.selectors.reversals import refundable
from billing.services.credits import grant_credit
from billing.services.documents import buyer_snapshot, digest_of, seller_snapshot
from billing.services.dunning_requests import look_again
from billing.services.email_claims import claim_emails
from billing.services.numbering import next_numbers
from customers.models import Customer

OWED = (Invoice.Status.OPEN, Invoice.Status.UNCOLLECTIBLE)
# What a credit note's line takes over from the line of the invoice that would have been negative.
MOVED = (
    "kind", "price", "meter", "description", "quantity", "billed_quantity", "period_start",
    "period_end", "document", "subscription_id", "billing_period_id", "billed_price_id", "part",
)  # fmt: skip
BEYOND = "Beyond what is left of the invoice"
type ChargeOfLine = tuple[int | None, int | None, datetime]


class Settlement(StrEnum):
    """What becomes of what had been paid already; what is still owed is always lowered first."""

    CREDIT = "credit"
    REFUND = "refund"
    OUT_OF_BAND = "out_of_band"


@dataclass(frozen=True, slots=True)
class Settled:
    """How a credit note is settled; the three amounts add up to its total."""

    taken_off_due: Decimal
    refunded: Decimal
    granted: Decimal
    credits_returned: Decimal
    refund_through: str = ""


@dataclass(slots=True)
class NoteDraft:
    """A credit note about to be issued, with what it is worked out from."""

    of: Creditable
    lines: list[CreditNoteLine]
    taxes: list[dict[str, Any]]
    settled: Settled
    reason: str
    memo: str = ""
    cutoff: dict[str, Any] | None = None

    @property
    def subtotal(self) -> Decimal:
        zero = round_amount(ZERO, self.of.invoice.currency)
        return sum((line.amount for line in self.lines), zero)

    @property
    def discount(self) -> Decimal:
        zero = round_amount(ZERO, self.of.invoice.currency)
        return sum((line.discount for line in self.lines), zero)

    @property
    def tax(self) -> Decimal:
        zero = round_amount(ZERO, self.of.invoice.currency)
        return sum((Decimal(tax["amount"]) for tax in self.taxes), zero)

    @property
    def total(self) -> Decimal:
        return self.subtotal - self.discount + self.tax


# By hand


def note_of_part(
    of: Creditable, part: Part, *, settlement: str, reason: str, memo: str = ""
) -> NoteDraft:
    """Return the credit note that gives back a part of an invoice, without writing anything."""
    return NoteDraft(
        of=of,
        lines=lines_of_part(of, part),
        taxes=taxes_of(of, part.taxes, part.net),
        settled=settled(of, part.total, settlement),
        reason=reason,
        memo=memo,
    )


def lines_of_part(of: Creditable, part: Part) -> list[CreditNoteLine]:
    """Return a line for each one of the invoice that something is given back of.

    They name no billing period: what the usage was worth stays as it was billed.
    """
    given = [pair for pair in zip(of.lines, part.lines, strict=True) if pair[1]]
    return [
        CreditNoteLine(
            position=position,
            kind=CreditNoteLine.Kind.CREDIT,
            price=line.price,
            description=line.description,
            quantity=Decimal(1),
            amount=amount,
            discount=round_amount(ZERO, of.invoice.currency),
            period_start=line.period_start,
            period_end=line.period_end,
            document={},
            subscription_id=line.subscription_id,
            invoice_line=line,
        )
        for position, (line, amount) in enumerate(given)
    ]


def taxes_of(of: Creditable, amounts: Sequence[Decimal], base: Decimal) -> list[dict[str, Any]]:
    return [
        {**tax, "base": f"{base:f}", "amount": f"{amount:f}"}
        for tax, amount in zip(of.invoice.taxes, amounts, strict=True)
    ]


def settled(of: Creditable, total: Decimal, settlement: str) -> Settled:
    """Return how a credit note is settled: what is owed is lowered, then what was paid goes back.

    Money goes back as money only if it came as money: what credits paid comes back as credit.
    """
    invoice = of.invoice
    zero = round_amount(ZERO, invoice.currency)
    with exact_arithmetic():
        due = min(total, invoice.amount_due)
        rest = total - due
        in_money = max(min(rest, invoice.amount_paid - of.given_back), zero)
        returned = rest - in_money
    if settlement == Settlement.CREDIT or not in_money:
        return Settled(due, zero, rest, returned)
    is_through_stripe = settlement == Settlement.REFUND and in_money <= refundable(invoice)
    ways = CreditNote.RefundThrough
    through = ways.STRIPE if is_through_stripe else ways.HAND
    return Settled(due, in_money, returned, returned, through)


def issue_note(draft: NoteDraft, *, at: datetime) -> CreditNote:
    """Write a credit note, issue it under the next number, and settle it; the database freezes it."""
    invoice, how = draft.of.invoice, draft.settled
    note = CreditNote.objects.create(
        customer=invoice.customer,
        invoice=invoice,
        currency=invoice.currency,
        reason=draft.reason,
        memo=draft.memo,
        created_at=at,
    )
    for line in draft.lines:
        line.credit_note = note
    CreditNoteLine.objects.bulk_create(draft.lines)
    for name in ("subtotal", "discount", "tax", "taxes", "total"):
        setattr(note, name, getattr(draft, name))
    for name in ("taken_off_due", "refunded", "refund_through", "granted", "credits_returned"):
        setattr(note, name, getattr(how, name))
    note.tax_note = invoice.tax_note
    [note.number] = next_numbers(prefix=settings.CREDIT_NOTE_PREFIX, count=1)
    note.status, note.issued_at = CreditNote.Status.ISSUED, at
    note.seller, note.buyer = seller_snapshot(), buyer_snapshot(invoice.customer)
    note.cutoff = draft.cutoff
    note.digest = digest_of(note, draft.lines)
    note.save()
    take_off_due(invoice, note.taken_off_due, at)
    grant_rest(note, at)
    if note.total:
        claim_emails(kind=Email.Kind.CREDIT_NOTE, documents=[note], at=at)
    return note


def take_off_due(invoice: Invoice, amount: Decimal, at: datetime) -> None:
    """Lower what is owed on a locked invoice; one on which nothing is left to pay is paid."""
    if not amount:
        return
    invoice.amount_credited += amount
    if invoice.status in OWED and not invoice.amount_due:
        invoice.status, invoice.paid_at = Invoice.Status.PAID, at
        look_again(invoice)
    invoice.save(update_fields=["amount_credited", "status", "paid_at"])


def grant_rest(note: CreditNote, at: datetime) -> None:
    """Give what is neither owed nor refunded as credit, usable from the day of the invoice on.

    What had been paid with promotional credit is promotional again.
    """
    kinds = CreditGrant.Kind
    amounts = {kinds.PAID: note.granted - note.credits_returned, kinds.PROMOTIONAL: ZERO}
    used = used_credits(note.invoice) if note.credits_returned else {}
    if used:
        shares = allocate_amount(note.credits_returned, list(used.values()), note.currency)
        for kind, share in zip(used, shares, strict=True):
            amounts[kinds(kind)] += share
    for kind, amount in amounts.items():
        if amount:
            grant_credit(
                customer=note.customer,
                name=f"Credit note {note.number}",
                amount=amount,
                at=at,
                kind=kind,
                currency=note.currency,
                effective_at=min(at, note.invoice.issued_at or at),
                credit_note=note,
            )


# By the nightly run


def write_adjustments(
    *,
    customer: Customer,
    lines: Sequence[InvoiceLine],
    cutoff: dict[str, Any] | None,
    beside: Sequence[Invoice],
    at: datetime,
) -> list[CreditNote]:
    """Give back what negative lines of a draft say, on the invoices that billed it.

    There is one credit note for each invoice that billed a line last. None gives back more than is
    left of its invoice: what is beyond that is given back on the other invoices that billed the
    same, and what is left of none of them was given back before. `beside` are the drafts that are
    being issued before this one.
    """
    by_invoice: dict[int, list[InvoiceLine]] = defaultdict(list)
    for line in lines:
        assert line.original is not None  # noqa: S101  # The caller takes no others.
        by_invoice[line.original.invoice_id].append(line)
    owed = Invoice.objects.select_for_update().order_by("pk").filter(pk__in=by_invoice)
    # One object for each, so that what a credit note takes off one is known to those that follow.
    invoices = {each.pk: each for each in (*owed, *beside)}
    notes = []
    for pk, own in by_invoice.items():
        invoices[pk].customer = customer
        of = creditable(invoices[pk])
        note, excess = adjusted(of, own, cutoff, at)
        notes.append(note)
        if excess:
            issued_with = [each.pk for each in beside]
            notes += adjusted_elsewhere(of, own, excess, invoices, issued_with, at)
    return notes


def adjusted(
    of: Creditable, lines: Sequence[InvoiceLine], cutoff: dict[str, Any] | None, at: datetime
) -> tuple[CreditNote, Decimal]:
    """Give back what is left of an invoice; return the rest, before tax, beside the credit note."""
    content = [moved(line, position) for position, line in enumerate(lines)]
    net = sum((line.amount - line.discount for line in content), ZERO)
    excess = max(net - max(of.left.net, ZERO), ZERO)
    if excess:
        content.append(beyond(content, excess, of))
    draft = NoteDraft(
        of=of,
        lines=content,
        taxes=taxes_of(
            of, taxes_with(of.left, net - excess, of.percents, of.invoice.currency), net - excess
        ),
        settled=Settled(ZERO, ZERO, ZERO, ZERO),
        reason=CreditNote.Reason.ADJUSTMENT,
        cutoff=cutoff,
    )
    draft.settled = settled(of, draft.total, Settlement.CREDIT)
    return issue_note(draft, at=at), excess


def adjusted_elsewhere(
    of: Creditable,
    lines: Sequence[InvoiceLine],
    excess: Decimal,
    invoices: dict[int, Invoice],
    issued_with: Collection[int],
    at: datetime,
) -> list[CreditNote]:
    """Give back on other invoices what is beyond one, as far as they have it left.

    A line of an invoice that gave something back left less of it than it billed: what it gave back
    was billed, and is still there, on an earlier one; which may have been left less in that way too.
    """
    notes, known = [], 0
    same = {charge_of(line): line for line in (*lines, *negative(of))}
    while excess and len(same) > known:
        known = len(same)
        for found in other_bills(list(same.values()), of.invoice, issued_with):
            other = invoices.setdefault(found.pk, found)
            other.customer = of.invoice.customer
            elsewhere = creditable(other)
            part = same_charges(elsewhere, set(same), excess)
            if part.net:
                excess -= part.net
                note = note_of_part(
                    elsewhere,
                    part,
                    settlement=Settlement.CREDIT,
                    reason=CreditNote.Reason.ADJUSTMENT,
                )
                notes.append(issue_note(note, at=at))
            same |= {charge_of(line): line for line in negative(elsewhere)}
    return notes


def negative(of: Creditable) -> list[InvoiceLine]:
    return [line for line in of.lines if line.amount < 0]


def moved(line: InvoiceLine, position: int) -> CreditNoteLine:
    """Return a line that would have been negative from the side of whoever gets the money back."""
    return CreditNoteLine(
        position=position,
        amount=-line.amount,
        discount=-line.discount,
        steps=[negated(step) for step in line.steps],
        invoice_line=line.original,
        **{name: getattr(line, name) for name in MOVED},
    )


def negated(step: dict[str, Any]) -> dict[str, Any]:
    """Return a step from the side of whoever gets the money back."""
    # A minus sign would round to as many digits as the context of the thread has.
    amount = Decimal(step["amount"]).copy_negate()
    return {**step, "amount": format(amount or abs(amount), "f")}


def beyond(content: Sequence[CreditNoteLine], excess: Decimal, of: Creditable) -> CreditNoteLine:
    """Return the line that takes off what is not given back on this invoice."""
    largest = max(content, key=lambda line: line.amount - line.discount)
    return CreditNoteLine(
        position=len(content),
        kind=CreditNoteLine.Kind.CREDIT,
        price=largest.price,
        description=BEYOND,
        quantity=Decimal(1),
        amount=-excess,
        discount=round_amount(ZERO, of.invoice.currency),
        period_start=largest.period_start,
        period_end=largest.period_end,
        document={},
        subscription_id=largest.subscription_id,
        invoice_line_id=largest.invoice_line_id,
    )


def same_charges(of: Creditable, charges: set[ChargeOfLine], most: Decimal) -> Part:
    """Return the part of an invoice that gives back what it billed of the same charges."""
    there = {
        position: left
        for position, (line, left) in enumerate(zip(of.lines, of.left.lines, strict=True))
        if left > 0 and charge_of(line) in charges
    }
    amount = min(most, sum(there.values(), ZERO), max(of.left.net, ZERO))
    shares = allocate_amount(amount, list(there.values()), of.invoice.currency) if amount else ()
    amounts = dict(zip(there, shares, strict=False))
    return part_by_lines(of.left, amounts, of.percents, of.invoice.currency)


def charge_of(line: InvoiceLine) -> ChargeOfLine:
    return line.billing_period_id, line.billed_price_id, line.period_start
