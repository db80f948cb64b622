"""Writing what was worked out: documents, their lines, and how far each subscription has come.

What is due at once is not stored as a draft first: it is held back, and inserted as it is issued.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from billing.models import Invoice, InvoiceLine, Subscription, SubscriptionPeriod
from billing.selectors.sums import TOTAL_FIELDS
from billing.services.drafting import Document, Drafted, closing, work_out_accounts
from billing.services.issuing import is_over_nothing
from config.bulk import copy_rows, draw_keys, update_rows
from customers.models import Customer

DRAFT_FIELDS = (*TOTAL_FIELDS, "period_start", "period_end", "finalize_at")


def draft_accounts(
    customers: Sequence[Customer], at: datetime, *, only_drafts: bool = False
) -> Drafted:
    """Work out what has fallen due, as `work_out_accounts` does, and store all of it as drafts."""
    drafted = work_out_accounts(customers, at, only_drafts=only_drafts)
    write(drafted, at)
    return drafted


def write_what_is_due(drafted: Drafted, at: datetime) -> list[Document]:
    """Store the drafts that are not due yet; return those that are, to be issued in their order.

    The latter have their keys and are not stored, unless their customer is to be given something
    back: credit notes are about what is stored.
    """
    due = drafted.due(at)
    back = {id(each.account) for each in due if each.statement and each.statement.is_giving_back}
    write(drafted, at, held=[each for each in due if id(each.account) not in back])
    return due


def write(drafted: Drafted, at: datetime, held: Sequence[Document] = ()) -> None:
    """Store what was worked out, but for documents that are held back."""
    held_back = {id(document) for document in held}
    stored = [document for document in drafted.documents if id(document) not in held_back]
    known = [document.invoice for document in stored if document.invoice is not None]
    remove_old(drafted)
    invoices = {id(document): invoice_of(document, at) for document in drafted.documents}
    draw_keys(invoices.values())
    # What is dropped instead of issued gets no keys, so that nothing refers to it.
    kept = [each for each in held if not is_over_nothing(each.lines)]
    draw_keys(line for document in (*stored, *kept) for line in document.lines)
    for document in drafted.documents:
        key = invoices[id(document)].pk
        for line in document.lines:
            line.invoice_id = key
            if line.original is not None:
                # Only now does it have a key.
                line.original = line.original
    copy_rows(invoices[id(document)] for document in stored)
    copy_rows(line for document in stored for line in document.lines)
    update_rows(known, DRAFT_FIELDS)
    write_progress(drafted, at)


def remove_old(drafted: Drafted) -> None:
    """Remove the lines of drafts that were worked out anew, and those that say nothing any more."""
    old = {each.invoice.pk for each in drafted.planned if each.invoice is not None}
    if not old:
        return
    # They refer to each other and to nothing that is kept.
    lines = InvoiceLine.objects.filter(invoice__in=old)
    lines._raw_delete(lines.db)
    kept = {each.invoice.pk for each in drafted.documents if each.invoice is not None}
    if empty := old - kept:
        invoices = Invoice.objects.filter(pk__in=empty)
        invoices._raw_delete(invoices.db)


def invoice_of(document: Document, at: datetime) -> Invoice:
    """Return a document's invoice with what it says now, a new one if it has none."""
    assert document.finalize_at is not None  # noqa: S101  # Every one kept has lines.
    if document.invoice is None:
        document.invoice = Invoice(
            customer=document.account.customer,
            subscription_id=document.subscription_id,
            billing_reason=document.reason,
            billing_at=document.at,
            currency=document.currency,
            created_at=at,
        )
    invoice = document.invoice
    for name in (*TOTAL_FIELDS, "period_start", "period_end"):
        setattr(invoice, name, getattr(document.statement, name))
    invoice.finalize_at = document.finalize_at
    return invoice


def write_progress(drafted: Drafted, at: datetime) -> None:
    """Note which periods are closed, and up to where each subscription has been billed."""
    closed: list[SubscriptionPeriod] = []
    until: dict[int, list[datetime]] = defaultdict(list)
    for document in drafted.planned:
        for period in closing(document):
            if period.closed_at is None:
                period.closed_at = at
                closed.append(period)
        for contract in document.contracts:
            until[contract.subscription.pk].append(document.at)
    moved: list[Subscription] = []
    for account in drafted.accounts:
        for contract in account.contracts:
            subscription = contract.subscription
            reached = max(until[subscription.pk], default=None)
            if reached and (not subscription.billed_until or reached > subscription.billed_until):
                subscription.billed_until = reached
                moved.append(subscription)
    update_rows(closed, ["closed_at"])
    update_rows(moved, ["billed_until"])
