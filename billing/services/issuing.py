"""Issuing: drafts become documents with a number, and never change again."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings

from billing.models import (
    Coupon,
    CouponRedemption,
    CreditNote,
    CreditNoteLine,
    Invoice,
    InvoiceLine,
    SubscriptionPeriod,
)
from billing.models.invoices import FROZEN_COLUMNS
from billing.models.lines import DocumentLine
from billing.selectors.sums import TOTAL_FIELDS, sums_of
from billing.selectors.taxes import taxes_of_part
from billing.services.credits import apply_credits
from billing.services.numbering import next_numbers
from config.bulk import copy_rows, update_rows
from config.errors import DomainError
from customers.models import Customer
from metering.selectors.cutoffs import Cutoff

ISSUE_FIELDS = (
    "number", "status", "issued_at", "due_at", "paid_at", "seller", "buyer", "digest", "cutoff",
    "period_start", "period_end", "finalize_at", *TOTAL_FIELDS,
)  # fmt: skip
BUYER_FIELDS = (
    "key", "name", "email", "address_line1", "address_line2", "city", "state", "postal_code",
    "country", "time_zone", "locale", "tax_id", "tax_status",
)  # fmt: skip
LINE_CONTENT = (
    "position", "kind", "price", "meter", "description", "quantity", "amount", "period_start",
    "period_end", "document", "steps", "discount",
)  # fmt: skip
CREDIT_NOTE_CONTENT = ("number", "currency", "total", "issued_at")
# What a credit note's line takes over from the line of the invoice that would have been negative.
MOVED = (
    "kind", "price", "meter", "description", "quantity", "billed_quantity", "period_start",
    "period_end", "document", "subscription_id", "billing_period_id", "billed_price_id", "part",
)  # fmt: skip
DEFAULT_PAYMENT_DAYS = 14


@dataclass(slots=True)
class Issue:
    """A draft to be issued, with its lines and the days there are to pay it."""

    invoice: Invoice
    lines: list[InvoiceLine]
    payment_days: int = DEFAULT_PAYMENT_DAYS
    cutoff: Cutoff | None = None


@dataclass(slots=True)
class Issued:
    """What became of drafts that were due."""

    invoices: list[Invoice] = field(default_factory=list)
    credit_notes: list[CreditNote] = field(default_factory=list)
    skipped: int = 0


def issue_drafts(drafts: Sequence[Issue], *, at: datetime, keeps_zero: bool = False) -> Issued:
    """Issue drafts in their order, stored before or not; from then on the database freezes them.

    The caller has locked their customers and is in a transaction. A draft over nothing is dropped,
    unless ZERO_INVOICES or `keeps_zero` says otherwise; one whose total would be negative gives what is negative
    on it back in credit notes. An invoice whose total is zero is paid at once.
    """
    issued = Issued()
    kept, dropped = [], []
    for draft in drafts:
        if not keeps_zero and is_over_nothing(draft.lines):
            issued.skipped += 1
            dropped.append(draft.invoice)
            continue
        issued.credit_notes += credit_what_is_negative(draft, at)
        if draft.lines:
            kept.append(draft)
        else:
            dropped.append(draft.invoice)
    drop(dropped)
    apply_credits(drafts=[(each.invoice, each.lines) for each in kept], at=at)
    # Lines come first: an issued invoice gets none any more. The number series, for which everybody
    # else waits, comes last.
    copy_rows(line for each in kept for line in each.lines)
    use_up_coupons(each.invoice for each in kept)
    mark_settled(drafts)
    numbers = next_numbers(prefix=settings.INVOICE_PREFIX, count=len(kept))
    for draft, number in zip(kept, numbers, strict=True):
        finish(draft, number, at)
        issued.invoices.append(draft.invoice)
    update_rows([each for each in issued.invoices if not each._state.adding], ISSUE_FIELDS)
    copy_rows(issued.invoices)
    return issued


def drop(drafts: Iterable[Invoice]) -> None:
    """Remove drafts that ask for nothing; their lines refer to each other and to nothing kept."""
    if stored := [each.pk for each in drafts if not each._state.adding]:
        lines = InvoiceLine.objects.filter(invoice__in=stored)
        lines._raw_delete(lines.db)
        invoices = Invoice.objects.filter(pk__in=stored)
        invoices._raw_delete(invoices.db)


def is_over_nothing(lines: Iterable[InvoiceLine]) -> bool:
    return settings.ZERO_INVOICES == "skip" and not any(line.amount for line in lines)


def finish(draft: Issue, number: str, at: datetime) -> None:
    """Give a draft all that an issued invoice says."""
    invoice = draft.invoice
    check_total(invoice)
    is_settled = not invoice.total
    invoice.number = number
    invoice.status = Invoice.Status.PAID if is_settled else Invoice.Status.OPEN
    invoice.paid_at = at if is_settled else None
    invoice.issued_at = at
    invoice.due_at = at + timedelta(days=draft.payment_days)
    invoice.cutoff = None if draft.cutoff is None else draft.cutoff.document
    invoice.seller = seller_snapshot()
    invoice.buyer = buyer_snapshot(invoice.customer)
    invoice.digest = digest_of(invoice, draft.lines, FROZEN_COLUMNS)


def check_total(invoice: Invoice) -> None:
    if invoice.total < 0:
        raise DomainError(
            f"The total is {invoice.total} {invoice.currency}. An invoice cannot be negative: "
            "it stays a draft until its lines are put right.",
            code="negative_total",
        )


def credit_what_is_negative(draft: Issue, at: datetime) -> list[CreditNote]:
    """Take the negative lines off a draft whose total is below zero, into credit notes.

    There is one for each invoice that billed what is given back. A line that no issued invoice
    stands for stays where it is.
    """
    if draft.invoice.total + draft.invoice.credits >= 0:
        return []
    by_invoice: dict[int, list[InvoiceLine]] = defaultdict(list)
    for line in draft.lines:
        if line.amount < 0 and line.original is not None:
            by_invoice[line.original.invoice_id].append(line)
    owed = Invoice.objects.select_for_update().order_by("pk").filter(pk__in=by_invoice)
    originals = {each.pk: each for each in owed}
    notes = [write_credit_note(originals[pk], lines, draft, at) for pk, lines in by_invoice.items()]
    moved = {line.pk for lines in by_invoice.values() for line in lines}
    InvoiceLine.objects.filter(pk__in=moved).delete()
    draft.lines = [line for line in draft.lines if line.pk not in moved]
    add_up(draft)
    return notes


def add_up(draft: Issue) -> None:
    """Sum a draft's lines up once more."""
    invoice = draft.invoice
    sums = sums_of(invoice.customer, invoice.currency, draft.lines, invoice.discounts)
    for name in TOTAL_FIELDS:
        setattr(invoice, name, getattr(sums, name))


