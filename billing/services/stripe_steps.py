"""The steps of a push: customer, draft, lines, verify, finalize, deliver.

Each can be interrupted anywhere and taken up again: what Stripe has is read first, and an answer
that may be a replay of the past is never believed.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from billing.gateways.errors import (
    CardDeclinedError,
    ConfirmationNeededError,
    GoneError,
    RefusedError,
    StateMovedError,
)
from billing.gateways.requests import payload_digest
from billing.gateways.stripe import StripeGateway
from billing.gateways.values import (
    InvoiceState,
    LineDraft,
)
from billing.models import Collection, Invoice, StripeCustomer, StripePush, StripePushStep
from billing.services.stripe_attempts import (
    attempt,
    begin,
    commit,
    is_fresh,
    is_key_usable,
    renew,
)
from billing.services.stripe_customers import CLOCK_DOUBT, customer_gone
from billing.services.stripe_documents import invoice_draft
from billing.services.stripe_queue import NeedsAttentionError

CONFIRMATION_NEEDED = (
    "The customer's bank asks for a confirmation, which the customer gives on the payment page."
)


@dataclass(frozen=True, slots=True)
class PushJob:
    """One invoice on its way, held by this process alone."""

    invoice: Invoice
    push: StripePush
    gateway: StripeGateway
    at: datetime
    chunks: list[tuple[LineDraft, ...]]

    def step(self, name: str) -> StripePushStep:
        return StripePushStep.objects.get_or_create(push=self.push, name=name)[0]

    def key(self, step: StripePushStep) -> str:
        """Return the idempotency key of a step: the same for the same request, for ever."""
        return f"{self.push.environment}:inv:{self.invoice.pk}:{step.name}:{step.generation}"

    def metadata(self) -> dict[str, str]:
        return {"invoice": str(self.invoice.pk), "env": self.push.environment}

    @property
    def searched_from(self) -> datetime:
        """The earliest instant at which anything of this push can have been made."""
        first = self.push.first_started_at or self.at
        return min(first, self.push.created_at) - CLOCK_DOUBT


def ensure_draft(job: PushJob, customer_id: str) -> None:
    """Make the draft at Stripe, without lines, and store its id at once."""
    if job.push.stripe_invoice_id:
        return
    step = job.step("draft")
    if is_fresh(step):
        decide_collection(job, customer_id)
    draft = invoice_draft(job.push, job.invoice, customer_id)
    digest = payload_digest(draft)
    found = None
    if not is_fresh(step) and not is_key_usable(step, digest=digest, at=job.at):
        found = find_invoice(job, customer_id)
        if found is None:
            renew(step)
    if found is None:
        begin(step, digest=digest, at=job.at)
        try:
            found = attempt(step, lambda: job.gateway.create_invoice(draft, key=job.key(step)))
        except GoneError as error:
            raise customer_gone(customer_id) from error
    job.push.stripe_invoice_id = found.id
    commit(job.push, "stripe_invoice_id")
    complete(job, step)


def decide_collection(job: PushJob, customer_id: str) -> None:
    """Decide whether this invoice is charged: if so agreed, and if there is something to charge."""
    row = StripeCustomer.objects.get(customer=job.invoice.customer, account=job.gateway.account)
    method = Collection.SEND_INVOICE
    if row.collection_method == Collection.CHARGE_AUTOMATICALLY:
        row.payment_method = job.gateway.retrieve_customer(customer_id).payment_method
        commit(row, "payment_method")
        method = Collection.CHARGE_AUTOMATICALLY if row.payment_method else method
    if job.push.collection_method != method:
        job.push.collection_method = method
        commit(job.push, "collection_method")


def find_invoice(job: PushJob, customer_id: str) -> InvoiceState | None:
    """Look for an invoice that an unanswered call may have made, in whatever state it is now."""
    found = [
        state
        for state in job.gateway.invoices_of(customer_id, since=job.searched_from)
        if job.metadata().items() <= state.metadata.items()
    ]
    if len(found) > 1:
        ids = ", ".join(state.id for state in found)
        raise NeedsAttentionError(
            f"Stripe has {len(found)} invoices for this one: {ids}. Delete or void all but one."
        )
    return found[0] if found else None


def ensure_lines(job: PushJob) -> None:
    """Add the lines that are not there, a chunk at a time; a chunk is there whole or not at all."""
    present = Counter(line.reference for line in job.gateway.lines_of(job.push.stripe_invoice_id))
    refuse_foreign_lines(job, present)
    for number, chunk in enumerate(job.chunks, start=1):
        step = job.step(f"lines{number}")
        missing = [line for line in chunk if line.reference not in present]
        if not missing:
            complete(job, step)
        elif len(missing) < len(chunk) or step.completed_at:
            raise NeedsAttentionError(
                f"{len(missing)} lines were taken off draft {job.push.stripe_invoice_id} at "
                "Stripe. Delete the draft there, and it is made again."
            )
        else:
            add_chunk(job, step, chunk)


def refuse_foreign_lines(job: PushJob, present: Counter[str]) -> None:
    ours = {line.reference for chunk in job.chunks for line in chunk}
    foreign = sum(count for reference, count in present.items() if reference not in ours)
    doubled = [reference for reference, count in present.items() if count > 1]
    if foreign or doubled:
        raise NeedsAttentionError(
            f"Draft {job.push.stripe_invoice_id} at Stripe has lines that this invoice has not: "
            f"{foreign} not ours, {len(doubled)} of ours twice. Remove them there, or delete the "
            "draft."
        )


def add_chunk(job: PushJob, step: StripePushStep, chunk: tuple[LineDraft, ...]) -> None:
    digest = payload_digest(chunk)
    # The list has just proven that the chunk is not there.
    if not is_key_usable(step, digest=digest, at=job.at):
        renew(step)
    begin(step, digest=digest, at=job.at)
    invoice_id = job.push.stripe_invoice_id
    attempt(step, lambda: job.gateway.add_lines(invoice_id, chunk, key=job.key(step)))
    complete(job, step)


def verify(job: PushJob) -> None:
    """Read everything back and compare it with ours; what differs is never finalized."""
    state = job.gateway.retrieve_invoice(job.push.stripe_invoice_id)
    refuse_other_totals(job, state)
    refuse_other_lines(job, state)
    if state.debt:
        # What somebody put there would be asked for with this invoice.
        raise NeedsAttentionError(
            f"The customer owes {state.debt} {state.currency} on balance at Stripe, which would be "
            "added to this invoice. Set the balance to nothing there, and bill from here what is "
            "owed."
        )
    if state.status != "draft":
        raise StateMovedError(f"Invoice {state.id} is {state.status} before it was finalized.")
    complete(job, job.step("verify"))


def refuse_other_totals(job: PushJob, state: InvoiceState) -> None:
    if (state.currency, state.total) != (job.invoice.currency, job.invoice.total):
        raise NeedsAttentionError(
            f"Invoice {state.id} comes to {state.total} {state.currency} at Stripe, and to "
            f"{job.invoice.total} {job.invoice.currency} here. A discount or a tax rate of the "
            "Stripe account may have been added to it."
        )


def refuse_other_lines(job: PushJob, state: InvoiceState) -> None:
    lines = job.gateway.lines_of(state.id)
    found = sorted((line.reference, line.amount, line.tax) for line in lines)
    ours = sorted((line.reference, line.amount, line.tax) for chunk in job.chunks for line in chunk)
    if found == ours:
        return
    what_to_do = (
        "Put them right there, or delete the draft, and it is made again."
        if state.status == "draft"
        else "It is final, so void it there, void this one, and bill it anew."
    )
    raise NeedsAttentionError(
        f"Invoice {state.id} at Stripe has {len(lines)} lines that are not the {len(ours)} of this "
        f"invoice. {what_to_do}"
    )


def finalize(job: PushJob) -> None:
    """Freeze the draft that has just been verified."""
    step = job.step("finalize")
    # The draft that was just read proves that no earlier call went through.
    if not is_key_usable(step, at=job.at):
        renew(step)
    begin(step, at=job.at)
    invoice_id = job.push.stripe_invoice_id
    try:
        attempt(step, lambda: job.gateway.finalize_invoice(invoice_id, key=job.key(step)))
    except StateMovedError:
        # Somebody else finalized it; what it has become is read next.
        return
    complete(job, step)


def accept_final(job: PushJob) -> None:
    """Take an invoice that an unknown hand made final, if it says what ours does or is void."""
    state = job.gateway.retrieve_invoice(job.push.stripe_invoice_id)
    if state.status != "void":
        refuse_other_totals(job, state)
        refuse_other_lines(job, state)
    complete(job, job.step("finalize"))


def deliver(job: PushJob) -> None:
    """Charge the open invoice or have Stripe mail it, once."""
    step = job.step("deliver")
    if step.completed_at:
        return
    if job.push.collection_method == Collection.CHARGE_AUTOMATICALLY:
        charge(job, step)
    elif job.invoice.customer.email:
        send(job, step)
    complete(job, step)


def charge(job: PushJob, step: StripePushStep) -> None:
    """Try the payment method once. That the card is declined does not make the push fail."""
    # The invoice that was just read as open proves that no earlier attempt brought money.
    if not is_key_usable(step, at=job.at):
        renew(step)
    begin(step, at=job.at)
    invoice_id = job.push.stripe_invoice_id
    try:
        attempt(step, lambda: job.gateway.pay_invoice(invoice_id, key=job.key(step)))
    except StateMovedError:
        # It was paid meanwhile.
        return
    except CardDeclinedError as error:
        job.push.collection_problem = declined(error)
        commit(job.push, "collection_problem")


def declined(error: CardDeclinedError) -> str:
    if isinstance(error, ConfirmationNeededError):
        return CONFIRMATION_NEEDED
    return f"The payment method was declined: {error.message}"


def send(job: PushJob, step: StripePushStep) -> None:
    """Have Stripe mail the invoice. Whether it did cannot be asked afterwards."""
    if step.started_at and not is_key_usable(step, at=job.at):
        job.push.is_delivery_unknown = True
        commit(job.push, "is_delivery_unknown")
        return
    begin(step, at=job.at)
    invoice_id = job.push.stripe_invoice_id
    try:
        attempt(step, lambda: job.gateway.send_invoice(invoice_id, key=job.key(step)))
    except RefusedError:
        # Voided or given up by somebody since it was read: there is nothing to mail.
        if job.gateway.retrieve_invoice(invoice_id).status == "open":
            raise


def complete(job: PushJob, step: StripePushStep) -> None:
    if step.completed_at is None:
        step.completed_at = job.at
        commit(step, "completed_at")


def restart(job: PushJob, customer_id: str) -> None:
    """Begin again with a new draft after somebody deleted the one that was there.

    Only drafts can be deleted at Stripe. So one that is gone from the right account, which is the
    one that has the customer, was never finalized by anybody.
    """
    refuse_lost_customer(job.gateway, customer_id)
    for step in job.push.steps.all():
        renew(step)
        step.completed_at = None
        commit(step, "completed_at")
    job.push.stripe_invoice_id = ""
    commit(job.push, "stripe_invoice_id")


def refuse_lost_customer(gateway: StripeGateway, customer_id: str) -> None:
    """Raise NeedsAttentionError if the account that is asked does not have the customer."""
    try:
        customer = gateway.retrieve_customer(customer_id)
    except GoneError as error:
        raise customer_gone(customer_id) from error
    if customer.is_deleted:
        raise customer_gone(customer_id)
