"""Meters over HTTP: parse, call one service, render."""

from typing import Any, override

from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import mixins, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from config.api import StrictSerializer
from customers.api.views import KEY_PATTERN
from customers.principals import Scope
from metering import aggregations
from metering.filters import OPERATORS
from metering.models import Meter
from metering.services.meters import create_meter, update_meter


class FilterSerializer(serializers.Serializer[Any]):
    """A condition on an event's property."""

    property = serializers.CharField()
    op = serializers.ChoiceField(choices=list(OPERATORS))
    value = serializers.JSONField(
        help_text="A text; a list of texts for `in`, a flag for `exists`."
    )


@extend_schema_field(FilterSerializer(many=True))
class FiltersField(serializers.JSONField):
    """Conditions as they are written; what may stand in them is decided in `metering.filters`."""


@extend_schema_field({"type": "string", "nullable": True})
class NoField(serializers.Field[None, object, None, object]):
    """A field of the contract that no known aggregation takes."""

    default_error_messages = {"taken": "No aggregation takes this; leave it out."}

    @override
    def get_attribute(self, instance: object) -> None:
        return None

    @override
    def to_internal_value(self, data: object) -> None:
        self.fail("taken")


class MeterSerializer(StrictSerializer, serializers.ModelSerializer[Meter]):
    """Which events count, and how they add up. What does not apply to an aggregation is null."""

    aggregation = serializers.ChoiceField(
        choices=aggregations.choices(),
        error_messages={
            "invalid_choice": "There is no aggregation {input!r}; use "
            f"{aggregations.one_of(tuple(aggregations.REGISTRY))}."
        },
    )
    filters = FiltersField(required=False)
    percentile = NoField(required=False, allow_null=True)

    class Meta:
        model = Meter
        fields = [
            "key",
            "name",
            "unit",
            "event_type",
            "aggregation",
            "value_property",
            "filters",
            "group_by",
            "window",
            "of",
            "percentile",
            "created_at",
        ]
        # What an aggregation does not take is null here and empty in the row. The service checks
        # the key: a taken one is a conflict, not a malformed field.
        extra_kwargs: dict[str, dict[str, Any]] = {
            "key": {"validators": []},
            **{name: {"allow_null": True} for name in aggregations.OPTIONS},
        }

    @override
    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs.pop("percentile", None)
        return attrs | {name: attrs[name] or "" for name in aggregations.OPTIONS if name in attrs}

    @override
    def to_representation(self, instance: Meter) -> dict[str, Any]:
        document: dict[str, Any] = super().to_representation(instance)
        return document | {name: document[name] or None for name in aggregations.OPTIONS}


class MeterViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[Meter]):
    """What is counted, and how."""

    read_scope = Scope.USAGE_READ
    queryset = Meter.objects.all()
    serializer_class = MeterSerializer
    lookup_field = "key"
    lookup_value_regex = KEY_PATTERN

    def create(self, request: Request) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        meter = create_meter(at=timezone.now(), **serializer.validated_data)
        return Response(self.get_serializer(meter).data, status=status.HTTP_201_CREATED)

    def partial_update(self, request: Request, key: str) -> Response:
        meter = self.get_object()
        serializer = self.get_serializer(meter, data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        changed = update_meter(meter=meter, **serializer.validated_data)
        return Response(self.get_serializer(changed).data)
