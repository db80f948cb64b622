"""A line of an issued invoice, opened down to the days and the events it was made of."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from billing.admin import words
from billing.models import CreditNote, Invoice, InvoiceLine
from billing.selectors.explaining import ExplanationPage, explanation_page
from billing.services.pdfs import credit_note_pdf, invoice_pdf
from config.admin import Page, add_page
from config.errors import NotFoundError
from config.pdf_files import pdf_response
from metering.admin.events import address_of, row_of


def explanation_address(invoice: Invoice, line: InvoiceLine) -> str:
    """Return the page about a line, nothing for one that does not depend on usage."""
    if not line.meter:
        return ""
    query = urlencode({"invoice": invoice.pk, "line": line.position + 1})
    return f"{reverse('admin:invoice_line')}?{query}"


def explanation_content(request: HttpRequest) -> dict[str, Any]:
    invoice = invoice_asked(request.GET.get("invoice", ""))
    position = number_asked(request.GET.get("line", ""))
    asked = {name: request.GET.get(name, "") for name in ("day", "before", "after")}
    try:
        page = explanation_page(invoice, position, **asked)
    except NotFoundError as error:
        raise Http404(error.message) from error
    return shown(request, invoice, page)


def invoice_asked(text: str) -> Invoice:
    invoice = Invoice.objects.select_related("customer").filter(pk=number_asked(text)).first()
    if invoice is None:
        raise Http404("There is no such invoice.")
    return invoice


def number_asked(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise Http404("The address is not complete.")
    return int(text)


def shown(request: HttpRequest, invoice: Invoice, page: ExplanationPage) -> dict[str, Any]:
    line, customer, events = page.explained.line, invoice.customer, page.events
    return {
        "invoice": invoice,
        "line": line,
        "period": words.span(line.period_start, line.period_end, customer),
        "amount": words.money(line.amount, invoice.currency),
        "quantity": words.quantity(line.quantity),
        "steps": words.steps(line.steps, invoice.currency),
        "adds_up": page.explained.adds_up,
        "days": [
            {
                "address": f"?{urlencode(address_parts(request) | {'day': number})}",
                "name": words.period(day.start, day.end, customer),
                "value": words.quantity(day.value),
            }
            for number, day in enumerate(page.explained.days, start=1)
            if day.value
        ],
        "chosen": page.chosen and words.period(page.chosen.start, page.chosen.end, customer),
        "all_days": f"?{urlencode(address_parts(request))}",
        "rows": [row_of(event, customer) for event in events.events],
        "older": events.older and address_of(request, before=events.older),
        "newer": events.newer and address_of(request, after=events.newer),
    }


def address_parts(request: HttpRequest) -> dict[str, Any]:
    return {name: request.GET[name] for name in ("invoice", "line")}


def file_content(request: HttpRequest) -> HttpResponse:
    """Answer with an issued invoice's PDF document."""
    invoice = invoice_asked(request.GET.get("invoice", ""))
    if invoice.is_draft:
        raise Http404("A draft has no PDF.")
    stored = invoice_pdf(invoice=invoice, at=timezone.now())
    return pdf_response(f"{invoice.number}.pdf", bytes(stored.content))


add_page(
    Page(
        route="invoice-pdf/",
        name="invoice_pdf",
        title="PDF",
        template="admin/invoice_line.html",
        permission="billing.view_invoice",
        content=file_content,
    )
)


def note_file_content(request: HttpRequest) -> HttpResponse:
    """Answer with a credit note's PDF document."""
    number = number_asked(request.GET.get("note", ""))
    note = CreditNote.objects.issued().filter(pk=number).first()
    if note is None:
        raise Http404("There is no such credit note.")
    stored = credit_note_pdf(credit_note=note, at=timezone.now())
    return pdf_response(f"{note.number}.pdf", bytes(stored.content))


add_page(
    Page(
        route="credit-note-pdf/",
        name="credit_note_pdf",
        title="PDF",
        template="admin/invoice_line.html",
        permission="billing.view_creditnote",
        content=note_file_content,
    )
)
add_page(
    Page(
        route="invoice-line/",
        name="invoice_line",
        title="A line explained",
        template="admin/invoice_line.html",
        permission="billing.view_invoice",
        content=explanation_content,
    )
)
