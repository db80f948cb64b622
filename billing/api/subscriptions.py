"""Subscriptions over HTTP: parse, call one service, render."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.filters import SubscriptionFilter
from billing.api.serializers import (
    CouponChoiceSerializer,
    SubscriptionChangeSerializer,
    SubscriptionSerializer,
    WhenSerializer,
)
from billing.models import Coupon, Subscription
from billing.selectors.subscriptions import with_history
from billing.services import subscriptions
from billing.services.coupons import redeem_coupon, remove_coupon
from customers.api.views import ID_PATTERN, CustomerOwnedViewSet


class SubscriptionViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, CustomerOwnedViewSet[Subscription]
):
    """Who bought what, from when until when, and what changed on the way."""

    queryset = with_history(Subscription.objects.all())
    serializer_class = SubscriptionSerializer
    filterset_class = SubscriptionFilter
    lookup_value_regex = ID_PATTERN

    def create(self, request: Request) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        fields = serializer.validated_data
        plan = fields.pop("plan_version")["plan"]
        made = subscriptions.create_subscription(plan=plan, at=timezone.now(), **fields)
        return self.answer(made, status.HTTP_201_CREATED)

    @extend_schema(request=SubscriptionChangeSerializer, responses=SubscriptionSerializer)
    @action(detail=True, methods=["post"])
    def change(self, request: Request, pk: str) -> Response:
        """Move to another plan or other quantities now, at an instant, or when the period ends."""
        wish = parsed(SubscriptionChangeSerializer, request)
        changed = subscriptions.change_subscription(
            subscription=self.get_object(),
            at=timezone.now(),
            plan=wish.get("plan"),
            quantities=wish.get("quantities"),
            effective_at=wish.get("at"),
        )
        return self.answer(changed)

    @extend_schema(request=WhenSerializer, responses=SubscriptionSerializer)
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, pk: str) -> Response:
        """Charge nothing from now, from an instant, or from the next period on."""
        paused = subscriptions.pause_subscription(
            subscription=self.get_object(),
            at=timezone.now(),
            effective_at=parsed(WhenSerializer, request).get("at"),
        )
        return self.answer(paused)

    @extend_schema(request=WhenSerializer, responses=SubscriptionSerializer)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: str) -> Response:
        """Charge again from now, from an instant, or from the next period on."""
        resumed = subscriptions.resume_subscription(
            subscription=self.get_object(),
            at=timezone.now(),
            effective_at=parsed(WhenSerializer, request).get("at"),
        )
        return self.answer(resumed)

    @extend_schema(request=WhenSerializer, responses=SubscriptionSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """End a subscription now, at an instant, or with its current billing period."""
        canceled = subscriptions.cancel_subscription(
            subscription=self.get_object(),
            at=timezone.now(),
            end_at=parsed(WhenSerializer, request).get("at"),
        )
        return self.answer(canceled)

    @extend_schema(request=None, responses=SubscriptionSerializer)
    @action(detail=True, methods=["post"], url_path=r"changes/(?P<change>[0-9]{1,18})/withdraw")
    def withdraw(self, request: Request, pk: str, change: str) -> Response:
        """Take back a planned change, or a planned end, before it holds."""
        subscription = subscriptions.withdraw_change(
            subscription=self.get_object(), change_id=int(change), at=timezone.now()
        )
        return self.answer(subscription)

    @extend_schema(request=CouponChoiceSerializer, responses=SubscriptionSerializer)
    @action(detail=True, methods=["post"])
    def coupons(self, request: Request, pk: str) -> Response:
        """Redeem a coupon, from the current billing period on and after the others."""
        subscription = self.get_object()
        coupon = parsed(CouponChoiceSerializer, request)["coupon"]
        redeem_coupon(subscription=subscription, coupon=coupon, at=timezone.now())
        return self.answer(subscription)

    @extend_schema(request=None, responses=SubscriptionSerializer)
    @action(
        detail=True, methods=["delete"], url_path=r"coupons/(?P<coupon>[^/\0]+)", url_name="coupon"
    )
    def coupon(self, request: Request, pk: str, coupon: str) -> Response:
        """Take nothing off for a coupon any more; issued documents stay."""
        subscription = self.get_object()
        found = get_object_or_404(Coupon, key=coupon)
        remove_coupon(subscription=subscription, coupon=found, at=timezone.now())
        return self.answer(subscription)

    def answer(self, subscription: Subscription, code: int = status.HTTP_200_OK) -> Response:
        shown = with_history(Subscription.objects.filter(pk=subscription.pk)).get()
        return Response(self.get_serializer(shown).data, status=code)


def parsed(serializer_class: type[serializers.Serializer[Any]], request: Request) -> Any:
    serializer = serializer_class(data=request.data)
    serializer.is_valid(raise_exception=True)
    return serializer.validated_data
