"""Subscriptions and invoices as JSON. What is allowed is decided in `billing.services`."""

from datetime import datetime
from typing import Any, Literal, override

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing.models import Invoice, InvoiceLine, Plan, Subscription
from config.api import InstantField, StrictSerializer
from customers.models import Customer

PERIOD_END: Literal["period_end"] = "period_end"


@extend_schema_field(OpenApiTypes.DECIMAL)
class ExactField(serializers.Field[Any, Any, str, Any]):
    """A decimal as a string with the places it is stored with: money at its currency's own."""

    @override
    def to_representation(self, value: Any) -> str:
        return format(value, "f")


@extend_schema_field({"oneOf": [{"type": "string", "format": "date-time"}, {"enum": [PERIOD_END]}]})
class InstantOrPeriodEndField(InstantField):
    @override
    def to_internal_value(self, value: Any) -> datetime | Literal["period_end"]:  # type: ignore[override]
        return PERIOD_END if value == PERIOD_END else super().to_internal_value(value)


class SubscriptionSerializer(StrictSerializer, serializers.ModelSerializer[Subscription]):
    customer = serializers.SlugRelatedField(slug_field="key", queryset=Customer.objects.all())
    plan = serializers.SlugRelatedField(
        slug_field="key", queryset=Plan.objects.all(), source="plan_version.plan"
    )
    plan_version = serializers.IntegerField(source="plan_version.number", read_only=True)
    start_at = InstantField(default=timezone.now)
    anchor = serializers.CharField(required=False, write_only=True)
    quantities = serializers.DictField(required=False, write_only=True)
    coupons = serializers.ListField(required=False, write_only=True)

    class Meta:
        model = Subscription
        fields = [
            "id",
            "customer",
            "plan",
            "plan_version",
            "start_at",
            "end_at",
            "canceled_at",
            "anchor",
            "quantities",
            "coupons",
        ]
        read_only_fields = ["end_at", "canceled_at"]


class CancellationSerializer(StrictSerializer):
    at = InstantOrPeriodEndField(
        required=False, help_text="An instant, or period_end. Left out, it is now."
    )


class LineSerializer(serializers.Serializer[InvoiceLine]):
    """A line of an invoice, issued or previewed."""

    price = serializers.CharField()
    kind = serializers.ChoiceField(choices=InvoiceLine.Kind.choices)
    description = serializers.CharField()
    quantity = ExactField()
    amount = ExactField()
    period_start = serializers.DateTimeField()
    period_end = serializers.DateTimeField()
    steps = serializers.ListField(child=serializers.DictField())


class StatementSerializer(serializers.Serializer[Any]):
    """What invoices and previews have in common."""

    customer = serializers.CharField(source="customer.key")
    currency = serializers.CharField()
    period_start = serializers.DateTimeField()
    period_end = serializers.DateTimeField()
    subtotal = ExactField()
    discount = ExactField()
    tax = ExactField()
    credits = ExactField()
    total = ExactField()
    lines = LineSerializer(many=True)


class PreviewSerializer(StatementSerializer):
    """The invoice there would be if the period ended now."""


class InvoiceSerializer(StatementSerializer):
    id = serializers.IntegerField()
    number = serializers.CharField(allow_null=True, help_text="Null while it is a draft.")
    status = serializers.ChoiceField(choices=Invoice.Status.choices)
    finalize_at = serializers.DateTimeField()
    issued_at = serializers.DateTimeField(allow_null=True)
    due_at = serializers.DateTimeField(allow_null=True)
    paid_at = serializers.DateTimeField(allow_null=True)
    voided_at = serializers.DateTimeField(allow_null=True)
    amount_due = ExactField()
    stripe_invoice_id = serializers.SerializerMethodField()

    def get_stripe_invoice_id(self, invoice: Invoice) -> str | None:
        push = getattr(invoice, "stripe_push", None)
        return (push.stripe_invoice_id or None) if push else None
