"""What is asked of an invoice at Stripe after its push: void it, give it up, charge it, credit it.

Each is a stored row that is taken up again until it is done, as a push is. What Stripe has is read
first, and our invoice follows only what was read back: it is never void here while a customer can
still pay it there.
"""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

from django.db import transaction

from billing.gateways.errors import CardDeclinedError, GoneError, StateMovedError
from billing.gateways.requests import payload_digest
from billing.gateways.stripe import StripeGateway
from billing.gateways.values import CreditNoteDraft, CreditNoteState, InvoiceState
from billing.models import Invoice, StripeCustomer, StripeOperation, StripePush
from billing.selectors.locks import only_one
from billing.selectors.stripe import operations_to_retry
from billing.services.payments import follow_stripe, set_void
from billing.services.stripe_attempts import (
    attempt,
    begin,
    commit,
    is_fresh,
    is_key_usable,
    renew,
)
from billing.services.stripe_customers import customer_gone
from billing.services.stripe_push import PUSH_LOCKS, push_invoice
from billing.services.stripe_queue import (
    NeedsAttentionError,
    PushOutcome,
    PushReport,
    finish,
    one_attempt,
    work_through,
)
from billing.services.stripe_steps import PushJob, declined, find_invoice
from config.errors import DomainError
from config.queue import enqueue_on_commit

Kind = StripeOperation.Kind


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
    total = sum((amount for _, amount in lines), start=Decimal(0))
    others = StripeOperation.objects.filter(invoice=invoice, kind=Kind.CREDIT_NOTE)
    before = sum(
        (credited(other) for other in others.exclude(reference=reference)), start=Decimal(0)
    )
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
        invoice=invoice, kind=Kind.CREDIT_NOTE, reference=reference, content=content, at=at
    )


def credited(operation: StripeOperation) -> Decimal:
    amounts = (Decimal(amount) for _, amount in operation.content["lines"])
    return sum(amounts, start=Decimal(0))


def run_operation(
    *, operation: StripeOperation, gateway: StripeGateway | None, at: datetime
) -> PushOutcome:
    """Do what was asked for, from wherever an earlier attempt stopped.

    Safe to call any number of times, from any number of processes, as `push_invoice` is.
    """
    if gateway is None:
        return PushOutcome.NOT_CONFIGURED
    if operation.kind != Kind.VOID:
        # Voiding ends a push that is under way; all else comes after it.
        invoice = Invoice.objects.get(pk=operation.invoice_id)
        push_invoice(invoice=invoice, gateway=gateway, at=at)
    with only_one(PUSH_LOCKS + operation.invoice_id) as is_mine:
        if not is_mine:
            return PushOutcome.BUSY
        operation.refresh_from_db()
        if operation.status == StripeOperation.Status.COMPLETED:
            return PushOutcome.COMPLETED
        work = partial(carry_out, operation, gateway, at)
        return one_attempt(operation, work, gateway=gateway, at=at)


def retry_operations(*, gateway: StripeGateway | None, at: datetime) -> PushReport:
    """Take up the operations whose time to be tried again has come."""
    return work_through(
        operations_to_retry(at),
        lambda operation: run_operation(operation=operation, gateway=gateway, at=at),
        lambda operation: operation,
        gateway=gateway,
        at=at,
    )


def carry_out(operation: StripeOperation, gateway: StripeGateway, at: datetime) -> PushOutcome:
    push = StripePush.objects.select_related("invoice__customer").get(
        invoice_id=operation.invoice_id
    )
    outcome = WAYS[Kind(operation.kind)](operation, push, gateway, at)
    with transaction.atomic(durable=True):
        operation.outcome = outcome
        operation.save(update_fields=["outcome"])
        finish(operation, at)
    return PushOutcome.COMPLETED


def void(operation: StripeOperation, push: StripePush, gateway: StripeGateway, at: datetime) -> str:
    """Void what is open there, delete what is still a draft, and follow."""
    if push.environment and push.environment != gateway.account:
        raise NeedsAttentionError(
            f"The invoice is at Stripe as {push.environment}, which is now asked as "
            f"{gateway.account}. Go back to the key and the STRIPE_ENVIRONMENT of then."
        )
    state = state_to_void(push, gateway, at)
    if state is not None and state.status == Invoice.Status.DRAFT:
        delete_draft(state.id, gateway)
        state = None
    if state is None:
        return void_here(push, at)
    if state.status in {Invoice.Status.OPEN, Invoice.Status.UNCOLLECTIBLE}:
        call(operation, lambda key: gateway.void_invoice(state.id, key=key), at)
    return followed(push, Invoice.Status.VOID, gateway, at)


