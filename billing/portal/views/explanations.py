"""A line of an issued invoice, opened down to the days and the events it was made of."""

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from billing.portal.access import CustomerRequest, customer_page, customer_render
from billing.portal.views.events import address_of, row_of
from billing.selectors.explaining import explanation_page
from billing.selectors.invoices import issued_invoices
from config.errors import NotFoundError


@require_safe
@customer_page
def invoice_line(request: CustomerRequest, number: str, position: int) -> HttpResponse:
    invoice = get_object_or_404(issued_invoices(request.customer), number=number)
    asked = {name: request.GET.get(name, "") for name in ("day", "before", "after")}
    try:
        found = explanation_page(invoice, position, **asked)
    except NotFoundError as error:
        raise Http404(error.message) from error
    events = found.events
    context = {
        "invoice": invoice,
        "currency": invoice.currency,
        "zone": invoice.buyer["time_zone"],
        "line": found.explained.line,
        "explained": found.explained,
        "chosen": found.chosen,
        "rows": [row_of(event) for event in events.events],
        "older": events.older and address_of(request, before=events.older),
        "newer": events.newer and address_of(request, after=events.newer),
    }
    return customer_render(request, "portal/invoice_line.html", context)
