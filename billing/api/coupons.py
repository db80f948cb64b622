"""Coupons over HTTP: parse, call one service, render."""

from decimal import Decimal
from typing import Any, override

from django.db.models import Count, QuerySet
from rest_framework import mixins, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from billing.api.serializers import ExactField
from billing.models import Coupon
from billing.services import coupons
from config.api import InstantField, StrictSerializer
from customers.api.permissions import principal_of
from customers.api.serializers import PercentField
from customers.api.views import KEY_PATTERN
from customers.models import Customer
from customers.principals import Scope


class MoneyField(serializers.DecimalField):
    """An amount that is read as a decimal and written with the places it is stored with."""

    @override
    def to_representation(self, value: Any) -> str:
        return ExactField().to_representation(value)


class CouponSerializer(StrictSerializer, serializers.ModelSerializer[Coupon]):
    percent_off = PercentField(
        max_digits=7,
        decimal_places=4,
        min_value=Decimal(0),
        max_value=Decimal(100),
        required=False,
        allow_null=True,
    )
    amount_off = MoneyField(
        max_digits=20, decimal_places=4, min_value=Decimal(0), required=False, allow_null=True
    )
    valid_until = InstantField(required=False, allow_null=True)
    redemptions = serializers.IntegerField(source="times_redeemed", read_only=True, default=0)

    class Meta:
        model = Coupon
        fields = [
            "key",
            "name",
            "percent_off",
            "amount_off",
            "currency",
            "duration",
            "duration_months",
            "prices",
            "max_redemptions",
            "max_per_customer",
            "valid_until",
            "is_active",
            "redemptions",
            "created_at",
        ]
        extra_kwargs: dict[str, dict[str, Any]] = {"key": {"validators": []}}


class CouponViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[Coupon]):
    """What comes off subscriptions. Customers see those that they have redeemed."""

    read_scope = Scope.BILLING_READ
    queryset = Coupon.objects.all()
    serializer_class = CouponSerializer
    lookup_field = "key"
    lookup_value_regex = KEY_PATTERN

    @override
    def get_queryset(self) -> QuerySet[Coupon]:
        principal = principal_of(self.request)
        if principal.sees_all_customers:
            return Coupon.objects.annotate(times_redeemed=Count("redemptions"))
        own = Customer.objects.visible_to(principal)
        # How many others have redeemed it is nothing to a customer.
        return Coupon.objects.filter(redemptions__subscription__customer__in=own).distinct()

    def create(self, request: Request) -> Response:
        """Make a coupon: a percentage or an amount off, once, for months or for ever."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        made = coupons.create_coupon(**serializer.validated_data)
        return Response(self.get_serializer(made).data, status=status.HTTP_201_CREATED)

    def partial_update(self, request: Request, key: str) -> Response:
        """Change its name or its limits; what it takes off stays."""
        coupon = self.get_object()
        serializer = self.get_serializer(coupon, data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        changed = coupons.update_coupon(coupon=coupon, **serializer.validated_data)
        return Response(self.get_serializer(changed).data)
