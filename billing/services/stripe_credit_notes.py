"""Our credit notes at Stripe: one there for each of ours, found again where an answer was lost."""

from datetime import datetime
from decimal import Decimal

from billing.gateways.requests import payload_digest
from billing.gateways.stripe import StripeGateway
from billing.gateways.values import CreditNoteDraft, CreditNoteState, InvoiceState
from billing.models import Invoice, StripeOperation
from billing.services.stripe_attempts import (
    attempt,
    begin,
    commit,
    is_fresh,
    is_key_usable,
    renew,
)
from billing.services.stripe_queue import NeedsAttentionError


def make_credit_note(
    operation: StripeOperation, state: InvoiceState, gateway: StripeGateway, at: datetime
) -> CreditNoteDraft:
    """Make the credit note on the invoice if it is not there; return what it says.

    What it will come to is asked for first, because a credit note is final once it is made.
    """
    draft = credit_note_draft(operation, state, gateway)
    digest = payload_digest(draft)
    made = None
    if not is_fresh(operation) and not is_key_usable(operation, digest=digest, at=at):
        made = find_credit_note(draft, gateway)
        if made is None:
            renew(operation)
    if made is None:
        if operation.started_at is None:
            refuse_other_credit(gateway.preview_credit_note(draft), draft)
        begin(operation, digest=digest, at=at)
        key = f"{gateway.account}:cn:{operation.pk}:{operation.generation}"
        made = attempt(operation, lambda: gateway.create_credit_note(draft, key=key))
    operation.stripe_id = made.id
    commit(operation, "stripe_id")
    refuse_other_credit(made, draft)
    refuse_other_refund(made, draft)
    return draft


def credit_note_draft(
    operation: StripeOperation, state: InvoiceState, gateway: StripeGateway
) -> CreditNoteDraft:
    if state.status not in {Invoice.Status.OPEN, Invoice.Status.PAID}:
        raise NeedsAttentionError(
            f"The invoice is {state.status} at Stripe, and credit notes are for open and paid ones."
        )
    return CreditNoteDraft(
        invoice_id=state.id,
        currency=state.currency,
        lines=tuple((text, Decimal(amount)) for text, amount in operation.content["lines"]),
        memo=operation.content["memo"],
        is_paid=state.status == Invoice.Status.PAID,
        metadata={"credit_note": operation.reference, "env": gateway.account},
        refund=part_of(operation, "refund"),
        balance=part_of(operation, "balance"),
    )


def part_of(operation: StripeOperation, name: str) -> Decimal:
    """Return how much of a credit note is given back in one way."""
    return Decimal(operation.content.get(name, 0))


def find_credit_note(draft: CreditNoteDraft, gateway: StripeGateway) -> CreditNoteState | None:
    found = [
        state
        for state in gateway.credit_notes_of(draft.invoice_id)
        if draft.metadata.items() <= state.metadata.items() and state.status != "void"
    ]
    if len(found) > 1:
        ids = ", ".join(state.id for state in found)
        raise NeedsAttentionError(
            f"Stripe has {len(found)} credit notes for this one: {ids}. Void all but one there."
        )
    return found[0] if found else None


def refuse_other_credit(state: CreditNoteState, draft: CreditNoteDraft) -> None:
    if state.total != draft.total:
        raise NeedsAttentionError(
            f"The credit note comes to {state.total} {state.currency} at Stripe, and to "
            f"{draft.total} here."
        )


def refuse_other_refund(state: CreditNoteState, draft: CreditNoteDraft) -> None:
    if draft.is_paid and state.refunded != draft.refund:
        raise NeedsAttentionError(
            f"Credit note {state.id} refunded {state.refunded} {state.currency} at Stripe, where "
            f"{draft.refund} were asked for. Look into the payment there."
        )


def credited_words(draft: CreditNoteDraft) -> str:
    """Return what staff read about a credit note that was made."""
    said = f"Credited {draft.total} {draft.currency}."
    if not draft.is_paid:
        return said
    parts = [
        (draft.refund, "refunded through Stripe"),
        (draft.balance, "put on the customer's balance at Stripe"),
        (draft.out_of_band, "to be given back outside Stripe"),
    ]
    listed = ", ".join(f"{amount} {words}" for amount, words in parts if amount)
    return f"{said[:-1]}: {listed}."
