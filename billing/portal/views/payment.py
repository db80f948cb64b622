"""Paying: the way to Stripe's pages, and to the payment method kept there."""

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from billing.gateways.stripe import gateway_from_settings
from billing.portal.access import CustomerRequest, customer_page
from billing.selectors.invoices import issued_invoices
from billing.services.stripe_portal import billing_portal_url, payment_url
from config.errors import DomainError


@require_safe
@customer_page
def invoice_pay(request: CustomerRequest, number: str) -> HttpResponse:
    """Lead to where the invoice is paid, by an address that is known to be good."""
    invoice = get_object_or_404(issued_invoices(request.customer), number=number)
    address = payment_url(invoice=invoice, gateway=gateway_from_settings(), at=timezone.now())
    if not address:
        messages.info(request, f"There is nothing to pay on invoice {invoice} here.")
        return redirect("portal-invoice", request.customer.key, number)
    return redirect(address)


@require_POST
@customer_page
def payment_method(request: CustomerRequest) -> HttpResponse:
    """Open a session of Stripe's billing portal, where the payment method is kept."""
    back = reverse("portal-invoices", args=[request.customer.key])
    try:
        address = billing_portal_url(
            customer=request.customer,
            gateway=gateway_from_settings(),
            return_url=settings.BASE_URL + back,
            at=timezone.now(),
        )
    except DomainError as error:
        messages.error(request, error.message)
        return redirect(back)
    return redirect(address)
