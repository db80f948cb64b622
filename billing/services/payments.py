"""Money received, and what Stripe says has become of an invoice."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal

from django.db import transaction

from billing.gateways.stripe import StripeGateway
from billing.gateways.values import InvoiceState, PaymentState
from billing.models import (
    Email,
    Invoice,
    Payment,
    PaymentReversal,
    StripeOperation,
    StripePush,
)
from billing.selectors.reversals import (
    DISPUTED,
    FROM_BALANCE,
    NOT_REFUNDED,
    OUT_OF_BAND,
    REFUNDED,
    money_back,
    refunds_asked,
)
from billing.services.credits import return_credits
from billing.services.dunning_requests import look_again
from billing.services.email_claims import claim_emails
from config.errors import DomainError

# An invoice only moves forward: to a state of higher rank, or from owed to void.
RANKS = {
    Invoice.Status.DRAFT: 0,
    Invoice.Status.OPEN: 1,
    Invoice.Status.UNCOLLECTIBLE: 2,
    Invoice.Status.PAID: 3,
}
OWED = frozenset({Invoice.Status.OPEN, Invoice.Status.UNCOLLECTIBLE})


@transaction.atomic
def record_payment(
    *, invoice: Invoice, source: str, external_id: str, amount: Decimal, paid_at: datetime
) -> Payment:
    """Record money received against an issued invoice, once for each `external_id`.

    `amount` is in the invoice's currency. An invoice that is paid in full becomes paid. Raises
    DomainError for an invoice nothing can be owed on, or an amount that is not positive.
    """
    locked = Invoice.objects.select_for_update().get(pk=invoice.pk)
    known = Payment.objects.filter(external_id=external_id).first()
    if known:
        return known
    if locked.status not in OWED | {Invoice.Status.PAID}:
        raise DomainError(
            f"Invoice {locked} is {locked.status}: no payment can be recorded on it.",
            code="not_payable",
        )
    if amount <= 0:
        raise DomainError("A payment is more than nothing.", code="amount_not_positive")
    payment = Payment.objects.create(
        invoice=locked, source=source, external_id=external_id, amount=amount, paid_at=paid_at
    )
    locked.amount_paid += amount
    if locked.status in OWED and locked.amount_due <= 0:
        locked.status, locked.paid_at = Invoice.Status.PAID, paid_at
        claim_emails(kind=Email.Kind.PAID, documents=[locked], at=paid_at)
        look_again(locked)
    locked.save(update_fields=["amount_paid", "status", "paid_at"])
    return payment


def record_paid_elsewhere(*, invoice: Invoice, reference: str, paid_at: datetime) -> Payment:
    """Record that all that is owed on an invoice came outside Stripe; raises as record_payment."""
    return record_payment(
        invoice=invoice,
        source=Payment.Source.MANUAL,
        external_id=f"{invoice.number}: {reference}"[:255],
        amount=invoice.amount_due,
        paid_at=paid_at,
    )


def follow_stripe(
    *, invoice: Invoice, stripe_invoice_id: str, gateway: StripeGateway, at: datetime
) -> InvoiceState:
    """Read an invoice at Stripe, bring ours up to it, and return what was read.

    Raises the errors of the gateway.
    """
    state = gateway.retrieve_invoice(stripe_invoice_id)
    if not apply_stripe_state(
        invoice=invoice, state=state, payments=gateway.payments_of(state), at=at
    ):
        # Perhaps somebody else read and applied later news meanwhile: then these are behind.
        state = gateway.retrieve_invoice(stripe_invoice_id)
        payments = gateway.payments_of(state)
        if not apply_stripe_state(invoice=invoice, state=state, payments=payments, at=at):
            note_contradiction(invoice, state)
    return state


@transaction.atomic
def apply_stripe_state(
    *, invoice: Invoice, state: InvoiceState, payments: Sequence[PaymentState], at: datetime
) -> bool:
    """Bring our invoice up to what was just read from Stripe; the order of news does not matter.

    Payments are recorded once each. Returns False, having changed nothing but the mirror, if that
    would move our invoice backwards.
    """
    locked = Invoice.objects.select_for_update().get(pk=invoice.pk)
    mirror(locked, state, at)
    if state.to_balance:
        # Stripe calls it paid, but no money came: ours stays owed.
        note_debt(locked, state)
        return True
    if not can_follow(locked, state):
        return state.status in {locked.status, Invoice.Status.DRAFT} or awaits_credit(locked, state)
    for payment in received(state, payments):
        record_payment(
            invoice=locked,
            source=Payment.Source.STRIPE,
            external_id=payment.id,
            amount=payment.amount,
            paid_at=payment.paid_at,
        )
    locked.refresh_from_db()
    follow(locked, state, at)
    return True


def note_contradiction(invoice: Invoice, state: InvoiceState) -> None:
    """Leave an invoice that is further here than at Stripe for a person."""
    invoice.refresh_from_db()
    message = f"Invoice {invoice} is {invoice.status} here and {state.status} at Stripe."
    StripePush.objects.filter(invoice=invoice).update(attention=message)


def note_debt(invoice: Invoice, state: InvoiceState) -> None:
    """Leave an invoice to a person that Stripe did not collect, as long as it is owed."""
    attention = (
        f"Stripe found {state.total} {state.currency} too little to collect, calls invoice "
        f"{invoice} paid, and adds {state.to_balance} to the customer's next invoice there. Set "
        "the customer's balance at Stripe back to nothing, and say in STRIPE_MINIMUM_AMOUNTS what "
        "is too little."
    )
    pushes = StripePush.objects.filter(invoice=invoice)
    pushes.update(attention=attention if invoice.amount_due else "")


def mirror(invoice: Invoice, state: InvoiceState, at: datetime) -> None:
    """Keep what Stripe calls the invoice, where it shows it, and how collecting it goes."""
    pushes = StripePush.objects.filter(invoice=invoice)
    pushes.update(
        stripe_status=state.status,
        stripe_number=state.number,
        hosted_invoice_url=state.hosted_invoice_url,
        invoice_pdf=state.invoice_pdf,
        links_read_at=at,
        attempt_count=state.attempt_count,
        next_payment_attempt_at=state.next_payment_attempt_at,
    )
    if state.status in {Invoice.Status.PAID, Invoice.Status.VOID}:
        pushes.update(collection_problem="")


def can_follow(invoice: Invoice, state: InvoiceState) -> bool:
    if state.status == Invoice.Status.VOID:
        return invoice.status in OWED
    if invoice.status not in RANKS or state.status not in RANKS:
        return False
    return RANKS[Invoice.Status(state.status)] >= RANKS[Invoice.Status(invoice.status)]


def awaits_credit(invoice: Invoice, state: InvoiceState) -> bool:
    """Say whether an invoice is open at Stripe only because credit notes are on their way there."""
    return (
        invoice.status == Invoice.Status.PAID
        and state.status in OWED
        and credited_there(invoice) < invoice.amount_credited
    )


def received(state: InvoiceState, payments: Sequence[PaymentState]) -> list[PaymentState]:
    """Return the payments, and one more each for money that came in no payment of Stripe's.

    That is what Stripe was told of but never saw, and what it kept for the customer.
    """
    found = [payment for payment in payments if payment.amount > 0]
    known = sum((payment.amount for payment in found), start=Decimal(0))
    if state.status == Invoice.Status.PAID and state.amount_paid > known and state.paid_at:
        rest = state.amount_paid - known
        found.append(PaymentState(f"{state.id}:{OUT_OF_BAND}", rest, state.paid_at))
    if state.from_balance and state.status != Invoice.Status.VOID:
        at = state.finalized_at or state.created_at
        found.append(PaymentState(f"{state.id}:{FROM_BALANCE}", state.from_balance, at))
    return found


def follow(invoice: Invoice, state: InvoiceState, at: datetime) -> None:
    is_paid = state.status == Invoice.Status.PAID
    pushes = StripePush.objects.filter(invoice=invoice, status=StripePush.Status.COMPLETED)
    pushes.update(attention=" ".join(contradictions(invoice, state)))
    if state.status in {invoice.status, Invoice.Status.OPEN}:
        return
    invoice.status = state.status
    if is_paid:
        invoice.paid_at = state.paid_at or at
    if state.status == Invoice.Status.VOID:
        invoice.voided_at = at
        return_credits(invoice=invoice, at=at)
    look_again(invoice)
    invoice.save(update_fields=["status", "paid_at", "voided_at"])


def contradictions(invoice: Invoice, state: InvoiceState) -> Iterator[str]:
    """Yield what a person has to look into, from what is known of an invoice on both sides."""
    currency = invoice.currency
    if (
        state.status == Invoice.Status.PAID
        and invoice.amount_paid + state.credited != invoice.total
    ):
        yield (
            f"Stripe calls invoice {invoice} paid, having received {invoice.amount_paid} of "
            f"{invoice.total} {currency}."
        )
    beyond = invoice.amount_paid + invoice.amount_credited - invoice.total
    if state.status == Invoice.Status.PAID and invoice.amount_credited and beyond > 0:
        yield (
            f"{beyond} {currency} were paid beyond what credit notes had left of invoice {invoice}. "
            "Pay that back or give it as credit."
        )
    if state.debt and state.status == Invoice.Status.OPEN:
        yield (
            f"Stripe asks for {state.debt} {currency} more than invoice {invoice} says: so much "
            "the customer owes on balance there."
        )
    credited, noted = state.credited + state.credited_after_payment, credited_there(invoice)
    if credited != noted:
        yield f"Credit notes at Stripe come to {credited} {currency}, those from here to {noted}."
    refunded = money_back(invoice, kind=PaymentReversal.Kind.REFUND, statuses=REFUNDED)
    if refunded > state.credited_after_payment:
        yield f"{refunded} {currency} were refunded at Stripe. A credit note here has to say so."
    asked = refunds_asked(invoice)
    failed = money_back(invoice, kind=PaymentReversal.Kind.REFUND, statuses=NOT_REFUNDED)
    if failed and refunded < asked:
        yield (
            f"A refund of {failed} {currency} failed at Stripe, so the customer has not got "
            f"{asked - refunded} {currency} back. Refund it again there, or pay it another way."
        )
    disputed = money_back(invoice, kind=PaymentReversal.Kind.DISPUTE, statuses=DISPUTED)
    if disputed:
        yield f"A dispute over {disputed} {currency} is open. It is answered at Stripe."
    lost = money_back(invoice, kind=PaymentReversal.Kind.DISPUTE, statuses=("lost",))
    if lost:
        yield f"A dispute over {lost} {currency} was lost: that money is gone."


def credited_there(invoice: Invoice) -> Decimal:
    """Return what the credit notes that were made at Stripe from here come to."""
    made = invoice.stripe_operations.filter(kind=StripeOperation.Kind.CREDIT_NOTE)
    amounts = (
        Decimal(amount)
        for operation in made.exclude(stripe_id="")
        for _, amount in operation.content["lines"]
    )
    return sum(amounts, start=Decimal(0))


def set_void(*, invoice: Invoice, at: datetime) -> None:
    """Make an invoice void that Stripe does not have; the caller has locked it."""
    invoice.status, invoice.voided_at = Invoice.Status.VOID, at
    invoice.save(update_fields=["status", "voided_at"])
    return_credits(invoice=invoice, at=at)
    look_again(invoice)
