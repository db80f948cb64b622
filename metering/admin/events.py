"""A customer's events as they were accepted, newest first, a page at a time."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.http import urlencode

from config.admin import Page, StyledForm, add_page, add_refusal
from config.csv_files import csv_response, inert_cells
from config.errors import DomainError
from customers.models import Customer
from metering.admin.fields import customer_field, midnight
from metering.models import Event, Meter
from metering.selectors.events import EventFilters, EventsPage, events_page
from metering.selectors.exports import EVENT_HEADER, event_cells, events_export

ONE_DAY = timedelta(days=1)


class EventsForm(StyledForm):
    """Which events to show. Days are the customer's own; the last one is included."""

    customer = customer_field()
    event_id = forms.CharField(label="Id", required=False)
    event_type = forms.CharField(label="Type", required=False)
    meter = forms.ModelChoiceField(
        Meter.objects.current(), label="Counted by", required=False, empty_label="Any meter or none"
    )
    property_name = forms.CharField(label="Property", required=False)
    property_value = forms.CharField(label="With the value", required=False)
    first_on = forms.DateField(label="From", required=False)
    last_on = forms.DateField(label="Through", required=False)


def events_content(request: HttpRequest) -> dict[str, Any] | HttpResponseBase:
    """Answer the form in the address, as a page or as a file; without a customer there is only the form."""
    if not request.GET.get("customer"):
        return {"form": EventsForm()}
    form = EventsForm(request.GET)
    context: dict[str, Any] = {"form": form}
    if form.is_valid():
        try:
            if request.GET.get("format") == "csv":
                return events_file(form.cleaned_data)
            page = page_of(request, form.cleaned_data)
        except DomainError as refusal:
            add_refusal(form, refusal)
        else:
            context |= listed(request, form.cleaned_data["customer"], page)
    return context


def filters_of(asked: dict[str, Any]) -> EventFilters:
    customer: Customer = asked["customer"]
    first, last = asked["first_on"], asked["last_on"]
    return EventFilters(
        event_id=asked["event_id"],
        event_type=asked["event_type"],
        meter=asked["meter"],
        property_name=asked["property_name"],
        property_value=asked["property_value"],
        start=first and midnight(first, customer.zone),
        end=last and midnight(last + ONE_DAY, customer.zone),
    )


def page_of(request: HttpRequest, asked: dict[str, Any]) -> EventsPage:
    return events_page(
        customer=asked["customer"],
        filters=filters_of(asked),
        before=request.GET.get("before", ""),
        after=request.GET.get("after", ""),
    )


def events_file(asked: dict[str, Any]) -> HttpResponseBase:
    customer: Customer = asked["customer"]
    events = events_export(customer=customer, filters=filters_of(asked))
    name = f"events-{customer.key}.csv"
    return csv_response(name, EVENT_HEADER, map(inert_cells, map(event_cells, events)))


def listed(request: HttpRequest, customer: Customer, page: EventsPage) -> dict[str, Any]:
    return {
        "customer": customer,
        "rows": [row_of(event, customer) for event in page.events],
        "has_answer": True,
        "older": page.older and address_of(request, before=page.older),
        "newer": page.newer and address_of(request, after=page.newer),
    }


def row_of(event: Event, customer: Customer) -> dict[str, Any]:
    at: datetime = event.timestamp.astimezone(customer.zone)
    named: dict[str, str | int] = {"customer": customer.pk, "event": event.event_id}
    return {
        "at": at.isoformat(sep=" ", timespec="milliseconds"),
        "id": event.event_id,
        "type": event.type,
        "properties": json.dumps(event.properties, ensure_ascii=False, cls=DjangoJSONEncoder),
        "batch_id": event.batch_id,
        "correct": f"{reverse('admin:correct_event')}?{urlencode(named)}",
    }


def address_of(request: HttpRequest, **position: str) -> str:
    """Return the address of a neighbouring page with the same filters."""
    query = request.GET.copy()
    for name in ("before", "after"):
        query.pop(name, None)
    query.update(position)
    return f"?{query.urlencode()}"


add_page(
    Page(
        route="events/",
        name="events",
        title="Events",
        template="admin/events.html",
        permission="metering.view_event",
        content=events_content,
    )
)
