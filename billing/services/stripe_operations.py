"""What is asked of an invoice at Stripe after its push: void it, give it up, charge it, credit it.

Each is a stored row that is taken up again until it is done, as a push is. What Stripe has is read
first, and our invoice follows only what was read back: it is never void here while a customer can
still pay it there.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial

from django.db import transaction

from billing.gateways.errors import CardDeclinedError, GoneError, StateMovedError
from billing.gateways.stripe import StripeGateway
from billing.gateways.values import InvoiceState
from billing.models import CreditNote, Invoice, StripeCustomer, StripeOperation, StripePush
from billing.selectors.locks import only_one
from billing.selectors.stripe import operations_to_retry
from billing.services.payments import follow_stripe, record_paid_elsewhere, set_void
from billing.services.stripe_attempts import (
    attempt,
    begin,
    commit,
    is_key_usable,
    renew,
)
from billing.services.stripe_credit_notes import credited_words, make_credit_note
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
from billing.services.stripe_requests import request_due_credit_notes
from billing.services.stripe_steps import PushJob, declined, find_invoice

Kind = StripeOperation.Kind


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
    """Take up the operations whose time to be tried again has come, and credit notes not sent."""
    if gateway is not None:
        request_due_credit_notes(at=at)
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


def mark_paid(
    operation: StripeOperation, push: StripePush, gateway: StripeGateway, at: datetime
) -> str:
    """Say that the money came outside Stripe, so that nobody can pay there again."""
    state = completed(push, gateway)
    if state.status in {Invoice.Status.OPEN, Invoice.Status.UNCOLLECTIBLE}:
        call(operation, lambda key: gateway.mark_paid(state.id, key=key), at)
    if state.to_balance and push.invoice.amount_due:
        # Stripe has called it paid before, without any money.
        record_paid_elsewhere(
            invoice=push.invoice,
            reference=operation.content["reference"],
            paid_at=datetime.fromisoformat(operation.content["paid_at"]),
        )
    return followed(push, Invoice.Status.PAID, gateway, at)


def credit(
    operation: StripeOperation, push: StripePush, gateway: StripeGateway, at: datetime
) -> str:
    state = completed(push, gateway)
    made = make_credit_note(operation, state, gateway, at)
    note_refund(operation, at)
    follow_stripe(invoice=push.invoice, stripe_invoice_id=state.id, gateway=gateway, at=at)
    return credited_words(made)


def note_refund(operation: StripeOperation, at: datetime) -> None:
    """Note on our credit note that Stripe has sent the money, if it was to."""
    CreditNote.objects.filter(
        number=operation.reference,
        refund_through=CreditNote.RefundThrough.STRIPE,
        refunded_at=None,
    ).update(refunded_at=at, refund_reference=operation.stripe_id)


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
    Kind.PAID_ELSEWHERE: mark_paid,
    Kind.CREDIT_NOTE: credit,
}
