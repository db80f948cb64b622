"""Issued invoices: the list, and one opened down to the steps of each line."""

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from billing.models import CreditNote, Invoice, PaymentReversal
from billing.portal.access import CustomerRequest, customer_page, customer_render
from billing.selectors.credit_notes import with_details
from billing.selectors.dunning import overdue_invoices
from billing.selectors.invoices import issued_invoices, reversals_of
from billing.selectors.one_offs import waiting_charges
from billing.selectors.reversals import DISPUTED, REFUNDED
from billing.services.pdfs import credit_note_pdf, invoice_pdf
from config.pdf_files import pdf_response
from customers.models import Customer

INVOICES_PER_PAGE = 24


@dataclass(frozen=True, slots=True)
class InvoiceRow:
    """An invoice as people see it: its status in words, and where it can be paid."""

    invoice: Invoice
    status: str
    pay_url: str


@require_safe
@customer_page
def invoice_list(request: CustomerRequest) -> HttpResponse:
    at = timezone.now()
    invoices = issued_invoices(request.customer)
    page = Paginator(invoices, INVOICES_PER_PAGE).get_page(request.GET.get("page"))
    rows = [invoice_row(invoice, at) for invoice in page]
    return customer_render(
        request,
        "portal/invoices.html",
        {
            "page": page,
            "rows": rows,
            "waiting": waiting_charges([request.customer.pk]),
            "has_stripe": bool(settings.STRIPE_SECRET_KEY),
            "overdue": overdue_rows(request.customer, at),
        },
    )


@require_safe
@customer_page
def invoice_detail(request: CustomerRequest, number: str) -> HttpResponse:
    invoice = get_object_or_404(issued_invoices(request.customer), number=number)
    row = invoice_row(invoice, timezone.now())
    context = {
        "row": row,
        "invoice": invoice,
        "currency": invoice.currency,
        "given_back": [
            (words, reversal)
            for reversal in reversals_of(invoice)
            if (words := reversal_words(reversal))
        ],
        # Its days stay those of the zone it was issued in.
        "zone": invoice.buyer["time_zone"],
    }
    return customer_render(request, "portal/invoice.html", context)


@require_safe
@customer_page
def invoice_file(request: CustomerRequest, number: str) -> HttpResponse:
    invoice = get_object_or_404(issued_invoices(request.customer), number=number)
    stored = invoice_pdf(invoice=invoice, at=timezone.now())
    return pdf_response(f"{invoice.number}.pdf", bytes(stored.content))


@require_safe
@customer_page
def credit_note_file(request: CustomerRequest, number: str) -> HttpResponse:
    notes = CreditNote.objects.filter(customer=request.customer).issued()
    note = get_object_or_404(with_details(notes), number=number)
    stored = credit_note_pdf(credit_note=note, at=timezone.now())
    return pdf_response(f"{note.number}.pdf", bytes(stored.content))


def overdue_rows(customer: Customer, at: datetime) -> list[InvoiceRow]:
    """Return what a customer should have paid, for the notice that says what to do."""
    return [invoice_row(invoice, at) for invoice in overdue_invoices(customer, at)]


def invoice_row(invoice: Invoice, at: datetime) -> InvoiceRow:
    is_past_due = invoice.is_past_due(at)
    return InvoiceRow(
        invoice=invoice,
        status="past due" if is_past_due else invoice.get_status_display().lower(),
        pay_url=pay_url(invoice),
    )


def reversal_words(reversal: PaymentReversal) -> str:
    """Return what a customer calls money that went back, nothing for money that did not."""
    if reversal.kind == PaymentReversal.Kind.REFUND:
        if reversal.status not in REFUNDED:
            return ""
        return "Refunded" if reversal.status == "succeeded" else "Refund under way"
    if reversal.status in DISPUTED:
        return "Disputed through your bank"
    return "Returned by your bank after a dispute" if reversal.status == "lost" else ""


def pay_url(invoice: Invoice) -> str:
    """Return where an open invoice can be paid, nothing while Stripe does not have it."""
    if invoice.status != Invoice.Status.OPEN or not hasattr(invoice, "stripe_push"):
        return ""
    if not invoice.stripe_push.hosted_invoice_url:
        return ""
    return reverse("portal-invoice-pay", args=[invoice.customer.key, invoice.number])
