"""Issuing: drafts become documents with a number, and never change again."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings

from billing.models import (
    Coupon,
    CouponRedemption,
    CreditNote,
    Email,
    Invoice,
    InvoiceLine,
    SubscriptionPeriod,
)
from billing.selectors.sums import TOTAL_FIELDS, sums_of
from billing.services.credit_notes import write_adjustments
from billing.services.credits import apply_credits
from billing.services.documents import buyer_snapshot, digest_of, seller_snapshot
from billing.services.email_claims import claim_emails
from billing.services.numbering import next_numbers
from config.bulk import copy_rows, update_rows
from config.errors import DomainError
from metering.selectors.cutoffs import Cutoff

ISSUE_FIELDS = (
    "number", "status", "issued_at", "due_at", "paid_at", "seller", "buyer", "digest", "cutoff",
    "period_start", "period_end", "finalize_at", *TOTAL_FIELDS,
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
    kept: list[Issue] = []
    dropped: list[Invoice] = []
    for place, draft in enumerate(drafts):
        if not keeps_zero and is_over_nothing(draft.lines):
            issued.skipped += 1
            dropped.append(draft.invoice)
            continue
        issued.credit_notes += credit_what_is_negative(draft, kept, drafts[place + 1 :], at)
        if draft.lines and (keeps_zero or not is_over_nothing(draft.lines)):
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
    seller = seller_snapshot()
    for draft, number in zip(kept, numbers, strict=True):
        draft.invoice.seller = seller
        finish(draft, number, at)
        issued.invoices.append(draft.invoice)
    update_rows([each for each in issued.invoices if not each._state.adding], ISSUE_FIELDS)
    copy_rows(issued.invoices)
    claim_emails(kind=Email.Kind.ISSUED, documents=issued.invoices, at=at)
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
    is_settled = not invoice.amount_due
    invoice.number = number
    invoice.status = Invoice.Status.PAID if is_settled else Invoice.Status.OPEN
    invoice.paid_at = at if is_settled else None
    invoice.issued_at = at
    days = invoice.customer.payment_days
    invoice.due_at = at + timedelta(days=draft.payment_days if days is None else days)
    invoice.cutoff = None if draft.cutoff is None else draft.cutoff.document
    invoice.buyer = buyer_snapshot(invoice.customer)
    invoice.digest = digest_of(invoice, draft.lines)


def check_total(invoice: Invoice) -> None:
    if invoice.total < 0:
        raise DomainError(
            f"The total is {invoice.total} {invoice.currency}. An invoice cannot be negative: "
            "it stays a draft until its lines are put right.",
            code="negative_total",
        )


def credit_what_is_negative(
    draft: Issue, before: Iterable[Issue], after: Iterable[Issue], at: datetime
) -> list[CreditNote]:
    """Take the negative lines off a draft whose total is below zero, into credit notes.

    A line that no issued invoice stands for stays where it is. `before` and `after` are the drafts
    that are being issued before it and after it.
    """
    if draft.invoice.total + draft.invoice.credits >= 0:
        return []
    lines = [line for line in draft.lines if line.amount < 0 and line.original is not None]
    cutoff = None if draft.cutoff is None else draft.cutoff.document
    notes = write_adjustments(
        customer=draft.invoice.customer,
        lines=lines,
        cutoff=cutoff,
        beside=[each.invoice for each in before],
        at=at,
    )
    follow_past(lines, after)
    moved = {line.pk for line in lines}
    InvoiceLine.objects.filter(pk__in=moved).delete()
    draft.lines = [line for line in draft.lines if line.pk not in moved]
    add_up(draft)
    return notes


def follow_past(moved: Iterable[InvoiceLine], after: Iterable[Issue]) -> None:
    """Let lines that put right what is moved into credit notes name the lines that it put right."""
    originals = {line.pk: line.original for line in moved}
    for pk, original in originals.items():
        InvoiceLine.objects.filter(original=pk).update(original=original)
    for draft in after:
        for line in draft.lines:
            if line.original_id in originals:
                line.original = originals[line.original_id]


def add_up(draft: Issue) -> None:
    """Sum a draft's lines up once more."""
    invoice = draft.invoice
    sums = sums_of(invoice.customer, invoice.currency, draft.lines, invoice.discounts)
    for name in TOTAL_FIELDS:
        setattr(invoice, name, getattr(sums, name))


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
    stale = SubscriptionPeriod.objects.filter(pk__any=periods, is_stale=True)
    stale.exclude(closed_at=None).update(is_stale=False)
