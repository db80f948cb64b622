"""Asking for something to be done to an invoice that Stripe has."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction

from billing.models import CreditNote, Invoice, StripeOperation
from billing.selectors.stripe import credit_notes_to_send
from config.errors import DomainError
from config.queue import enqueue_on_commit

ZERO = Decimal(0)


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
    enqueue_on_commit("billing.tasks.run_stripe_operation", operation.pk)
    return operation


@transaction.atomic
def request_credit_note(
    *,
    invoice: Invoice,
    reference: str,
    lines: list[tuple[str, Decimal]],
    memo: str,
    at: datetime,
) -> StripeOperation:
    """Have a credit note of ours made on the invoice at Stripe too.

    `reference` is its number, `lines` are its descriptions with positive amounts, tax among them.
    Raises DomainError for nothing, and for more than the invoice is over.
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
    content = {"memo": memo, "lines": [[text, str(amount)] for text, amount in lines]}
    return request_operation(
        invoice=invoice,
        kind=StripeOperation.Kind.CREDIT_NOTE,
        reference=reference,
        content=content,
        at=at,
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
            request_credit_note(
                invoice=note.invoice,
                reference=str(note.number),
                lines=lines_of(note),
                memo=f"Credit note {note.number}",
                at=at,
            )
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
    """Return a credit note's lines with its tax; as one line where Stripe could not take them."""
    lines = [(line.description, line.amount) for line in note.lines.order_by("position")]
    lines += [("Tax", note.tax)] if note.tax else []
    total = sum((amount for _, amount in lines), start=ZERO)
    if total != note.total or any(amount <= 0 for _, amount in lines):
        return [(f"Credit note {note.number}", note.total)]
    return lines
