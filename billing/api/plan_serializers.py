"""Plans and their versions as JSON. What is allowed is decided in `billing.services`."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing.api.serializers import ExactField
from billing.models import PlanVersion
from billing.services.versions import documents_of
from config.api import KeyField, OneOfField, StrictSerializer
from customers.models import Customer


class PlanSerializer(serializers.ModelSerializer[PlanVersion]):
    """A plan in one of its versions, usually the one that is sold now."""

    key = serializers.CharField(source="plan.key", max_length=100)
    name = serializers.CharField(source="plan.name", max_length=200)
    version = serializers.IntegerField(source="number", read_only=True)
    invoice_threshold = ExactField(allow_null=True)
    minimum_amount = ExactField(allow_null=True)
    customer = serializers.CharField(
        source="customer.key",
        default=None,
        allow_null=True,
        help_text="The only customer who may have this version.",
    )
    prices = serializers.SerializerMethodField()
    published_at = serializers.DateTimeField(allow_null=True, help_text="Null for a draft.")

    class Meta:
        model = PlanVersion
        fields = [
            "key",
            "name",
            "version",
            "currency",
            "interval",
            "interval_count",
            "is_addon",
            "trial_days",
            "grace_hours",
            "payment_days",
            "invoice_threshold",
            "minimum_amount",
            "customer",
            "prices",
            "published_at",
        ]

    @extend_schema_field({"type": "array", "items": {"type": "object"}})
    def get_prices(self, version: PlanVersion) -> list[dict[str, Any]]:
        return documents_of(version)


class PlanVersionChangeSerializer(StrictSerializer):
    """What may change from one version to the next, or while it is a draft."""

    name = serializers.CharField(max_length=200, required=False)
    currency = serializers.CharField(max_length=3, required=False)
    interval = OneOfField(choices=PlanVersion.Interval.choices, required=False)
    interval_count = serializers.IntegerField(required=False)
    is_addon = serializers.BooleanField(required=False)
    trial_days = serializers.IntegerField(required=False)
    grace_hours = serializers.IntegerField(required=False)
    payment_days = serializers.IntegerField(required=False)
    invoice_threshold = serializers.CharField(required=False, allow_null=True)
    minimum_amount = serializers.CharField(required=False, allow_null=True)
    customer = KeyField(
        Customer.objects.all(),
        required=False,
        allow_null=True,
        help_text="Makes it this customer's own version; nobody else can have it.",
    )
    prices = serializers.ListField(child=serializers.JSONField(), required=False)


class NewVersionSerializer(PlanVersionChangeSerializer):
    """What a next version is made from: what changes against the one that is sold now."""

    key = serializers.CharField(max_length=100, required=False)
    publish = serializers.BooleanField(
        required=False, default=True, help_text="False keeps it as a draft."
    )


class NewPlanSerializer(NewVersionSerializer):
    """What a plan's first version is made from."""

    key = serializers.CharField(max_length=100)
    name = serializers.CharField(max_length=200)
    prices = serializers.ListField(child=serializers.JSONField())
