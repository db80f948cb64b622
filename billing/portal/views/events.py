"""The events log: "where is my request?"."""

import json
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_safe

from billing.portal.access import CustomerRequest, back_to, customer_page, customer_render
from billing.portal.forms import EventsForm
from config.csv_files import csv_response, inert_cells
from config.errors import InvalidInputError
from metering.models import Event, RefusedEvent
from metering.selectors.events import events_page, refused_reports
from metering.selectors.exports import EVENT_HEADER, event_cells, events_export

PER_PAGE = 50


@require_safe
@customer_page
def event_list(request: CustomerRequest) -> HttpResponse:
    """Show the events that count, newest first, and of one id what was refused under it too."""
    form = EventsForm(request.GET)
    context: dict[str, Any] = {"form": form}
    if form.is_valid():
        try:
            context |= found(request, form)
        except InvalidInputError as error:
            form.add_error(None, error.message)
    return customer_render(request, "portal/events.html", context)


@require_safe
@customer_page
def event_csv(request: CustomerRequest) -> HttpResponseBase:
    """Send all events that the filters keep as a file; filters that it refuses lead back."""
    form = EventsForm(request.GET)
    if not form.is_valid():
        return back_to(request, "portal-events")
    try:
        filters = form.filters(request.customer.zone)
        events = events_export(customer=request.customer, filters=filters)
    except InvalidInputError:
        return back_to(request, "portal-events")
    name = f"events-{request.customer.key}.csv"
    return csv_response(name, EVENT_HEADER, map(inert_cells, map(event_cells, events)))


def found(request: CustomerRequest, form: EventsForm) -> dict[str, Any]:
    page = events_page(
        customer=request.customer,
        filters=form.filters(request.customer.zone),
        before=request.GET.get("before", ""),
        after=request.GET.get("after", ""),
        limit=PER_PAGE,
    )
    event_id = form.cleaned_data["event_id"]
    refused: list[RefusedEvent] = []
    if event_id:
        refused = refused_reports(customer=request.customer, event_id=event_id)
    return {
        "has_answer": True,
        "rows": [row_of(event) for event in page.events],
        "refused": refused,
        "older": page.older and address_of(request, before=page.older),
        "newer": page.newer and address_of(request, after=page.newer),
    }


def row_of(event: Event) -> dict[str, Any]:
    properties = json.dumps(event.properties, ensure_ascii=False, cls=DjangoJSONEncoder)
    return {"event": event, "properties": properties}


def address_of(request: CustomerRequest, **position: str) -> str:
    """Return the address of a neighbouring page with the same filters."""
    query = request.GET.copy()
    for name in ("before", "after"):
        query.pop(name, None)
    query.update(position)
    return f"?{query.urlencode()}"
