"""Subscriptions and invoices as JSON. What is allowed is decided in `billing.services`."""

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, override

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing.models import (
    Coupon,
    Invoice,
    InvoiceLine,
    Plan,
    StripePush,
    Subscription,
    SubscriptionChange,
    SubscriptionPhase,
)
from billing.rating.arithmetic import plain, trimmed
from config.api import InstantField, KeyField, StrictSerializer
from customers.models import Customer

PERIOD_END: Literal["period_end"] = "period_end"


@extend_schema_field(OpenApiTypes.DECIMAL)
class ExactField(serializers.Field[Any, Any, str, Any]):
    """A decimal as a string with the places it is stored with: money at its currency's own."""

    @override
    def to_representation(self, value: Any) -> str:
        return format(value, "f")


class PlainField(ExactField):
    """A quantity or a rate as a string, without the zeros at its end."""

    @override
    def to_representation(self, value: Any) -> str:
        return plain(trimmed(value))


@extend_schema_field({"oneOf": [{"type": "string", "format": "date-time"}, {"enum": [PERIOD_END]}]})
class InstantOrPeriodEndField(InstantField):
    @override
    def to_internal_value(self, value: Any) -> datetime | Literal["period_end"]:  # type: ignore[override]
        return PERIOD_END if value == PERIOD_END else super().to_internal_value(value)


class PhaseSerializer(serializers.ModelSerializer[SubscriptionPhase]):
    """What holds from when until when."""

    plan = serializers.CharField(source="plan_version.plan.key")
    plan_version = serializers.IntegerField(source="plan_version.number")
    quantities = serializers.DictField(child=serializers.CharField())

    class Meta:
        model = SubscriptionPhase
        fields = ["plan", "plan_version", "state", "quantities", "start_at", "end_at"]


class ChangeSerializer(serializers.ModelSerializer[SubscriptionChange]):
    """What was asked for, when, and from when it holds."""

    plan = serializers.CharField(source="plan_version.plan.key", default=None)
    quantities = serializers.DictField(child=serializers.CharField())

    class Meta:
        model = SubscriptionChange
        fields = [
            "id",
            "kind",
            "plan",
            "quantities",
            "requested_at",
            "effective_at",
            "withdrawn_at",
        ]


class SubscriptionSerializer(StrictSerializer, serializers.ModelSerializer[Subscription]):
    customer = KeyField(Customer.objects.all())
    plan = KeyField(Plan.objects.all(), source="plan_version.plan")
    plan_version = serializers.IntegerField(source="plan_version.number", read_only=True)
    start_at = InstantField(default=timezone.now)
    trial_days = serializers.IntegerField(
        required=False,
        write_only=True,
        min_value=0,
        max_value=3660,
        help_text="The plan's, if not.",
    )
    quantities = serializers.DictField(
        required=False, write_only=True, help_text="Units by the key of their price."
    )
    phases = PhaseSerializer(many=True, read_only=True)
    changes = ChangeSerializer(many=True, read_only=True)
    coupons = KeyField(
        Coupon.objects.all(),
        many=True,
        required=False,
        help_text="Keys of coupons to redeem; they are taken off in this order.",
    )

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
            "trial_days",
            "trial_end_at",
            "quantities",
            "coupons",
            "phases",
            "changes",
        ]
        read_only_fields = ["end_at", "canceled_at", "trial_end_at"]


class WhenSerializer(StrictSerializer):
    at = InstantOrPeriodEndField(
        required=False, help_text="An instant, or period_end. Left out, it is now."
    )


class CouponChoiceSerializer(StrictSerializer):
    coupon = KeyField(Coupon.objects.all())


class SubscriptionChangeSerializer(WhenSerializer):
    plan = KeyField(Plan.objects.all(), required=False)
    quantities = serializers.DictField(
        required=False, help_text="Units by the key of their price; the others stay."
    )


