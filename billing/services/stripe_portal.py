"""What customers do at Stripe: their payment method, and the pages where they pay."""

import secrets
from datetime import datetime, timedelta

from django.db import transaction

from billing.gateways.errors import GoneError, StripeGatewayError
from billing.gateways.stripe import StripeGateway
from billing.models import Invoice, StripeCustomer
from billing.services.payments import follow_stripe
from billing.services.stripe_customers import customer_at_stripe
from billing.services.stripe_queue import NeedsAttentionError
from config.errors import DomainError
from customers.models import Customer

# Stripe does not say how long the addresses of an invoice's pages are good.
LINKS_FRESH = timedelta(hours=12)
AWAY = "Stripe does not answer. Try again in a minute."


@transaction.atomic
def set_collection(*, customer: StripeCustomer, method: str) -> StripeCustomer:
    """Decide how a customer's coming invoices are collected."""
    locked = StripeCustomer.objects.select_for_update().get(pk=customer.pk)
    locked.collection_method = method
    locked.save(update_fields=["collection_method"])
    return locked


def billing_portal_url(
    *, customer: Customer, gateway: StripeGateway | None, return_url: str, at: datetime
) -> str:
    """Return the address of a new session of Stripe's billing portal.

    It is good for one visit and opens the customer's payment methods to whoever has it: never
    store or mail it. The customer is made at Stripe if it is not there. Raises DomainError when
    there is no Stripe account, or no answer.
    """
    if gateway is None:
        raise DomainError("Payment methods are not set up here.", code="stripe_not_configured")
    try:
        stripe_id = customer_at_stripe(customer, gateway, at)
        key = f"{gateway.account}:portal:{customer.pk}:{secrets.token_hex(8)}"
        return gateway.portal_url(stripe_id, return_url=return_url, key=key)
    except GoneError as error:
        raise DomainError(
            "The billing account at Stripe is gone: please write to us.", code="stripe_gone"
        ) from error
    except (StripeGatewayError, NeedsAttentionError) as error:
        raise DomainError(AWAY, code="stripe_away") from error


def payment_url(*, invoice: Invoice, gateway: StripeGateway | None, at: datetime) -> str:
    """Return where an open invoice is paid now, read anew when what is stored may be stale.

    Empty once there is nothing to pay. Without an answer it is what was stored.
    """
    push = getattr(invoice, "stripe_push", None)
    if push is None or not push.stripe_invoice_id:
        return ""
    is_fresh = push.links_read_at is not None and at - push.links_read_at < LINKS_FRESH
    if gateway is not None and not is_fresh:
        try:
            follow_stripe(
                invoice=invoice, stripe_invoice_id=push.stripe_invoice_id, gateway=gateway, at=at
            )
        except StripeGatewayError:
            # The address that is stored is better than none.
            return invoice.stripe_push.hosted_invoice_url
        invoice.refresh_from_db(fields=["status"])
        invoice.stripe_push.refresh_from_db()
    if invoice.status != Invoice.Status.OPEN:
        return ""
    return invoice.stripe_push.hosted_invoice_url
