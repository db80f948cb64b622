"""Customers and API keys as JSON. What is allowed is decided in `customers.services`."""

from decimal import Decimal
from typing import Any, override

from rest_framework import serializers

from config.api import InstantField, KeyField, OneOfField, StrictSerializer
from customers.models import ApiKey, Customer, TaxRate
from customers.principals import Scope
from customers.selectors import charged_rates


class PercentField(serializers.DecimalField):
    """A percentage as a string without superfluous zeros."""

    @override
    def to_representation(self, value: Any) -> str:
        return f"{Decimal(value).normalize():f}"


class OwnTaxRatesField(serializers.ManyRelatedField):
    """The rates of a customer's own by key, or null for those of its country."""

    @override
    def get_attribute(self, instance: Customer) -> Any:
        rates = list(instance.tax_rates.all())
        return None if not rates and instance.is_taxed_by_country else rates

    @override
    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            self.fail("not_a_list", input_type="dict")
        return super().to_internal_value(data)


class CustomerSerializer(StrictSerializer, serializers.ModelSerializer[Customer]):
    tax_rates = OwnTaxRatesField(
        child_relation=KeyField(TaxRate.objects.all()),
        required=False,
        allow_null=True,
        help_text="Keys of tax rates. Each is worked out on its own, and they add up. Null, as "
        "left out, is for the default rates of the country; an empty list for none.",
    )
    charged_tax_rates = serializers.SerializerMethodField(
        help_text="Keys of the rates that are charged as things are: its own or those of its "
        "country; none if it is exempt or under reverse charge."
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
            "charged_tax_rates",
            "tax_status",
            "tax_id",
            "created_at",
        ]
        read_only_fields = ["suspended_at"]
        # The service checks the key: a taken one is a conflict, not a malformed field.
        extra_kwargs: dict[str, dict[str, Any]] = {"key": {"validators": []}}

    def get_charged_tax_rates(self, customer: Customer) -> list[str]:
        is_taxable = customer.tax_status == Customer.TaxStatus.TAXABLE
        return [rate.key for rate in charged_rates(customer)] if is_taxable else []

    @override
    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "tax_rates" in attrs:
            rates = attrs["tax_rates"]
            attrs |= {"tax_rates": rates or [], "is_taxed_by_country": rates is None}
        return attrs


class TaxRateSerializer(StrictSerializer, serializers.ModelSerializer[TaxRate]):
    percent = PercentField(
        max_digits=7, decimal_places=4, min_value=Decimal(0), max_value=Decimal(100)
    )
    is_default = serializers.BooleanField(
        required=False,
        help_text="Whether taxable customers in the country (and region) that have no rates of "
        "their own are charged it. Left out, the first rate of a place is.",
    )

    class Meta:
        model = TaxRate
        fields = [
            "key",
            "name",
            "percent",
            "country",
            "region",
            "is_default",
            "is_active",
            "created_at",
        ]
        extra_kwargs: dict[str, dict[str, Any]] = {"key": {"validators": []}}


class ApiKeySerializer(StrictSerializer, serializers.ModelSerializer[ApiKey]):
    customer = KeyField(
        Customer.objects.all(),
        allow_null=True,
        help_text="Null for an operator key, which acts for every customer.",
    )
    scopes = serializers.ListField(
        child=OneOfField(choices=list(Scope)), required=False, allow_empty=False
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
