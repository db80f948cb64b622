"""Usage over HTTP: parse the question, ask the selector, render."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, override
from zoneinfo import ZoneInfo

from django.http import QueryDict
from django.http.response import HttpResponseBase
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from config.api import InstantField, OneOfField, StrictSerializer
from config.csv_files import MEDIA_TYPE, csv_response
from config.errors import InvalidInputError, NotFoundError
from customers.api.permissions import customer_for, principal_of
from customers.principals import Scope
from metering.models import Meter
from metering.numbers import plain
from metering.selectors.exports import usage_cells, usage_export, usage_header
from metering.selectors.usage import UsageRow, usage
from metering.windows import WINDOWS, month_around

FORMATS = ("json", "csv")
FILTER = re.compile(r"filter\[(?P<property>.+)\]", re.DOTALL)


class ZoneField(serializers.CharField):
    """The name of a time zone, read as the zone."""

    default_error_messages = {"unknown": "{name} is no IANA time zone; use one like Europe/Paris."}

    @override
    def to_internal_value(self, data: Any) -> ZoneInfo:  # type: ignore[override]
        name = super().to_internal_value(data)
        try:
            return ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            self.fail("unknown", name=name)


class UsageQuestionSerializer(StrictSerializer):
    """What the address asks for; `filter[property]=text` is read apart from it."""

    meter = serializers.CharField()
    customer = serializers.CharField(
        required=False, help_text="May be left out with a customer's own key."
    )
    start = InstantField(
        required=False, help_text="With `end`; without both, the current month so far and to come."
    )
    end = InstantField(required=False)
    window = OneOfField(choices=WINDOWS, required=False)
    group_by = serializers.CharField(
        required=False, help_text="Event properties, separated by commas."
    )
    timezone = ZoneField(
        required=False, help_text="Where windows begin; by default the customer's time zone."
    )
    format = OneOfField(
        choices=FORMATS, default="json", help_text="`csv` has no limit on its size."
    )

    @override
    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("start" in attrs) != ("end" in attrs):
            missing = "end" if "start" in attrs else "start"
            message = "Give both start and end, or neither for the current month."
            raise serializers.ValidationError({missing: [message]})
        return attrs


class UsageRowSerializer(serializers.Serializer[UsageRow]):
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    group = serializers.DictField(
        child=serializers.CharField(allow_null=True),
        help_text="The texts of the properties of `group_by`; null where an event has none.",
    )
    value = serializers.CharField(help_text="A decimal number, without exponent.")


class UsageSerializer(serializers.Serializer[Any]):
    meter = serializers.CharField()
    customer = serializers.CharField()
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    data = UsageRowSerializer(many=True)  # type: ignore[assignment]  # the contract's name


class UsageView(APIView):
    """How much a customer used: exact for any instants, up to the event accepted last."""

    read_scope = Scope.USAGE_READ

    @extend_schema(
        parameters=[
            UsageQuestionSerializer,
            OpenApiParameter(
                "filter",
                OpenApiTypes.OBJECT,
                style="deepObject",
                explode=True,
                description="`filter[endpoint]=/v1/x` keeps the events whose property is that text.",
            ),
        ],
        responses={
            (200, "application/json"): UsageSerializer,
            (200, MEDIA_TYPE): OpenApiTypes.STR,
        },
    )
    def get(self, request: Request) -> HttpResponseBase:
        fields, filters = split_query(request.query_params)
        asking = UsageQuestionSerializer(data=fields)
        asking.is_valid(raise_exception=True)
        asked = asking.validated_data
        customer = customer_for(principal_of(request), asked.get("customer"))
        meter = Meter.objects.current().filter(key=asked["meter"]).first()
        if meter is None:
            raise NotFoundError(f"There is no meter {asked['meter']!r}.")
        zone = asked.get("timezone", customer.zone)
        start, end = period_of(asked, zone)
        group_by = asked["group_by"].split(",") if "group_by" in asked else []
        is_file = asked["format"] == "csv"
        rows = (usage_export if is_file else usage)(
            meter=meter,
            customer=customer,
            start=start,
            end=end,
            window=asked.get("window"),
            zone=zone,
            group_by=group_by,
            filters=filters,
        )
        if is_file:
            name = f"usage-{customer.key}-{meter.key}.csv"
            return csv_response(name, usage_header(group_by), map(usage_cells, rows))
        return Response(
            {
                "meter": meter.key,
                "customer": customer.key,
                "start": start,
                "end": end,
                "data": [row_document(row) for row in rows],
            }
        )


def split_query(query: QueryDict) -> tuple[dict[str, str], dict[str, str]]:
    """Return the fields of a query and, by property, the texts of its filters."""
    fields: dict[str, str] = {}
    filters: dict[str, str] = {}
    for name, values in query.lists():
        if len(values) > 1:
            raise InvalidInputError(f"Give {name} once.", field=name)
        found = FILTER.fullmatch(name)
        if found is None:
            fields[name] = values[0]
        else:
            filters[found["property"]] = values[0]
    return fields, filters


def period_of(asked: Mapping[str, Any], zone: ZoneInfo) -> tuple[datetime, datetime]:
    if "start" in asked:
        return asked["start"], asked["end"]
    return month_around(timezone.now(), zone)


def row_document(row: UsageRow) -> dict[str, Any]:
    return {"start": row.start, "end": row.end, "group": row.group, "value": plain(row.value)}
