"""Credit notes as people read them, and what is left to give back of an invoice."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Exists, OuterRef, Q, Sum

from billing.models import CreditNote, CreditNoteLine, Invoice, InvoiceLine
from billing.models.credit_notes import CreditNoteQuerySet
from billing.rating.crediting import ZERO, Part
from billing.rating.money import round_amount
from config.errors import NotFoundError
from customers.principals import Principal

# Of these something can be given back: what is void is owed no more, a draft not yet.
CREDITABLE = (Invoice.Status.OPEN, Invoice.Status.PAID, Invoice.Status.UNCOLLECTIBLE)


@dataclass(frozen=True, slots=True)
class Creditable:
    """What can still be given back of an invoice.

    `left` has an amount for each of `lines`, in their order, and for each tax of the invoice.
    `given_back` is what earlier credit notes gave back of what had been paid.
    """

    invoice: Invoice
    lines: tuple[InvoiceLine, ...]
    left: Part
    given_back: Decimal

    @property
    def percents(self) -> list[Decimal]:
        return [Decimal(tax["percent"]) for tax in self.invoice.taxes]


def creditable(invoice: Invoice) -> Creditable:
    """Return what is left of an issued invoice; nothing of one that is void.

    Whoever is to write a credit note has locked the invoice's customer.
    """
    lines = tuple(invoice.lines.order_by("position"))
    notes = list(invoice.credit_notes.filter(status=CreditNote.Status.ISSUED))
    credited = credited_of_lines(notes)
    zero = round_amount(ZERO, invoice.currency)
    # One that is being issued with the credit note is still a draft.
    is_owed = invoice.status != Invoice.Status.VOID
    left = Part(
        tuple(
            line.amount - line.discount - credited[line.pk] if is_owed else zero for line in lines
        ),
        tuple(
            Decimal(tax["amount"]) - credited_of_tax(tax["key"], notes) if is_owed else zero
            for tax in invoice.taxes
        ),
    )
    given_back = sum((note.refunded + note.granted for note in notes), zero)
    return Creditable(invoice, lines, left, given_back)


def credited_of_lines(notes: Sequence[CreditNote]) -> dict[int | None, Decimal]:
    """Return what credit notes gave back of each line of their invoice, before tax."""
    credited: dict[int | None, Decimal] = defaultdict(Decimal)
    rows = CreditNoteLine.objects.filter(credit_note__in=notes) if notes else ()
    for row in rows:
        credited[row.invoice_line_id] += row.amount - row.discount
    return credited


def credited_of_tax(key: str, notes: Sequence[CreditNote]) -> Decimal:
    amounts = (Decimal(tax["amount"]) for note in notes for tax in note.taxes if tax["key"] == key)
    return sum(amounts, ZERO)


def other_bills(
    lines: Collection[InvoiceLine], invoice: Invoice, issued_with: Collection[int]
) -> list[Invoice]:
    """Return the other invoices that billed the charges of these lines, the latest first, locked.

    `issued_with` are drafts that are as good as issued.
    """
    same = Q(pk__in=[])
    for line in lines:
        same |= same_charge(line)
    billed = InvoiceLine.objects.filter(same, invoice=OuterRef("pk"))
    others = Invoice.objects.filter(
        Exists(billed), customer=invoice.customer_id, currency=invoice.currency
    )
    found = others.filter(Q(status__in=CREDITABLE) | Q(pk__in=issued_with)).exclude(pk=invoice.pk)
    return list(found.order_by("-issued_at", "-pk").select_for_update())


def same_charge(line: InvoiceLine) -> Q:
    return Q(
        billing_period=line.billing_period_id,
        billed_price=line.billed_price_id,
        period_start=line.period_start,
    )


def used_credits(invoice: Invoice) -> dict[str, Decimal]:
    """Return what an invoice was paid of with credits, by their kind."""
    rows = (
        invoice.credit_entries.filter(kind="applied")
        .order_by("grant__kind")
        .values_list("grant__kind")
        .annotate(amount=Sum("amount"))
    )
    return {kind: -amount for kind, amount in rows}


def visible_notes(principal: Principal) -> CreditNoteQuerySet:
    """Return the issued credit notes that a caller may see, newest first, with their lines."""
    notes = CreditNote.objects.visible_to(principal).issued()
    return with_details(notes)


def with_details(notes: CreditNoteQuerySet) -> CreditNoteQuerySet:
    return notes.select_related("customer", "invoice").prefetch_related("lines__invoice_line")


def visible_note(principal: Principal, number: str) -> CreditNote:
    """Return a credit note by its number; raises NotFoundError if it is not the caller's."""
    note = visible_notes(principal).filter(number=number).first()
    if note is None:
        raise NotFoundError(f"There is no credit note {number!r}.")
    return note
