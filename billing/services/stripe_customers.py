"""The counterparts of our customers at Stripe: one for each, whatever breaks."""

from datetime import datetime, timedelta

from billing.gateways.errors import BusyError, GoneError
from billing.gateways.requests import payload_digest
from billing.gateways.stripe import StripeGateway
from billing.gateways.values import CustomerDraft, CustomerState
from billing.models import StripeCustomer
from billing.selectors.locks import only_one
from billing.services.stripe_attempts import (
    attempt,
    begin,
    commit,
    is_fresh,
    is_key_usable,
    renew,
)
from billing.services.stripe_documents import customer_draft
from billing.services.stripe_queue import NeedsAttentionError
from customers.models import Customer

CUSTOMER_LOCKS = 2 << 56
# Clocks differ: what is looked for by its date is looked for from an hour earlier.
CLOCK_DOUBT = timedelta(hours=1)


def customer_at_stripe(customer: Customer, gateway: StripeGateway, at: datetime) -> str:
    """Return the id of the customer at Stripe: one for each of ours, made or brought up to date.

    Must not be called inside a transaction. Raises NeedsAttentionError, BusyError while another
    process is at it, and the errors of the gateway.
    """
    with only_one(CUSTOMER_LOCKS + customer.pk) as is_mine:
        if not is_mine:
            raise BusyError("Another push is making this customer at Stripe.")
        row, _ = StripeCustomer.objects.get_or_create(customer=customer, account=gateway.account)
        draft = customer_draft(customer, gateway.account)
        if not row.stripe_id:
            make_customer(row, draft, gateway, at)
        update_customer(row, draft, gateway)
    return row.stripe_id


def make_customer(
    row: StripeCustomer, draft: CustomerDraft, gateway: StripeGateway, at: datetime
) -> None:
    digest = payload_digest(draft)
    if row.first_started_at is None:
        row.first_started_at = at
        commit(row, "first_started_at")
    found = None
    if not is_fresh(row) and not is_key_usable(row, digest=digest, at=at):
        found = find_customer(row, draft, gateway)
        if found is None:
            renew(row)
    if found is None:
        begin(row, digest=digest, at=at)
        key = f"{row.account}:cus:{row.customer_id}:{row.generation}"
        found = attempt(row, lambda: gateway.create_customer(draft, key=key))
    row.stripe_id = found.id
    commit(row, "stripe_id")


def find_customer(
    row: StripeCustomer, draft: CustomerDraft, gateway: StripeGateway
) -> CustomerState | None:
    """Look for a customer that an unanswered call may have made."""
    since = min(row.first_started_at or row.created_at, row.created_at) - CLOCK_DOUBT
    found = [
        state
        for state in gateway.customers_created_since(since)
        if draft.metadata.items() <= state.metadata.items()
    ]
    if len(found) > 1:
        ids = ", ".join(state.id for state in found)
        raise NeedsAttentionError(
            f"Stripe has {len(found)} customers for this one: {ids}. Delete all but one there."
        )
    return found[0] if found else None


def update_customer(row: StripeCustomer, draft: CustomerDraft, gateway: StripeGateway) -> None:
    digest = payload_digest(draft)
    if row.payload_digest == digest:
        return
    # An update sets what it says, so a second one does no harm and each may have its own key.
    row.updates += 1
    commit(row, "updates")
    key = f"{row.account}:cus:{row.customer_id}:update:{row.updates}"
    try:
        gateway.update_customer(row.stripe_id, draft, key=key)
    except GoneError as error:
        raise customer_gone(row.stripe_id) from error
    row.payload_digest = digest
    commit(row, "payload_digest")


def customer_gone(stripe_id: str) -> NeedsAttentionError:
    return NeedsAttentionError(
        f"Customer {stripe_id} is not in this Stripe account. Somebody deleted it, or the secret "
        "key is another account's. A customer is never made a second time by itself."
    )
