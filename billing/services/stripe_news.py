"""What becomes of an event: what it is about is read anew from Stripe, and that is applied.

So neither the order of events nor their repetition matters. Each handler returns what it did.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.db import transaction

from billing.gateways.errors import GoneError
from billing.gateways.stripe import StripeGateway
from billing.gateways.values import InvoiceState, ReversalState
from billing.models import (
    Collection,
    Email,
    Invoice,
    Payment,
    PaymentReversal,
    StripeCustomer,
    StripeEvent,
    StripeOperation,
    StripePush,
)
from billing.selectors.stripe import push_of
from billing.services.email_claims import claim_emails
from billing.services.payments import follow_stripe
from billing.services.stripe_requests import request_operation
from billing.services.stripe_steps import CONFIRMATION_NEEDED

# An invoice that is ours by its metadata, but whose id is not stored yet, is waited for.
MAX_WAITS = 5
PAYMENT_PROBLEMS = frozenset({"invoice.payment_failed", "invoice.payment_action_required"})
UNPAID = frozenset({Invoice.Status.OPEN, Invoice.Status.UNCOLLECTIBLE})


class NotYetError(Exception):
    """The event is about an invoice whose push has not stored its id; the message says which."""


def outcome_of(event: StripeEvent, gateway: StripeGateway, at: datetime) -> str:
    """Do what an event asks for and return what that was. Raises NotYetError to be asked again."""
    if event.livemode != gateway.livemode:
        return "Ignored: it is of the other mode, live or test."
    if event.account:
        return f"Ignored: it is of another account, {event.account}."
    for beginning, handler in HANDLERS.items():
        if event.type.startswith(beginning):
            return handler(event, gateway, at)
    return "Recorded."


def about_invoice(event: StripeEvent, gateway: StripeGateway, at: datetime) -> str:
    return invoice_changed(event.object_id, event, gateway, at)


def about_part_of_invoice(event: StripeEvent, gateway: StripeGateway, at: datetime) -> str:
    """Handle what belongs to an invoice: a payment of it, a credit note on it."""
    return invoice_changed(str(subject_of(event).get("invoice") or ""), event, gateway, at)


def invoice_changed(
    invoice_id: str, event: StripeEvent, gateway: StripeGateway, at: datetime
) -> str:
    if not invoice_id:
        return "Recorded."
    push = push_of(invoice_id)
    try:
        if push is None:
            return refuse_unknown(event, gateway.retrieve_invoice(invoice_id), gateway)
        state = follow_stripe(
            invoice=push.invoice, stripe_invoice_id=invoice_id, gateway=gateway, at=at
        )
    except GoneError:
        return deleted(push, invoice_id)
    note_problem(event, push, state)
    return f"Applied: the invoice is {state.status} at Stripe."


def note_problem(event: StripeEvent, push: StripePush, state: InvoiceState) -> None:
    """Keep what an event says that the invoice itself does not: why no money came."""
    pushes = StripePush.objects.filter(pk=push.pk)
    if event.type == "invoice.finalization_failed" and state.status == Invoice.Status.DRAFT:
        pushes.update(
            status=StripePush.Status.ATTENTION,
            attention=f"Stripe could not finalize the invoice: {state.finalization_error}",
        )
    if state.status not in UNPAID:
        return
    if event.type == "invoice.payment_failed":
        pushes.update(collection_problem=failed(state))
    if event.type in PAYMENT_PROBLEMS:
        claim_emails(
            kind=Email.Kind.PAYMENT_FAILED,
            documents=[push.invoice],
            at=event.created_at,
            occasion=str(state.attempt_count),
        )
    if event.type == "invoice.payment_action_required":
        pushes.update(collection_problem=CONFIRMATION_NEEDED)


def failed(state: InvoiceState) -> str:
    next_attempt = state.next_payment_attempt_at
    after = "Stripe does not try again by itself."
    if next_attempt is not None:
        after = f"Stripe tries again on {next_attempt:%Y-%m-%d at %H:%M} UTC."
    return f"A payment failed, attempt {state.attempt_count}. {after}"


def deleted(push: StripePush | None, invoice_id: str) -> str:
    """Note that an invoice is gone; a deleted draft is made again by its push."""
    if push is None:
        return f"Ignored: {invoice_id} is not in this Stripe account."
    if push.status == StripePush.Status.COMPLETED:
        push.attention = f"Invoice {invoice_id} was deleted at Stripe, or is another account's."
        push.save(update_fields=["attention"])
    return f"{invoice_id} is gone at Stripe."


def refuse_unknown(event: StripeEvent, state: InvoiceState, gateway: StripeGateway) -> str:
    """Return why an invoice that no push made is left alone. Raises NotYetError to wait for one."""
    if state.metadata.get("env") != gateway.account:
        return "Ignored: the invoice is not of this installation."
    number = state.metadata.get("invoice", "")
    invoices = Invoice.objects.filter(pk=int(number) if number.isdecimal() else 0)
    if invoices and event.attempts < MAX_WAITS:
        raise NotYetError(f"Invoice {number} here does not know {state.id} yet.")
    StripePush.objects.filter(invoice__in=invoices).update(
        attention=f"Stripe also has {state.id}, which says it is this invoice."
    )
    return f"Needs attention: {state.id} says it is invoice {number}, which does not know it."


def about_customer(event: StripeEvent, gateway: StripeGateway, at: datetime) -> str:
    row = StripeCustomer.objects.filter(
        stripe_id=event.object_id or "-", account=gateway.account
    ).first()
    if row is None:
        return "Ignored: the customer is not of this installation."
    try:
        state = gateway.retrieve_customer(row.stripe_id)
    except GoneError:
        state = None
    if state is None or state.is_deleted:
        row.deleted_at = row.deleted_at or at
        row.attention = "Deleted at Stripe. No invoice can be pushed for it any more."
        row.save(update_fields=["deleted_at", "attention"])
        return "Needs attention: the customer was deleted at Stripe."
    is_new_method = bool(state.payment_method) and state.payment_method != row.payment_method
    row.payment_method = state.payment_method
    row.attention = differences(row, state.name, state.email)
    if row.attention:
        # What is ours goes there again with the next push.
        row.payload_digest = ""
    row.save(update_fields=["payment_method", "attention", "payload_digest"])
    if is_new_method:
        return f"Applied. {charge_again(row, at)} unpaid invoices are charged anew."
    return "Applied." if not row.attention else f"Noted: {row.attention}"


def differences(row: StripeCustomer, name: str, email: str) -> str:
    pairs = (("name", row.customer.name, name), ("e-mail", row.customer.email, email))
    differing = [label for label, ours, theirs in pairs if ours.strip() != theirs.strip()]
    if not differing:
        return ""
    return f"Another {' and '.join(differing)} at Stripe; ours goes there with the next push."


def charge_again(row: StripeCustomer, at: datetime) -> int:
    """Try a new payment method on what the old one did not pay; return on how many invoices."""
    unpaid = Invoice.objects.filter(
        customer=row.customer,
        status=Invoice.Status.OPEN,
        stripe_push__collection_method=Collection.CHARGE_AUTOMATICALLY,
        stripe_push__status=StripePush.Status.COMPLETED,
    ).exclude(stripe_push__collection_problem="")
    for invoice in unpaid:
        request_operation(invoice=invoice, kind=StripeOperation.Kind.PAY, at=at)
    return len(unpaid)


def about_refund(event: StripeEvent, gateway: StripeGateway, at: datetime) -> str:
    return about_reversal(event, gateway.retrieve_refund, gateway, at)


def about_dispute(event: StripeEvent, gateway: StripeGateway, at: datetime) -> str:
    return about_reversal(event, gateway.retrieve_dispute, gateway, at)


def about_reversal(
    event: StripeEvent,
    retrieve: Callable[[str], ReversalState],
    gateway: StripeGateway,
    at: datetime,
) -> str:
    if not event.object_id:
        return "Recorded."
    try:
        state = retrieve(event.object_id)
    except GoneError:
        return f"Ignored: {event.object_id} is not in this Stripe account."
    return went_back(state, gateway, at)


def went_back(state: ReversalState, gateway: StripeGateway, at: datetime) -> str:
    """Record money that went back on the payment that brought it."""
    payments = gateway.payments_by_intent(state.payment_intent) if state.payment_intent else []
    for found in payments:
        push = push_of(found.invoice_id)
        if push is None:
            continue
        # The payment may not be recorded yet, if its own event has not come.
        follow_stripe(
            invoice=push.invoice, stripe_invoice_id=found.invoice_id, gateway=gateway, at=at
        )
        payment = Payment.objects.filter(external_id=found.id).first()
        if payment is None:
            raise NotYetError(f"Payment {found.id} is not recorded yet.")
        record_reversal(payment, state)
        follow_stripe(
            invoice=push.invoice, stripe_invoice_id=found.invoice_id, gateway=gateway, at=at
        )
        return f"Applied: a {state.kind} of {state.amount} {state.currency} is {state.status}."
    return "Ignored: it is of no payment of an invoice of ours."


@transaction.atomic
def record_reversal(payment: Payment, state: ReversalState) -> None:
    PaymentReversal.objects.update_or_create(
        external_id=state.id,
        defaults={"status": state.status, "amount": state.amount, "reason": state.reason},
        create_defaults={
            "payment": payment,
            "kind": state.kind,
            "status": state.status,
            "amount": state.amount,
            "reason": state.reason,
            "created_at": state.created_at,
        },
    )


def subject_of(event: StripeEvent) -> dict[str, Any]:
    found: dict[str, Any] = event.payload.get("data", {}).get("object", {})
    return found


type Handler = Callable[[StripeEvent, StripeGateway, datetime], str]

# By the beginning of an event's type; the first that fits.
HANDLERS: dict[str, Handler] = {
    "invoice.": about_invoice,
    "invoice_payment.": about_part_of_invoice,
    "credit_note.": about_part_of_invoice,
    "customer.": about_customer,
    "refund.": about_refund,
    "charge.dispute.": about_dispute,
}
