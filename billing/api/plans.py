"""Plans and quotes over HTTP: parse, call one service, render."""

from typing import Any, override

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from billing.api.serializers import NewPlanSerializer, PlanSerializer
from billing.models import PlanVersion
from billing.selectors.catalog import current_versions
from billing.services import catalog, quotes
from customers.api.permissions import principal_of
from customers.api.views import KEY_PATTERN
from customers.principals import Scope


class PlanViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[PlanVersion]):
    """What is sold. Published prices never change: a change makes the plan's next version."""

    read_scope = Scope.BILLING_READ
    queryset = PlanVersion.objects.none()
    serializer_class = PlanSerializer
    lookup_field = "plan__key"
    lookup_url_kwarg = "key"
    lookup_value_regex = KEY_PATTERN

    @override
    def get_queryset(self) -> QuerySet[PlanVersion]:
        return current_versions(principal_of(self.request))

    @extend_schema(request=NewPlanSerializer, responses={201: PlanSerializer})
    def create(self, request: Request) -> Response:
        serializer = NewPlanSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        version = catalog.create_plan(at=timezone.now(), **serializer.validated_data)
        return Response(self.get_serializer(version).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=NewPlanSerializer, responses=PlanSerializer)
    def partial_update(self, request: Request, key: str) -> Response:
        """Publish the plan's next version: the current one with what is sent."""
        plan = self.get_object().plan
        serializer = NewPlanSerializer(data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        version = catalog.publish_new_version(
            plan=plan, at=timezone.now(), **serializer.validated_data
        )
        return Response(self.get_serializer(version).data)


class QuoteView(APIView):
    """What usage would cost: a quote document in, the lines and totals of its invoice out."""

    write_scope = Scope.BILLING_READ

    @extend_schema(request=OpenApiTypes.OBJECT, responses={200: OpenApiTypes.OBJECT})
    def post(self, request: Request) -> Response:
        """Price a quote document. Nothing is stored."""
        document: Any = request.data
        return Response(quotes.price_quote(document=document))
