"""Making issued invoices into PDF documents, each once."""

import hashlib
import logging
from copy import copy
from datetime import datetime
from decimal import Decimal

from django.template.loader import render_to_string

from billing.models import Invoice, StoredPdf
from billing.models.invoices import FROZEN_COLUMNS
from billing.pdf import pdf_of
from billing.selectors.locks import only_one
from billing.selectors.proofs import invoice_lines
from billing.services.issuing import content_of
from config.errors import DomainError
from customers.models import Customer

MOST_AT_ONCE = 500
LOCK = 7_205
logger = logging.getLogger(__name__)


def invoice_pdf(*, invoice: Invoice, at: datetime) -> StoredPdf:
    """Return an issued invoice's document, making it if there is none yet.

    Whoever comes second gets what the first one stored, so its bytes never change. Raises
    DomainError for a draft.
    """
    if invoice.is_draft:
        raise DomainError("A draft has no PDF: finalize it first.", code="not_issued")
    stored = StoredPdf.objects.filter(invoice=invoice).first()
    if stored is not None:
        return stored
    content = rendered(invoice)
    digest = hashlib.sha256(content).hexdigest()
    made = StoredPdf(invoice=invoice, content=content, digest=digest, created_at=at)
    StoredPdf.objects.bulk_create([made], ignore_conflicts=True)
    return StoredPdf.objects.get(invoice=invoice)


def store_missing_pdfs(*, at: datetime) -> int:
    """Make the documents of invoices that were issued since; return how many.

    One that cannot be made is logged and stops none of the others.
    """
    count = 0
    with only_one(LOCK) as is_mine:
        if not is_mine:
            return 0
        missing = Invoice.objects.issued().filter(stored_pdf=None).select_related("customer")
        for invoice in missing.order_by("-pk")[:MOST_AT_ONCE]:
            try:
                invoice_pdf(invoice=invoice, at=at)
            except Exception:
                logger.exception("The PDF of invoice %s could not be made.", invoice)
            else:
                count += 1
    return count


def rendered(invoice: Invoice) -> bytes:
    """Return the document of what an issued invoice says, whatever has become of it since."""
    lines = invoice_lines(invoice)
    said = copy(invoice)
    said.amount_paid = Decimal(0)
    context = {
        "invoice": said,
        "lines": lines,
        "explained": [line for line in lines if line.meter],
        "currency": invoice.currency,
        "customer": reader_of(invoice),
        "zone": invoice.buyer["time_zone"],
    }
    html = render_to_string("documents/invoice.html", context)
    attached = content_of(invoice, lines, FROZEN_COLUMNS)
    return pdf_of(html, attached=attached, attached_name=f"{invoice.number}.json")


def reader_of(invoice: Invoice) -> Customer:
    """Return the customer as it was at issue, for whose eyes figures and days are written."""
    buyer = invoice.buyer
    return Customer(key=buyer["key"], time_zone=buyer["time_zone"], locale=buyer["locale"])
