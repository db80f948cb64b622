"""Meters over HTTP: parse, call one service, render."""

from typing import Any, override

from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import mixins, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from config.api import OneOfField, StrictSerializer
from customers.api.views import KEY_PATTERN
from customers.principals import Scope
from metering import aggregations
from metering.filters import OPERATORS
from metering.models import Meter
from metering.numbers import plain
from metering.services.meters import create_meter, update_meter

# What an aggregation does not take is null here and empty in the row.
TEXT_OPTIONS = ("value_property", "window", "of")


class FilterSerializer(serializers.Serializer[Any]):
    """A condition on an event's property."""

    property = serializers.CharField()
    op = OneOfField(choices=list(OPERATORS))
    value = serializers.JSONField(
        help_text="A text; a list of texts for `in`, a flag for `exists`."
    )


@extend_schema_field(FilterSerializer(many=True))
class FiltersField(serializers.JSONField):
    """Conditions as they are written; what may stand in them is decided in `metering.filters`."""


class PercentileField(serializers.DecimalField):
    """A decimal number as a text, without zeros at its end."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_digits=7, decimal_places=4, **options)

    @override
    def to_representation(self, value: Any) -> str:
        return plain(value)


class MeterSerializer(StrictSerializer, serializers.ModelSerializer[Meter]):
    """Which events count, and how they add up. What does not apply to an aggregation is null."""

    aggregation = OneOfField(choices=aggregations.choices())
    filters = FiltersField(required=False)
    percentile = PercentileField(required=False, allow_null=True)

    class Meta:
        model = Meter
        fields = [
            "key",
            "version",
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
        # The service checks the key: a taken one is a conflict, not a malformed field.
        validators: list[Any] = []
        extra_kwargs: dict[str, dict[str, Any]] = {
            "key": {"validators": []},
            **{name: {"allow_null": True} for name in TEXT_OPTIONS},
        }

    @override
    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return attrs | {name: attrs[name] or "" for name in TEXT_OPTIONS if name in attrs}

    @override
    def to_representation(self, instance: Meter) -> dict[str, Any]:
        document: dict[str, Any] = super().to_representation(instance)
        return document | {name: document[name] or None for name in TEXT_OPTIONS}


class MeterViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[Meter]):
    """What is counted, and how: the newest version of each meter.

    A change of what a used meter counts makes its next version.
    """

    read_scope = Scope.USAGE_READ
    queryset = Meter.objects.current()
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
        changed = update_meter(meter=meter, at=timezone.now(), **serializer.validated_data)
        return Response(self.get_serializer(changed).data)
