"""Asking for something to be done to an invoice that Stripe has."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction

from billing.models import CreditNote, Invoice, StripeOperation
from billing.selectors.reversals import refundable
from billing.selectors.stripe import credit_notes_to_send
from config.errors import DomainError
from config.queue import enqueue_on_commit, has_room

ZERO = Decimal(0)
Through = CreditNote.RefundThrough


@transaction.atomic
def request_operation(
    *,
    invoice: Invoice,
    kind: str,
    at: datetime,
    reference: str = "",
    content: dict[str, Any] | None = None,
) -> StripeOperation:
    """Write down that something is to be done to an invoice at Stripe, and queue it.

    Asked again, it is taken up again where it stopped; a charge that was declined is tried anew.
    """
    operation, is_new = StripeOperation.objects.get_or_create(
        invoice=invoice,
        kind=kind,
        reference=reference,
        defaults={"content": content or {}, "requested_at": at},
    )
    if not is_new and operation.status != StripeOperation.Status.PENDING:
        operation.status, operation.retry_at = StripeOperation.Status.PENDING, at
        operation.attention = operation.outcome = ""
        operation.save(update_fields=["status", "retry_at", "attention", "outcome"])
    if has_room():
        enqueue_on_commit("billing.tasks.run_stripe_operation", operation.pk)
    else:
        operation.retry_at = at
        operation.save(update_fields=["retry_at"])
    return operation


@transaction.atomic
def send_credit_note(*, note: CreditNote, at: datetime, balance: Decimal = ZERO) -> StripeOperation:
    """Have an issued credit note made at Stripe, and the money given back as the note says.

    Call it in the transaction that issues the note; a worker makes it once that is committed, after
    the invoice's own push. What `balance` means, and what is raised, is said at
    `request_credit_note`. Called again for the same note, it only takes up what stopped. What
    became of it is read from the StripeOperation (`status`, `attention`, `outcome`, `stripe_id`);
    the refund itself arrives as a PaymentReversal of the payment.
    """
    return request_credit_note(
        invoice=note.invoice,
        reference=str(note.number),
        lines=lines_of(note),
        memo=f"Credit note {note.number}",
        refund=note.refunded if note.refund_through == Through.STRIPE else ZERO,
        balance=balance,
        at=at,
    )


@transaction.atomic
def request_credit_note(
    *,
    invoice: Invoice,
    reference: str,
    lines: list[tuple[str, Decimal]],
    memo: str,
    at: datetime,
    refund: Decimal = ZERO,
    balance: Decimal = ZERO,
) -> StripeOperation:
    """Have a credit note of ours made on the invoice at Stripe too.

    `reference` is its number, `lines` are its descriptions with positive amounts, tax among them.
    On an open invoice it lowers what remains to be paid. Of a paid one, `refund` of the total goes
    back to the card or account that it was paid with, `balance` of it is put on the customer's
    balance at Stripe, which takes it off the next invoice there, and the rest is given back
    outside Stripe. Raises DomainError for nothing, for more than the invoice is over, and for a
    refund of more than was received through Stripe and has not gone back yet.
    """
    total = sum((amount for _, amount in lines), start=ZERO)
    others = StripeOperation.objects.filter(invoice=invoice, kind=StripeOperation.Kind.CREDIT_NOTE)
    before = sum((credited(other) for other in others.exclude(reference=reference)), start=ZERO)
    if not lines or any(amount <= 0 for _, amount in lines):
        raise DomainError("A credit note takes back more than nothing.", code="nothing_to_credit")
    if before + total > invoice.total:
        raise DomainError(
            f"Invoice {invoice} is over {invoice.total} {invoice.currency}, of which {before} are "
            f"credited already: {total} more cannot be.",
            code="credit_exceeds_invoice",
        )
    if not StripeOperation.objects.filter(invoice=invoice, reference=reference).exists():
        refuse_parts(invoice, total, refund=refund, balance=balance)
    content = {"memo": memo, "lines": [[text, str(amount)] for text, amount in lines]}
    content |= {"refund": str(refund), "balance": str(balance)} if refund or balance else {}
    return request_operation(
        invoice=invoice,
        kind=StripeOperation.Kind.CREDIT_NOTE,
        reference=reference,
        content=content,
        at=at,
    )


def refuse_parts(invoice: Invoice, total: Decimal, *, refund: Decimal, balance: Decimal) -> None:
    """Refuse to give back what was not received, or has gone back already."""
    if min(refund, balance) < 0 or refund + balance > total:
        raise DomainError(
            f"A credit note over {total} {invoice.currency} gives back no {refund} by refund and "
            f"{balance} by balance.",
            code="refund_exceeds_credit",
        )
    if not refund + balance:
        return
    if invoice.status != Invoice.Status.PAID:
        raise DomainError(
            f"Invoice {invoice} is {invoice.status}: money is given back of a paid one. This "
            "credit note lowers what is still to be paid.",
            code="not_paid",
        )
    left = refundable(invoice)
    if refund > left:
        raise DomainError(
            f"{left} {invoice.currency} of invoice {invoice} can be refunded through Stripe, not "
            f"{refund}: the rest was paid in another way, or has gone back already.",
            code="refund_exceeds_payment",
        )


def credited(operation: StripeOperation) -> Decimal:
    amounts = (Decimal(amount) for _, amount in operation.content["lines"])
    return sum(amounts, start=ZERO)


def request_due_credit_notes(*, at: datetime) -> int:
    """Ask for every issued credit note of an invoice at Stripe that was not asked for yet.

    One that does not fit its invoice is left to a person. Returns how many there were.
    """
    notes = list(credit_notes_to_send())
    for note in notes:
        try:
            send_credit_note(note=note, at=at)
        except DomainError as error:
            StripeOperation.objects.create(
                invoice=note.invoice,
                kind=StripeOperation.Kind.CREDIT_NOTE,
                reference=str(note.number),
                content={"memo": "", "lines": []},
                status=StripeOperation.Status.ATTENTION,
                attention=error.message,
                requested_at=at,
            )
    return len(notes)


def lines_of(note: CreditNote) -> list[tuple[str, Decimal]]:
    """Return a credit note's lines with its tax; as one line where Stripe could not take them.

    What the invoice was paid of with credits was never asked for at Stripe, so it is not among
    them.
    """
    there = note.total - note.credits_returned
    lines = [
        (line.description, line.amount - line.discount) for line in note.lines.order_by("position")
    ]
    lines += [("Tax", note.tax)] if note.tax else []
    total = sum((amount for _, amount in lines), start=ZERO)
    if total != there or any(amount <= 0 for _, amount in lines):
        return [(f"Credit note {note.number}", there)]
    return lines
