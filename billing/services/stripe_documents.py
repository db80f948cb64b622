"""What our customers and invoices read like at Stripe."""

import math
from datetime import timedelta

from django.conf import settings
from django.urls import reverse

from billing import formatting
from billing.gateways.values import CustomerDraft, InvoiceDraft
from billing.models import Collection, Invoice, StripePush
from customers.models import Customer

# What is charged was worked out here; this is what Stripe prints.
TAX_EXEMPT = {
    Customer.TaxStatus.TAXABLE: "none",
    Customer.TaxStatus.EXEMPT: "exempt",
    Customer.TaxStatus.REVERSE_CHARGE: "reverse",
}
ADDRESS_FIELDS = {
    "line1": "address_line1",
    "line2": "address_line2",
    "city": "city",
    "state": "state",
    "postal_code": "postal_code",
    "country": "country",
}


def customer_draft(customer: Customer, account: str) -> CustomerDraft:
    return CustomerDraft(
        name=customer.name,
        email=customer.email,
        locale=customer.locale,
        address={key: getattr(customer, field) for key, field in ADDRESS_FIELDS.items()},
        metadata={"customer": str(customer.pk), "env": account},
        tax_exempt=TAX_EXEMPT[Customer.TaxStatus(customer.tax_status)],
    )


def invoice_draft(push: StripePush, invoice: Invoice, customer_id: str) -> InvoiceDraft:
    """Return the invoice as it is made: our number, our period, and where our document is."""
    is_charged = push.collection_method == Collection.CHARGE_AUTOMATICALLY
    return InvoiceDraft(
        customer_id=customer_id,
        currency=invoice.currency,
        number=invoice.number or "",
        days_until_due=None if is_charged else days_until_due(invoice),
        metadata={"invoice": str(invoice.pk), "env": push.environment},
        custom_fields=(("Period", period(invoice)), *tax_id_field(invoice)),
        footer=f"This invoice with all its details: {document_url(invoice)}",
    )


def tax_id_field(invoice: Invoice) -> tuple[tuple[str, str], ...]:
    """Return the buyer's tax id as a field of its own: Stripe would judge one of a customer's."""
    tax_id = (invoice.buyer or {}).get("tax_id", "")
    return (("Your tax id", tax_id),) if tax_id else ()


def days_until_due(invoice: Invoice) -> int:
    """Return the days between issue and due date.

    From the day of issue, not of today: a request sent again has to be the same one.
    """
    days = timedelta(0)
    if invoice.due_at and invoice.issued_at:
        days = max(days, invoice.due_at - invoice.issued_at)
    return math.ceil(days / timedelta(days=1))


def period(invoice: Invoice) -> str:
    customer = invoice.customer
    return formatting.period(
        invoice.period_start, invoice.period_end, customer.zone, customer.locale
    )


def document_url(invoice: Invoice) -> str:
    """Return where the customer's people get the PDF, once they are logged in."""
    address = reverse("portal-invoice-pdf", args=[invoice.customer.key, invoice.number])
    return settings.BASE_URL + address
