"""Making issued invoices and credit notes into PDF documents, each once."""

import hashlib
import logging
from collections.abc import Iterator
from copy import copy
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.template.loader import render_to_string

from billing.glyphs import STAND_IN, missing_from
from billing.models import CreditNote, Invoice, StoredPdf
from billing.models.lines import DocumentLine
from billing.pdf import pdf_of
from billing.selectors.locks import only_one
from billing.selectors.proofs import lines_of
from billing.services.documents import Document, content_of
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
    return stored_pdf(invoice, at, invoice=invoice)


def credit_note_pdf(*, credit_note: CreditNote, at: datetime) -> StoredPdf:
    """Return an issued credit note's document; see `invoice_pdf`."""
    return stored_pdf(credit_note, at, credit_note=credit_note)


def stored_pdf(document: Document, at: datetime, **of: Any) -> StoredPdf:
    stored = StoredPdf.objects.filter(**of).first()
    if stored is not None:
        return stored
    content = rendered(document)
    digest = hashlib.sha256(content).hexdigest()
    made = StoredPdf(content=content, digest=digest, created_at=at, **of)
    StoredPdf.objects.bulk_create([made], ignore_conflicts=True)
    return StoredPdf.objects.get(**of)


def store_missing_pdfs(*, at: datetime) -> int:
    """Make the documents of what was issued since; return how many.

    One that cannot be made is logged and stops none of the others.
    """
    count = 0
    with only_one(LOCK) as is_mine:
        if not is_mine:
            return 0
        for document in missing_pdfs():
            try:
                if isinstance(document, Invoice):
                    invoice_pdf(invoice=document, at=at)
                else:
                    credit_note_pdf(credit_note=document, at=at)
            except Exception:
                logger.exception("The PDF of %s could not be made.", document)
            else:
                count += 1
    return count


def missing_pdfs() -> Iterator[Document]:
    invoices = Invoice.objects.issued().filter(stored_pdf=None).select_related("customer")
    notes = CreditNote.objects.issued().filter(stored_pdf=None)
    yield from invoices.order_by("-pk")[:MOST_AT_ONCE]
    yield from notes.select_related("customer", "invoice").order_by("-pk")[:MOST_AT_ONCE]


def rendered(document: Document) -> bytes:
    """Return the document of what was issued, whatever has become of it since."""
    lines = list(lines_of(document))
    said = copy(document)
    is_note = isinstance(said, CreditNote)
    if isinstance(said, Invoice):
        said.amount_paid = said.amount_credited = Decimal(0)
    context = {
        "title": "Credit note" if is_note else "Invoice",
        "document": said,
        "credited": said.invoice if isinstance(said, CreditNote) else None,
        "lines": lines,
        "has_quantities": any(line.kind != DocumentLine.Kind.CREDIT for line in lines),
        "explained": [
            line for line in lines if line.meter or line.kind == DocumentLine.Kind.MINIMUM
        ],
        "currency": document.currency,
        "customer": reader_of(document),
        "zone": document.buyer["time_zone"],
    }
    html = legible(render_to_string("documents/document.html", context), document)
    attached = content_of(document, lines)
    return pdf_of(html, attached=attached, attached_name=f"{document.number}.json")


def legible(html: str, document: Document) -> str:
    """Return a page in which nothing is left blank for want of a font.

    What stands in says that something is missing; what it is, is in the attached file.
    """
    missing = missing_from(html)
    if not missing:
        return html
    logger.warning(
        "No font here has %s of %s: its PDF prints %s instead. Install one, such as the Debian "
        "package fonts-noto-cjk, before more documents are made.",
        " ".join(sorted(missing)),
        document,
        STAND_IN,
    )
    return html.translate(dict.fromkeys(map(ord, missing), STAND_IN))


def reader_of(document: Document) -> Customer:
    """Return the customer as it was at issue, for whose eyes figures and days are written."""
    buyer = document.buyer
    return Customer(key=buyer["key"], time_zone=buyer["time_zone"], locale=buyer["locale"])