def write_credit_note(
    invoice: Invoice, lines: Sequence[InvoiceLine], draft: Issue, at: datetime
) -> CreditNote:
    """Give back what lines that would have been negative say, of the invoice that billed it."""
    customer = draft.invoice.customer
    note = CreditNote.objects.create(
        customer=customer, invoice=invoice, currency=invoice.currency, created_at=at
    )
    note_lines = [
        CreditNoteLine(
            credit_note=note,
            position=position,
            amount=-line.amount,
            discount=-line.discount,
            steps=[negated(step) for step in line.steps],
            invoice_line=line.original,
            **{name: getattr(line, name) for name in MOVED},
        )
        for position, line in enumerate(lines)
    ]
    CreditNoteLine.objects.bulk_create(note_lines)
    note.subtotal = sum((line.amount for line in note_lines), Decimal(0))
    note.discount = sum((line.discount for line in note_lines), Decimal(0))
    left = note.subtotal - note.discount
    note.taxes = taxes_of_part(invoice.taxes, left, note.currency)
    note.tax = sum((Decimal(tax["amount"]) for tax in note.taxes), Decimal(0))
    note.total = left + note.tax
    note.tax_note = invoice.tax_note
    [note.number] = next_numbers(prefix=settings.CREDIT_NOTE_PREFIX, count=1)
    note.status, note.issued_at = CreditNote.Status.ISSUED, at
    note.seller, note.buyer = seller_snapshot(), buyer_snapshot(customer)
    note.cutoff = None if draft.cutoff is None else draft.cutoff.document
    note.digest = digest_of(note, note_lines, CREDIT_NOTE_CONTENT)
    note.save()
    take_off_what_is_owed(invoice, note.total)
    return note


def take_off_what_is_owed(invoice: Invoice, amount: Decimal) -> None:
    """Lower what is still owed on a locked invoice; what was paid already is paid back instead."""
    credited = min(amount, max(invoice.amount_due, Decimal(0)))
    if credited:
        invoice.amount_credited += credited
        invoice.save(update_fields=["amount_credited"])


def negated(step: dict[str, Any]) -> dict[str, Any]:
    """Return a step from the side of whoever gets the money back."""
    amount = -Decimal(step["amount"])
    return {**step, "amount": format(amount or abs(amount), "f")}


def use_up_coupons(invoices: Iterable[Invoice]) -> None:
    """Note which invoice used up the coupons that are for once."""
    users = {each["redemption"]: invoice for invoice in invoices for each in invoice.discounts}
    if not users:
        return
    once = CouponRedemption.objects.filter(pk__in=users, coupon__duration=Coupon.Duration.ONCE)
    used = list(once)
    for redemption in used:
        redemption.used_on = users[redemption.pk]
    CouponRedemption.objects.bulk_update(used, ["used_on"])


def mark_settled(drafts: Iterable[Issue]) -> None:
    """Note that nothing has changed for the periods of these lines since they were billed."""
    lines = (line for draft in drafts for line in draft.lines)
    periods = {line.billing_period_id for line in lines if line.billing_period_id is not None}
    stale = SubscriptionPeriod.objects.filter(pk__in=periods, is_stale=True)
    stale.exclude(closed_at=None).update(is_stale=False)


def digest_of(
    document: Invoice | CreditNote, lines: Iterable[DocumentLine], columns: Iterable[str]
) -> str:
    """Return the SHA-256 of what a document says."""
    return hashlib.sha256(content_of(document, lines, columns).encode()).hexdigest()


def content_of(
    document: Invoice | CreditNote, lines: Iterable[DocumentLine], columns: Iterable[str]
) -> str:
    """Return what a document says as JSON, in a form that never depends on the database."""
    content = {
        "document": {name: getattr(document, name) for name in columns if name != "digest"},
        "lines": [{name: getattr(line, name) for name in LINE_CONTENT} for line in lines],
    }
    return json.dumps(content, default=plain, sort_keys=True, separators=(",", ":"))


def plain(value: object) -> str:
    """Write what JSON has no word for: instants in UTC, decimals with the places they have."""
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)


def seller_snapshot() -> dict[str, str]:
    return {"name": settings.BRAND_NAME, "email": settings.DEFAULT_FROM_EMAIL}


def buyer_snapshot(customer: Customer) -> dict[str, str]:
    return {name: getattr(customer, name) for name in BUYER_FIELDS}