def state_to_void(push: StripePush, gateway: StripeGateway, at: datetime) -> InvoiceState | None:
    """Return what Stripe has of an invoice, looking for it where an answer was lost."""
    row = StripeCustomer.objects.filter(
        customer=push.invoice.customer, account=gateway.account
    ).first()
    if not push.stripe_invoice_id:
        if row is None or not row.stripe_id:
            return None
        job = PushJob(invoice=push.invoice, push=push, gateway=gateway, at=at, chunks=[])
        found = find_invoice(job, row.stripe_id)
        if found is None:
            return None
        push.stripe_invoice_id = found.id
        commit(push, "stripe_invoice_id")
    try:
        return gateway.retrieve_invoice(push.stripe_invoice_id)
    except GoneError as error:
        is_there = row is not None and not gateway.retrieve_customer(row.stripe_id).is_deleted
        if push.status == StripePush.Status.COMPLETED or not is_there:
            raise customer_gone(row.stripe_id if row else "") from error
        # A draft that somebody deleted, in the right account.
        return None


def delete_draft(invoice_id: str, gateway: StripeGateway) -> None:
    try:
        gateway.delete_draft(invoice_id)
    except GoneError:
        # An earlier attempt has, and its answer was lost.
        return


def void_here(push: StripePush, at: datetime) -> str:
    """Void an invoice that Stripe has no more of than a deleted draft."""
    with transaction.atomic(durable=True):
        invoice = Invoice.objects.select_for_update().get(pk=push.invoice_id)
        if invoice.status in {Invoice.Status.OPEN, Invoice.Status.UNCOLLECTIBLE}:
            set_void(invoice=invoice, at=at)
        push.status, push.stripe_invoice_id = StripePush.Status.SKIPPED, ""
        push.stripe_status = push.attention = ""
        push.last_error, push.retry_at = "The invoice was voided before it was final there.", None
        push.save()
    return "Void. At Stripe it had not become final."


def mark_uncollectible(
    operation: StripeOperation, push: StripePush, gateway: StripeGateway, at: datetime
) -> str:
    state = completed(push, gateway)
    if state.status == Invoice.Status.OPEN:
        call(operation, lambda key: gateway.mark_uncollectible(state.id, key=key), at)
    return followed(push, Invoice.Status.UNCOLLECTIBLE, gateway, at)


def pay(operation: StripeOperation, push: StripePush, gateway: StripeGateway, at: datetime) -> str:
    """Charge the default payment method once. A decline is an outcome: another try is asked for."""
    state = completed(push, gateway)
    if state.status not in {Invoice.Status.OPEN, Invoice.Status.UNCOLLECTIBLE}:
        return followed(push, Invoice.Status.PAID, gateway, at)
    problem = ""
    try:
        call(operation, lambda key: gateway.pay_invoice(state.id, key=key), at)
    except CardDeclinedError as error:
        problem = declined(error)
    found = follow_stripe(invoice=push.invoice, stripe_invoice_id=state.id, gateway=gateway, at=at)
    if found.status == Invoice.Status.PAID:
        return "Paid."
    StripePush.objects.filter(pk=push.pk).update(collection_problem=problem)
    # The key that has answered is done with, whatever it said.
    renew(operation)
    return problem or f"The invoice is {found.status}: the payment is not through yet."


def make_credit_note(
    operation: StripeOperation, push: StripePush, gateway: StripeGateway, at: datetime
) -> str:
    """Make the credit note there if it is not; what it will come to is asked for first."""
    state = completed(push, gateway)
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
    follow_stripe(invoice=push.invoice, stripe_invoice_id=state.id, gateway=gateway, at=at)
    return f"Credited {draft.total} {draft.currency}."


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
    )


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


def completed(push: StripePush, gateway: StripeGateway) -> InvoiceState:
    """Return the final invoice there. Raises NeedsAttentionError while the push is held up."""
    if push.status != StripePush.Status.COMPLETED:
        reason = push.attention or push.last_error
        raise NeedsAttentionError(f"The invoice has to get to Stripe first. {reason}".strip())
    return gateway.retrieve_invoice(push.stripe_invoice_id)


def call(operation: StripeOperation, request: Callable[[str], None], at: datetime) -> None:
    """Make the call that the state just read still needs; what it came to is read afterwards."""
    if not is_key_usable(operation, at=at):
        renew(operation)
    begin(operation, at=at)
    account = operation.invoice.stripe_push.environment
    key = f"{account}:inv:{operation.invoice_id}:{operation.kind}:{operation.generation}"
    try:
        attempt(operation, lambda: request(key))
    except StateMovedError:
        return


def followed(push: StripePush, wanted: str, gateway: StripeGateway, at: datetime) -> str:
    """Read the invoice back, follow it, and return what it is if that is what was wanted."""
    state = follow_stripe(
        invoice=push.invoice, stripe_invoice_id=push.stripe_invoice_id, gateway=gateway, at=at
    )
    if state.status != wanted:
        raise NeedsAttentionError(
            f"The invoice is {state.status} at Stripe, so it does not become {wanted}."
        )
    if push.status != StripePush.Status.COMPLETED:
        with transaction.atomic(durable=True):
            finish(push, at)
    return f"The invoice is {state.status} here and at Stripe."


type Way = Callable[[StripeOperation, StripePush, StripeGateway, datetime], str]

WAYS: dict[StripeOperation.Kind, Way] = {
    Kind.VOID: void,
    Kind.UNCOLLECTIBLE: mark_uncollectible,
    Kind.PAY: pay,
    Kind.CREDIT_NOTE: make_credit_note,
}
