"""`POST /events`: usage comes in."""

from collections.abc import Sequence
from typing import Any

from django.http import UnreadablePostError
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from config.errors import InvalidInputError
from customers.api.permissions import principal_of
from customers.principals import Scope
from metering.models import IngestBatch
from metering.services.decoding import DECODERS, Item
from metering.services.event_rules import MOST_BYTES, MOST_EVENTS
from metering.services.ingest import ingest_events

DEFAULT_MEDIA_TYPE = "application/json"
READ_BYTES = 1024 * 1024
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


class PayloadTooLarge(exceptions.APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "too_large"
    default_detail = (
        f"A request takes at most {MOST_EVENTS} events and {MOST_BYTES} bytes; nothing was "
        "stored. Send several smaller ones."
    )


class IncompleteBody(exceptions.ParseError):
    default_code = "incomplete_body"
    default_detail = "The body ended before its announced length; nothing was stored."


class EventsView(APIView):
    """Takes events whole and undecoded from the connection: speed is the point here."""

    write_scope = Scope.EVENTS_WRITE

    @extend_schema(
        summary="Report usage",
        description="Each event gets a verdict of its own, and counts once however often it is "
        "sent. When no answer arrives, send the same events again.",
        parameters=[
            OpenApiParameter(
                "backfill", bool, description="Take events of any age; operator keys with admin."
            )
        ],
        request={DEFAULT_MEDIA_TYPE: BODY_SCHEMA},
        responses=IngestResultSerializer,
    )
    def post(self, request: Request) -> Response:
        is_backfill = read_backfill(request)
        items = read_events(request)
        result = ingest_events(
            items=items,
            principal=principal_of(request),
            source=IngestBatch.Source.API,
            at=timezone.now(),
            is_backfill=is_backfill,
        )
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


def read_events(request: Request) -> Sequence[Item]:
    media_type = (request.content_type or DEFAULT_MEDIA_TYPE).partition(";")[0].strip().lower()
    if media_type not in DECODERS:
        known = ", ".join(DECODERS)
        raise exceptions.UnsupportedMediaType(
            media_type, f"Content-Type must be one of {known}, not {media_type}."
        )
    encoding = request.headers.get("Content-Encoding", "identity")
    if encoding != "identity":
        raise exceptions.UnsupportedMediaType(
            encoding, f"A body with the Content-Encoding {encoding} cannot be read; leave it out."
        )
    items = DECODERS[media_type](read_body(request))
    if len(items) > MOST_EVENTS:
        raise PayloadTooLarge
    return items


def read_body(request: Request) -> bytes:
    """Return the body; one that is too large is refused without being read to its end."""
    stated = int(request.META.get("CONTENT_LENGTH") or 0)
    if stated > MOST_BYTES:
        raise PayloadTooLarge
    body = bytearray()
    try:
        while chunk := body_stream(request).read(READ_BYTES):
            body += chunk
            if len(body) > MOST_BYTES:
                raise PayloadTooLarge
    except UnreadablePostError as error:
        raise IncompleteBody from error
    if len(body) < stated:
        raise IncompleteBody
    return bytes(body)


def body_stream(request: Request) -> Any:
    """Return what to read the body from.

    Django takes a body without a length for an empty one, although the server marks its end.
    """
    is_chunked = not request.META.get("CONTENT_LENGTH") and "wsgi.input_terminated" in request.META
    return request.META["wsgi.input"] if is_chunked else request._request
