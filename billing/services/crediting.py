"""Verbs on credit notes: previewed, issued by hand, marked as paid out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.conf import settings
from django.db import transaction

from billing.models import CreditNote, Invoice
from billing.rating.crediting import ZERO, Part, part_by_amount, part_by_lines
from billing.rating.money import round_amount
from billing.selectors.credit_notes import CREDITABLE, Creditable, creditable
from billing.selectors.stripe import credit_notes_to_send
from billing.services.credit_notes import NoteDraft, Settlement, issue_note, note_of_part
from billing.services.invoicing import lock_customers
from billing.services.stripe_requests import send_credit_note
from config.errors import DomainError, InvalidInputError


@dataclass(frozen=True, slots=True)
class LineWish:
    """A line to give back, counted from 1 as documents and `explain` do.

    Without an amount it is all that is left of the line. Amounts are without tax.
    """

    line: int
    amount: Decimal | None = None


@dataclass(frozen=True, slots=True)
class CreditWish:
    """What is asked for: some lines, an amount with its tax, or neither for all that is left."""

    invoice: Invoice
    lines: Sequence[LineWish] = ()
    amount: Decimal | None = None
    reason: str = CreditNote.Reason.GOODWILL
    memo: str = ""
    settlement: str = Settlement.CREDIT


def preview_credit_note(*, wish: CreditWish) -> NoteDraft:
    """Return the credit note that `create_credit_note` would issue now; raises what that raises."""
    invoice = wish.invoice
    if invoice.status not in CREDITABLE:
        raise DomainError(not_creditable(invoice), code="not_creditable")
    of = creditable(invoice)
    if of.left.total <= 0:
        raise DomainError(
            f"Nothing is left of invoice {invoice}: credit notes have given all of it back.",
            code="nothing_to_credit",
        )
    return note_of_part(
        of, part_of(of, wish), settlement=wish.settlement, reason=wish.reason, memo=wish.memo
    )


@transaction.atomic
def create_credit_note(*, wish: CreditWish, at: datetime) -> CreditNote:
    """Give back an issued invoice, or a part of it, in a document of its own.

    What is still owed on the invoice is lowered first; what had been paid becomes credit, or goes
    back as money. What the usage was worth stays as it was billed, so that no nightly run bills
    again what was given back. Raises DomainError for a draft, for a void invoice, and when nothing
    is left; InvalidInputError for more than is left, naming the field.
    """
    [customer] = lock_customers([wish.invoice.customer_id])
    invoice = lock_invoice(wish.invoice.pk)
    invoice.customer = customer
    draft = preview_credit_note(
        wish=CreditWish(invoice, wish.lines, wish.amount, wish.reason, wish.memo, wish.settlement)
    )
    note = issue_note(draft, at=at)
    if settings.STRIPE_SECRET_KEY and credit_notes_to_send().filter(pk=note.pk).exists():
        send_credit_note(note=note, at=at)
    return note


def lock_invoice(pk: int) -> Invoice:
    return Invoice.objects.select_for_update().get(pk=pk)


@transaction.atomic
def mark_refunded(*, credit_note: CreditNote, at: datetime, reference: str = "") -> CreditNote:
    """Note that the money of a credit note went back by hand, once.

    Raises DomainError if no money goes back, if Stripe sends it, or if it was noted before.
    """
    note = CreditNote.objects.select_for_update().get(pk=credit_note.pk)
    if note.refund_through != CreditNote.RefundThrough.HAND:
        raise DomainError(
            f"No money of credit note {note} is to go back by hand.", code="nothing_to_refund"
        )
    if note.refunded_at is not None:
        raise DomainError(
            f"Credit note {note} was marked as refunded before.", code="already_refunded"
        )
    note.refunded_at, note.refund_reference = at, reference
    note.save(update_fields=["refunded_at", "refund_reference"])
    return note


def not_creditable(invoice: Invoice) -> str:
    if invoice.is_draft:
        return "A draft is not credited: it can still be changed. Finalize it first."
    return f"Invoice {invoice} is void: nothing is owed on it, so nothing can be given back."


def part_of(of: Creditable, wish: CreditWish) -> Part:
    """Return the part of an invoice that is asked for; raises InvalidInputError."""
    if wish.lines and wish.amount is not None:
        raise InvalidInputError("Name lines or an amount, not both.", field="amount")
    if wish.amount is not None:
        return part_by_amount(of.left, checked_amount(of, wish.amount), of.invoice.currency)
    if wish.lines:
        return part_by_lines(of.left, amounts_of(of, wish.lines), of.percents, of.invoice.currency)
    return of.left


def checked_amount(of: Creditable, amount: Decimal) -> Decimal:
    asked = whole(of, amount, "amount")
    if asked > of.left.total:
        raise InvalidInputError(
            f"{asked} {of.invoice.currency} are more than what is left of invoice {of.invoice}: "
            f"{of.left.total}, tax included.",
            field="amount",
            code="credit_exceeds_invoice",
        )
    return asked


def amounts_of(of: Creditable, wishes: Sequence[LineWish]) -> Mapping[int, Decimal]:
    amounts: dict[int, Decimal] = {}
    for index, wish in enumerate(wishes):
        position = wish.line - 1
        if not 0 <= position < len(of.lines) or position in amounts:
            raise InvalidInputError(
                f"Name each line once, by a number from 1 to {len(of.lines)}.",
                field=f"lines.{index}.line",
            )
        amounts[position] = line_amount(of, position, wish.amount, f"lines.{index}.amount")
    net = sum(amounts.values(), ZERO)
    if net > of.left.net:
        raise InvalidInputError(
            f"The lines come to {net} {of.invoice.currency} before tax, and {of.left.net} are left "
            f"of invoice {of.invoice}.",
            field="lines",
            code="credit_exceeds_invoice",
        )
    return amounts


def line_amount(of: Creditable, position: int, amount: Decimal | None, field: str) -> Decimal:
    left = of.left.lines[position]
    if left <= 0:
        raise InvalidInputError(
            f"Nothing is left of line {position + 1} to give back.",
            field=field,
            code="nothing_to_credit",
        )
    asked = left if amount is None else whole(of, amount, field)
    if asked > left:
        raise InvalidInputError(
            f"{asked} {of.invoice.currency} are more than what is left of line {position + 1}: "
            f"{left} before tax.",
            field=field,
            code="credit_exceeds_line",
        )
    return asked


def whole(of: Creditable, amount: Decimal, field: str) -> Decimal:
    """Return an amount above zero at its currency's places; raises InvalidInputError."""
    currency = of.invoice.currency
    rounded = round_amount(amount, currency)
    if rounded != amount:
        raise InvalidInputError(
            f"{amount} is no amount of {currency}: it has too many places.", field=field
        )
    if rounded <= 0:
        raise InvalidInputError("Write an amount above zero.", field=field)
    return rounded
