"""Customers and API keys as JSON. What is allowed is decided in `customers.services`."""

from decimal import Decimal
from typing import Any, override

from rest_framework import serializers

from config.api import InstantField, StrictSerializer
from customers.models import ApiKey, Customer, TaxRate
from customers.principals import Scope


class PercentField(serializers.DecimalField):
    """A percentage as a string without superfluous zeros."""

    @override
    def to_representation(self, value: Any) -> str:
        return f"{Decimal(value).normalize():f}"


class CustomerSerializer(StrictSerializer, serializers.ModelSerializer[Customer]):
    tax_rates = serializers.SlugRelatedField(
        slug_field="key",
        queryset=TaxRate.objects.all(),
        many=True,
        required=False,
        help_text="Keys of tax rates. Each is worked out on its own, and they add up.",
    )

    class Meta:
        model = Customer
        fields = [
            "key",
            "name",
            "email",
            "currency",
            "time_zone",
            "locale",
            "address_line1",
            "address_line2",
            "city",
            "state",
            "postal_code",
            "country",
            "grace_hours",
            "consolidate_invoices",
            "payment_days",
            "receives_emails",
            "dunning",
            "suspended_at",
            "tax_rates",
            "tax_status",
            "tax_id",
            "created_at",
        ]
        read_only_fields = ["suspended_at"]
        # The service checks the key: a taken one is a conflict, not a malformed field.
        extra_kwargs: dict[str, dict[str, Any]] = {"key": {"validators": []}}


class TaxRateSerializer(StrictSerializer, serializers.ModelSerializer[TaxRate]):
    percent = PercentField(
        max_digits=7, decimal_places=4, min_value=Decimal(0), max_value=Decimal(100)
    )

    class Meta:
        model = TaxRate
        fields = ["key", "name", "percent", "country", "region", "is_active", "created_at"]
        extra_kwargs: dict[str, dict[str, Any]] = {"key": {"validators": []}}


class ApiKeySerializer(StrictSerializer, serializers.ModelSerializer[ApiKey]):
    customer = serializers.SlugRelatedField(
        slug_field="key",
        queryset=Customer.objects.all(),
        allow_null=True,
        help_text="Null for an operator key, which acts for every customer.",
    )
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=list(Scope)), required=False, allow_empty=False
    )
    event_types = serializers.ListField(
        child=serializers.CharField(max_length=100),
        required=False,
        max_length=100,
        help_text="The only types of events that this key may report; none means all.",
    )
    expires_at = InstantField(required=False, allow_null=True)

    class Meta:
        model = ApiKey
        fields = [
            "id",
            "customer",
            "name",
            "prefix",
            "scopes",
            "event_types",
            "rate_limit",
            "created_at",
            "expires_at",
            "revoked_at",
            "suspended_at",
            "last_used_at",
        ]
        read_only_fields = ["prefix", "created_at", "revoked_at", "suspended_at", "last_used_at"]


class IssuedKeySerializer(ApiKeySerializer):
    secret = serializers.CharField(
        read_only=True, help_text="Shown in this answer and never again."
    )

    class Meta(ApiKeySerializer.Meta):
        fields = [*ApiKeySerializer.Meta.fields, "secret"]
