"""Plans over HTTP: parse, call one service, render."""

from typing import Any, override

from django.db.models import QuerySet
from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from billing.api.plan_serializers import (
    NewPlanSerializer,
    NewVersionSerializer,
    PlanSerializer,
    PlanVersionChangeSerializer,
)
from billing.models import PlanVersion
from billing.selectors.catalog import current_versions, visible_versions, with_prices
from billing.services import catalog
from config.api import StrictSerializer
from customers.api.permissions import customer_for, principal_of
from customers.api.views import KEY_PATTERN
from customers.principals import Scope

CHOICE = [
    OpenApiParameter("currency", description="As it is sold in this currency."),
    OpenApiParameter("customer", description="As it is sold to this customer, named by its key."),
]


@extend_schema_view(
    list=extend_schema(parameters=CHOICE), retrieve=extend_schema(parameters=CHOICE)
)
class PlanViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[PlanVersion]):
    """What is sold. Published prices never change: a change makes the plan's next version."""

    read_scope = Scope.BILLING_READ
    queryset = PlanVersion.objects.none()
    serializer_class = PlanSerializer
    lookup_field = "plan__key"
    lookup_url_kwarg = "key"
    lookup_value_regex = KEY_PATTERN
    query_parameters = ("currency", "customer")

    @override
    def get_queryset(self) -> QuerySet[PlanVersion]:
        principal = principal_of(self.request)
        named = self.request.query_params.get("customer")
        customer = None if named is None else customer_for(principal, named)
        currency = self.request.query_params.get("currency")
        return current_versions(principal, customer=customer, currency=currency)

    @extend_schema(request=NewPlanSerializer, responses={201: PlanSerializer})
    def create(self, request: Request) -> Response:
        """Create a plan and publish its version 1, or keep it as a draft."""
        fields = parsed(NewPlanSerializer(data=request.data))
        if fields.pop("publish"):
            version = catalog.create_plan(at=timezone.now(), **fields)
        else:
            version = catalog.draft_plan(**fields)
        return Response(self.get_serializer(version).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=NewVersionSerializer, responses=PlanSerializer)
    def partial_update(self, request: Request, key: str) -> Response:
        """Publish the plan's next version, or draft it: the current one with what is sent."""
        plan = self.get_object().plan
        fields = parsed(NewVersionSerializer(data=request.data))
        if fields.pop("publish"):
            version = catalog.publish_new_version(plan=plan, at=timezone.now(), **fields)
        else:
            version = catalog.draft_version(plan=plan, **fields)
        return Response(self.get_serializer(version).data)


class PlanVersionViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[PlanVersion]
):
    """A plan's versions, the newest first. Operators see drafts too, and change and publish them."""

    read_scope = Scope.BILLING_READ
    queryset = PlanVersion.objects.none()
    serializer_class = PlanSerializer
    lookup_field = "number"
    lookup_value_regex = "[0-9]{1,9}"

    @override
    def get_queryset(self) -> QuerySet[PlanVersion]:
        versions = visible_versions(principal_of(self.request))
        return with_prices(versions.filter(plan__key=self.kwargs["key"]))

    @override
    def list(self, request: Request, key: str) -> Response:
        versions = self.get_queryset()
        if not versions.exists():
            raise Http404
        page = self.paginate_queryset(versions)
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(request=PlanVersionChangeSerializer, responses=PlanSerializer)
    def partial_update(self, request: Request, key: str, number: str) -> Response:
        """Change a draft."""
        version = self.get_object()
        fields = parsed(PlanVersionChangeSerializer(data=request.data))
        return self.answer(catalog.change_draft(version=version, **fields))

    def destroy(self, request: Request, key: str, number: str) -> Response:
        """Delete a draft."""
        catalog.drop_draft(version=self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses=PlanSerializer)
    @action(detail=True, methods=["post"])
    def publish(self, request: Request, key: str, number: str) -> Response:
        """Publish a draft: new subscriptions get it, and it never changes again."""
        return self.answer(catalog.publish_draft(version=self.get_object(), at=timezone.now()))

    def answer(self, version: PlanVersion) -> Response:
        return Response(self.get_serializer(version).data)


def parsed(serializer: StrictSerializer) -> dict[str, Any]:
    serializer.is_valid(raise_exception=True)
    fields: dict[str, Any] = serializer.validated_data
    return fields
