"""Issued invoices explained over HTTP: from a line to usage by day, and to the raw events."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request

from billing.api.serializers import ExactField, LineSerializer
from billing.models import Invoice
from billing.selectors.explaining import (
    ExplainedLine,
    events_of_line,
    explained_lines,
)
from config.api import InstantField, StrictSerializer
from metering.models import Event
from metering.selectors.events import LARGEST_PAGE


class DaySerializer(serializers.Serializer[Any]):
    """Usage within a day of the billing zone, cut by the line's period."""

    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    value = ExactField()


class ExplainedLineSerializer(serializers.Serializer[ExplainedLine]):
    position = serializers.IntegerField(help_text="From 1, in the order of the invoice.")
    line = LineSerializer()
    days = DaySerializer(many=True)
    adds_up = serializers.BooleanField(
        help_text="Whether the days add up to the quantity; those of a unique count may not."
    )
    events = serializers.URLField(
        allow_null=True, help_text="Where the raw events are; null if none were counted for it."
    )


class ExplanationSerializer(serializers.Serializer[Any]):
    number = serializers.CharField()
    currency = serializers.CharField()
    cutoff = serializers.DictField(
        allow_null=True, help_text="The ingest batches it had seen: up to `highest`, not `missing`."
    )
    lines = ExplainedLineSerializer(many=True)


class EventsQuestionSerializer(StrictSerializer):
    """Which events to show; a page's `next` has all of it."""

    line = serializers.IntegerField(min_value=1, help_text="The position of a line, from 1.")
    start = InstantField(required=False, help_text="Narrows the line's period down.")
    end = InstantField(required=False)
    limit = serializers.IntegerField(min_value=1, max_value=LARGEST_PAGE, default=50)
    cursor = serializers.CharField(required=False, help_text="From the `next` of a page.")


class EventOfLineSerializer(serializers.Serializer[Event]):
    id = serializers.CharField(source="event_id")
    type = serializers.CharField()
    timestamp = serializers.DateTimeField()
    properties = serializers.SerializerMethodField()

    @extend_schema_field(OpenApiTypes.OBJECT)
    def get_properties(self, event: Event) -> Any:
        return event.properties


class EventsOfLineSerializer(serializers.Serializer[Any]):
    next = serializers.URLField(allow_null=True)
    results = EventOfLineSerializer(many=True)


def explanation_answer(invoice: Invoice, request: Request) -> dict[str, Any]:
    """Return an invoice with all that its lines were made of. Raises NotFoundError for a draft."""
    lines = [
        {
            "position": explained.line.position + 1,
            "line": explained.line,
            "days": explained.days,
            "adds_up": explained.adds_up,
            "events": events_address(explained, request),
        }
        for explained in explained_lines(invoice)
    ]
    answer = {
        "number": invoice.number,
        "currency": invoice.currency,
        "cutoff": invoice.cutoff,
        "lines": lines,
    }
    return ExplanationSerializer(answer).data


def events_address(explained: ExplainedLine, request: Request) -> str | None:
    if not explained.is_metered:
        return None
    here = request.build_absolute_uri(request.path.rstrip("/"))
    return f"{here}/events?line={explained.line.position + 1}"


def events_answer(invoice: Invoice, request: Request) -> dict[str, Any]:
    """Return a page of the events that a line counted; raises what `events_of_line` does."""
    question = EventsQuestionSerializer(data=request.query_params.dict())
    question.is_valid(raise_exception=True)
    asked = question.validated_data
    page = events_of_line(
        invoice,
        asked["line"],
        start=asked.get("start"),
        end=asked.get("end"),
        before=asked.get("cursor", ""),
        limit=asked["limit"],
    )
    answer = {"next": next_address(page.older, request), "results": page.events}
    return EventsOfLineSerializer(answer).data


def next_address(cursor: str | None, request: Request) -> str | None:
    if cursor is None:
        return None
    query = request.query_params.copy()
    query["cursor"] = cursor
    return request.build_absolute_uri(f"{request.path}?{query.urlencode()}")
