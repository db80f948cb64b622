"""`/events`: usage comes in, and can be looked at again."""

from typing import Any

from django.http.response import HttpResponseBase
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from config.csv_files import MEDIA_TYPE
from config.errors import InvalidInputError
from customers.api.permissions import principal_of
from customers.principals import Scope
from metering.api.bodies import DEFAULT_MEDIA_TYPE, read_events
from metering.api.event_log import EventPageSerializer, EventQuestionSerializer, event_log
from metering.models import IngestBatch
from metering.services.backfill import stage_for
from metering.services.event_rules import LONGEST_TYPE, MOST_EVENTS
from metering.services.ingest import ingest_events

SWITCH = {"true": True, "false": False}

EVENT_SCHEMA = {
    "type": "object",
    "required": ["id", "type"],
    "additionalProperties": False,
    "properties": {
        "id": {
            "type": "string",
            "minLength": 1,
            "maxLength": 255,
            "description": "With the customer, the event's identity for ever.",
        },
        "type": {"type": "string", "minLength": 1, "maxLength": 100},
        "customer": {
            "type": "string",
            "description": "A customer's key. Operator keys name it; others may leave it out.",
        },
        "timestamp": {
            "type": "string",
            "format": "date-time",
            "description": "When the usage happened; left out, when the event is received.",
        },
        "properties": {"type": "object", "additionalProperties": True},
    },
    "example": {
        "id": "req-8f3c",
        "type": "api.request",
        "customer": "acme",
        "timestamp": "2026-11-22T10:00:00.123Z",
        "properties": {"endpoint": "/v1/search", "method": "GET", "status": 200, "bytes": 5120},
    },
}
EVENT_LIST_SCHEMA = {"type": "array", "maxItems": MOST_EVENTS, "items": EVENT_SCHEMA}
BODY_SCHEMA = {
    "oneOf": [
        EVENT_SCHEMA,
        EVENT_LIST_SCHEMA,
        {"type": "object", "required": ["events"], "properties": {"events": EVENT_LIST_SCHEMA}},
    ]
}

LINES_SCHEMA = {"type": "string", "description": "One event on each line."}
CLOUD_EVENT_SCHEMA = {
    "type": "object",
    "required": ["specversion", "id", "source", "type"],
    "additionalProperties": True,
    "properties": {
        "specversion": {"type": "string", "enum": ["1.0"]},
        "id": {"type": "string", "minLength": 1},
        "source": {
            "type": "string",
            "pattern": r"^\S+$",
            "description": "With the id, the event's identity for ever.",
        },
        "type": {"type": "string", "minLength": 1, "maxLength": LONGEST_TYPE},
        "subject": {"type": "string", "description": "The customer's key."},
        "time": {"type": "string", "format": "date-time"},
        "data": {"type": "object", "additionalProperties": True},
    },
}
REQUEST_SCHEMAS = {
    DEFAULT_MEDIA_TYPE: BODY_SCHEMA,
    "application/x-ndjson": LINES_SCHEMA,
    "application/cloudevents+json": CLOUD_EVENT_SCHEMA,
    "application/cloudevents-batch+json": {
        "type": "array",
        "maxItems": MOST_EVENTS,
        "items": CLOUD_EVENT_SCHEMA,
    },
}


class EventErrorSerializer(serializers.Serializer[Any]):
    index = serializers.IntegerField(help_text="The event's place in the request, from 0.")
    id = serializers.CharField(source="printable_id")
    code = serializers.CharField(source="reason.code")
    message = serializers.CharField(source="reason.message")


class IngestResultSerializer(serializers.Serializer[Any]):
    accepted = serializers.IntegerField(help_text="New events; they are stored for good.")
    duplicate = serializers.IntegerField(help_text="Events that were there already.")
    conflict = serializers.IntegerField(help_text="Known ids with other content; not counted.")
    rejected = serializers.IntegerField(help_text="Invalid events; not counted.")
    # `errors` is a name of the framework's own.
    errors = EventErrorSerializer(many=True)  # type: ignore[assignment]


class EventsView(APIView):
    """Takes events whole and undecoded from the connection: speed is the point here."""

    write_scope = Scope.EVENTS_WRITE
    read_scope = Scope.USAGE_READ

    @extend_schema(
        summary="List the events that count",
        description="Newest first. `filter[endpoint]=/v1/x` keeps the events whose property is "
        "that text.",
        parameters=[EventQuestionSerializer],
        responses={
            (200, "application/json"): EventPageSerializer,
            (200, MEDIA_TYPE): OpenApiTypes.STR,
        },
    )
    def get(self, request: Request) -> HttpResponseBase:
        return event_log(request)

    @extend_schema(
        summary="Report usage",
        description="Each event gets a verdict of its own, and counts once however often it is "
        "sent. When no answer arrives, send the same events again.",
        parameters=[
            OpenApiParameter(
                "backfill", bool, description="Take events of any age; operator keys with admin."
            ),
            OpenApiParameter(
                "session",
                str,
                description="With backfill: set the events apart in the session of this name, "
                "opened now if there is none, until staff commit or discard it.",
            ),
        ],
        request=REQUEST_SCHEMAS,
        responses=IngestResultSerializer,
    )
    def post(self, request: Request) -> Response:
        is_backfill = read_backfill(request)
        name = read_session(request, is_backfill=is_backfill)
        asked: dict[str, Any] = {
            "items": read_events(request),
            "principal": principal_of(request),
            "at": timezone.now(),
        }
        if name is not None:
            result = stage_for(name, **asked)
        else:
            source = IngestBatch.Source.API
            result = ingest_events(**asked, source=source, is_backfill=is_backfill)
        return Response(IngestResultSerializer(result).data)


def read_backfill(request: Request) -> bool:
    text = request.query_params.get("backfill", "false")
    if text not in SWITCH:
        raise InvalidInputError("backfill must be true or false.", field="backfill")
    principal = principal_of(request)
    may_backfill = principal.sees_all_customers and principal.has_scope(Scope.ADMIN)
    if SWITCH[text] and not may_backfill:
        raise exceptions.PermissionDenied(
            "Only an operator key with the scope admin may send backfill=true."
        )
    return SWITCH[text]


def read_session(request: Request, *, is_backfill: bool) -> str | None:
    name = request.query_params.get("session")
    if name is not None and not is_backfill:
        raise InvalidInputError("A session takes a backfill: add backfill=true.", field="session")
    return name
