"""`GET /events`: the events that count, page by page, or all of them as a file."""

from typing import Any

from django.http.response import HttpResponseBase
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from config.api import InstantField, KeysetPagination, OneOfField, StrictSerializer
from config.csv_files import csv_response, instant_text
from config.errors import InvalidInputError, NotFoundError
from customers.api.permissions import customer_for, principal_of
from metering.api.usage import FORMATS, split_query
from metering.models import Event, Meter
from metering.selectors.events import EventFilters, events_page
from metering.selectors.exports import EVENT_HEADER, event_cells, events_export


class EventQuestionSerializer(StrictSerializer):
    """What the address asks for; `filter[property]=text` is read apart from it."""

    customer = serializers.CharField(
        required=False, help_text="May be left out with a customer's own key."
    )
    id = serializers.CharField(required=False, default="")
    type = serializers.CharField(required=False, default="")
    meter = serializers.CharField(required=False, help_text="Only what this meter counts.")
    start = InstantField(required=False)
    end = InstantField(required=False)
    limit = serializers.IntegerField(
        required=False, min_value=1, max_value=KeysetPagination.max_page_size, default=50
    )
    cursor = serializers.CharField(required=False, default="")
    format = OneOfField(
        choices=FORMATS, default="json", help_text="`csv` has no limit on its size."
    )


class StoredEventSerializer(serializers.Serializer[Any]):
    id = serializers.CharField()
    type = serializers.CharField()
    timestamp = serializers.DateTimeField()
    properties = serializers.DictField()


class EventPageSerializer(serializers.Serializer[Any]):
    next = serializers.URLField(allow_null=True)
    results = StoredEventSerializer(many=True)


def event_log(request: Request) -> HttpResponseBase:
    """Answer with a customer's events, the newest first."""
    fields, properties = split_query(request.query_params)
    asking = EventQuestionSerializer(data=fields)
    asking.is_valid(raise_exception=True)
    asked = asking.validated_data
    customer = customer_for(principal_of(request), asked.get("customer"))
    filters = filters_of(asked, properties)
    if asked["format"] == "csv":
        events = events_export(customer=customer, filters=filters)
        return csv_response(f"events-{customer.key}.csv", EVENT_HEADER, map(event_cells, events))
    page = events_page(
        customer=customer, filters=filters, before=asked["cursor"], limit=asked["limit"]
    )
    address = request.build_absolute_uri()
    following = None if page.older is None else replace_query_param(address, "cursor", page.older)
    return Response({"next": following, "results": [event_document(each) for each in page.events]})


def filters_of(asked: dict[str, Any], properties: dict[str, str]) -> EventFilters:
    if len(properties) > 1:
        raise InvalidInputError("Filter events by one property at a time.", field="filter")
    meter = None
    if "meter" in asked:
        meter = Meter.objects.current().filter(key=asked["meter"]).first()
        if meter is None:
            raise NotFoundError(f"There is no meter {asked['meter']!r}.")
    name, value = next(iter(properties.items()), ("", ""))
    return EventFilters(
        event_id=asked["id"],
        event_type=asked["type"],
        meter=meter,
        start=asked.get("start"),
        end=asked.get("end"),
        property_name=name,
        property_value=value,
    )


def event_document(event: Event) -> dict[str, Any]:
    return {
        "id": event.event_id,
        "type": event.type,
        "timestamp": instant_text(event.timestamp),
        "properties": event.properties,
    }