class NewLineSerializer(StrictSerializer):
    """A line that is billed by hand."""

    description = serializers.CharField(max_length=500)
    unit_amount = serializers.DecimalField(
        max_digits=27, decimal_places=15, help_text="The price of one, in the customer's currency."
    )
    quantity = serializers.DecimalField(
        max_digits=24, decimal_places=12, min_value=Decimal(0), default=Decimal(1)
    )


class NewInvoiceSerializer(StrictSerializer):
    customer = KeyField(Customer.objects.all())
    lines = NewLineSerializer(many=True)
    finalize = serializers.BooleanField(
        default=False, help_text="Issue it at once; otherwise it is a draft."
    )


class PaidSerializer(StrictSerializer):
    """Money that came in another way than through Stripe."""

    reference = serializers.CharField(
        max_length=200, help_text="What the money can be found by, such as a bank reference."
    )
    paid_at = InstantField(default=timezone.now)


class LineSerializer(serializers.Serializer[InvoiceLine]):
    """A line of an invoice, issued or previewed."""

    price = serializers.CharField()
    kind = serializers.ChoiceField(choices=InvoiceLine.Kind.choices)
    description = serializers.CharField()
    quantity = ExactField()
    billed_quantity = ExactField(
        allow_null=True, help_text="The total that documents before had billed, if any had."
    )
    amount = ExactField()
    discount = ExactField(help_text="What coupons take off the amount.")
    period_start = serializers.DateTimeField()
    period_end = serializers.DateTimeField()
    subscription = serializers.IntegerField(source="subscription.pk", default=None, allow_null=True)
    original = serializers.CharField(
        source="original.invoice.number",
        default=None,
        allow_null=True,
        help_text="The invoice that this line puts right.",
    )
    steps = serializers.ListField(child=serializers.DictField())


class TaxSerializer(serializers.Serializer[Any]):
    """One rate on a document: `amount` is `percent` of `base`, rounded once."""

    key = serializers.CharField()
    name = serializers.CharField()
    percent = serializers.CharField()
    base = serializers.CharField()
    amount = serializers.CharField()


class DiscountSerializer(serializers.Serializer[Any]):
    """What a coupon took off a document."""

    coupon = serializers.CharField()
    name = serializers.CharField()
    amount = serializers.CharField()


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
    discounts = DiscountSerializer(many=True)
    taxes = TaxSerializer(many=True)
    tax_note = serializers.CharField(help_text="Why no tax is charged, if it is not.")
    lines = LineSerializer(many=True)


class PreviewSerializer(StatementSerializer):
    """The invoice there would be if the period ended now."""


class InvoiceSerializer(StatementSerializer):
    id = serializers.IntegerField()
    number = serializers.CharField(allow_null=True, help_text="Null while it is a draft.")
    status = serializers.ChoiceField(choices=Invoice.Status.choices)
    subscription = serializers.IntegerField(
        source="subscription_id", allow_null=True, help_text="Null if it bills several, or none."
    )
    billing_reason = serializers.ChoiceField(choices=Invoice.Reason.choices)
    digest = serializers.CharField(help_text="SHA-256 of its content; empty while it is a draft.")
    finalize_at = serializers.DateTimeField()
    issued_at = serializers.DateTimeField(allow_null=True)
    due_at = serializers.DateTimeField(allow_null=True)
    paid_at = serializers.DateTimeField(allow_null=True)
    voided_at = serializers.DateTimeField(allow_null=True)
    amount_paid = ExactField()
    amount_credited = ExactField(help_text="What credit notes took off while it was still owed.")
    amount_due = ExactField()
    credit_notes: serializers.RelatedField[Any, Any, Any] = serializers.StringRelatedField(
        many=True, help_text="Their numbers."
    )
    stripe_invoice_id = serializers.SerializerMethodField()
    push_status = serializers.ChoiceField(
        source="stripe_push.status",
        choices=StripePush.Status.choices,
        default=None,
        allow_null=True,
        read_only=True,
        help_text="How far it has got on its way to Stripe; null if nobody has begun.",
    )

    def get_stripe_invoice_id(self, invoice: Invoice) -> str | None:
        push = getattr(invoice, "stripe_push", None)
        return (push.stripe_invoice_id or None) if push else None
