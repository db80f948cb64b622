"""Subscriptions over HTTP: parse, call one service, render."""

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.filters import SubscriptionFilter
from billing.api.serializers import CancellationSerializer, SubscriptionSerializer
from billing.models import Subscription
from billing.services import subscriptions
from customers.api.views import ID_PATTERN, CustomerOwnedViewSet


class SubscriptionViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, CustomerOwnedViewSet[Subscription]
):
    """Who bought what, from when until when."""

    queryset = Subscription.objects.select_related("customer", "plan_version__plan")
    serializer_class = SubscriptionSerializer
    filterset_class = SubscriptionFilter
    lookup_value_regex = ID_PATTERN

    def create(self, request: Request) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        fields = serializer.validated_data
        plan = fields.pop("plan_version")["plan"]
        subscription = subscriptions.create_subscription(plan=plan, **fields)
        return Response(self.get_serializer(subscription).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=CancellationSerializer, responses=SubscriptionSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """End a subscription now, at an instant, or with its current billing period."""
        serializer = CancellationSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        subscription = subscriptions.cancel_subscription(
            subscription=self.get_object(),
            at=timezone.now(),
            end_at=serializer.validated_data.get("at"),
        )
        return Response(self.get_serializer(subscription).data)
