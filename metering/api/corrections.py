"""Corrections over HTTP: parse, call one service, render."""

import codecs
import json
from typing import Any, override

from django.utils import timezone
from django_filters.rest_framework import CharFilter, FilterSet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import exceptions, mixins, serializers, status
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.json import strict_constant

from config.api import InstantField, StrictJSONParser, StrictSerializer
from customers.api.permissions import customer_for, principal_of
from customers.api.views import ID_PATTERN, CustomerOwnedViewSet
from customers.principals import Scope
from metering.exact_json import ExactDecoder, ExactEncoder
from metering.models import Correction
from metering.services.corrections import LONGEST_REASON, correct_event
from metering.services.event_rules import LONGEST_ID


class ExactJSONParser(StrictJSONParser):
    """Reads numbers to the last digit, as events are read."""

    @override
    def load(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        reader = codecs.getreader((parser_context or {}).get("encoding", "utf-8"))
        try:
            return json.load(reader(stream), cls=ExactDecoder, parse_constant=strict_constant)
        except ValueError as error:
            raise exceptions.ParseError(f"JSON parse error - {error}") from error


class ExactJSONRenderer(JSONRenderer):
    """Writes the numbers of events as they were sent."""

    encoder_class = ExactEncoder


@extend_schema_field(OpenApiTypes.OBJECT)
class PropertiesField(serializers.DictField):
    """An event's properties; what may stand in them is decided where events are screened."""


class CorrectionSerializer(StrictSerializer, serializers.ModelSerializer[Correction]):
    customer = serializers.CharField(source="customer.key")
    event = serializers.CharField(
        source="event_id", max_length=LONGEST_ID, trim_whitespace=False, help_text="The event's id."
    )
    reason = serializers.CharField(max_length=LONGEST_REASON)
    timestamp = InstantField(
        source="new_timestamp",
        required=False,
        allow_null=True,
        help_text="For amend: when the usage happened. Left out, as it was.",
    )
    properties = PropertiesField(
        source="new_properties",
        required=False,
        allow_null=True,
        help_text="For amend: all properties, in place of the old ones. Left out, as they were.",
    )
    previous_timestamp = serializers.DateTimeField(source="old_timestamp", read_only=True)
    previous_properties = PropertiesField(source="old_properties", read_only=True)

    class Meta:
        model = Correction
        fields = [
            "id",
            "customer",
            "event",
            "event_type",
            "action",
            "reason",
            "timestamp",
            "properties",
            "previous_timestamp",
            "previous_properties",
            "created_at",
        ]
        read_only_fields = ["event_type", "created_at"]


class CorrectionFilter(FilterSet):  # type: ignore[misc]  # django-filter has no types
    customer = CharFilter(field_name="customer__key")
    event = CharFilter(field_name="event_id")


class CorrectionViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, CustomerOwnedViewSet[Correction]
):
    """Events taken out of usage or changed after they were accepted."""

    read_scope = Scope.USAGE_READ
    queryset = Correction.objects.select_related("customer")
    serializer_class = CorrectionSerializer
    filterset_class = CorrectionFilter
    lookup_value_regex = ID_PATTERN
    parser_classes = (ExactJSONParser,)
    renderer_classes = (ExactJSONRenderer,)

    @extend_schema(summary="Void or amend an event")
    def create(self, request: Request) -> Response:
        """Usage follows at once; the event as it was stays on record.

        A void is final unless the event is amended, which brings it back.
        """
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        correction = correct(request, serializer.validated_data)
        return Response(self.get_serializer(correction).data, status=status.HTTP_201_CREATED)


def correct(request: Request, asked: dict[str, Any]) -> Correction:
    principal = principal_of(request)
    return correct_event(
        action=asked["action"],
        customer=customer_for(principal, asked["customer"]["key"]),
        event_id=asked["event_id"],
        reason=asked["reason"],
        principal=principal,
        at=timezone.now(),
        properties=asked.get("new_properties"),
        timestamp=asked.get("new_timestamp"),
    )
