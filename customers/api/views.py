"""Customers and API keys over HTTP: parse, call one service, render."""

from typing import Any, override

from django.db import models
from django.utils import timezone
from django_filters.rest_framework import CharFilter, FilterSet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from customers import services
from customers.api.permissions import principal_of
from customers.api.serializers import (
    ApiKeySerializer,
    CustomerSerializer,
    IssuedKeySerializer,
    TaxRateSerializer,
)
from customers.models import ApiKey, Customer, TaxRate
from customers.principals import Scope
from customers.selectors import charged_rates, prefetch_rates

# Keys hold dots and colons. The zero character is in none, and no database can look for it.
KEY_PATTERN = "[^/\\0]+"
ID_PATTERN = "[0-9]{1,18}"


class CustomerOwnedViewSet[M: models.Model](GenericViewSet[M]):
    """Rows that belong to customers: everybody else's are not found."""

    read_scope = Scope.BILLING_READ

    @override
    def get_queryset(self) -> Any:
        rows: Any = super().get_queryset()
        return rows.visible_to(principal_of(self.request))


class CustomerViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, CustomerOwnedViewSet[Customer]
):
    """Companies that are billed."""

    queryset = Customer.objects.prefetch_related("tax_rates")
    serializer_class = CustomerSerializer
    lookup_field = "key"
    lookup_value_regex = KEY_PATTERN

    @override
    def paginate_queryset(self, queryset: Any) -> Any:
        page = super().paginate_queryset(queryset)
        prefetch_rates(page or [])
        return page

    def create(self, request: Request) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        customer = services.create_customer(**serializer.validated_data)
        return Response(self.get_serializer(customer).data, status=status.HTTP_201_CREATED)

    def partial_update(self, request: Request, key: str) -> Response:
        customer = self.get_object()
        serializer = self.get_serializer(customer, data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        changed = services.update_customer(customer=customer, **serializer.validated_data)
        return Response(self.get_serializer(changed).data)


class TaxRateViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[TaxRate]):
    """Taxes that customers can be charged. A percent never changes: a new one is a new rate."""

    read_scope = Scope.BILLING_READ
    queryset = TaxRate.objects.all()
    serializer_class = TaxRateSerializer
    lookup_field = "key"
    lookup_value_regex = KEY_PATTERN

    @override
    def get_queryset(self) -> Any:
        principal = principal_of(self.request)
        rates = super().get_queryset()
        if principal.sees_all_customers:
            return rates
        customers = list(Customer.objects.visible_to(principal))
        prefetch_rates(customers)
        charged = {rate.pk for customer in customers for rate in charged_rates(customer)}
        return rates.filter(pk__in=charged)

    def create(self, request: Request) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        made = services.create_tax_rate(**serializer.validated_data)
        return Response(self.get_serializer(made).data, status=status.HTTP_201_CREATED)

    def partial_update(self, request: Request, key: str) -> Response:
        rate = self.get_object()
        serializer = self.get_serializer(rate, data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        changed = services.update_tax_rate(tax_rate=rate, **serializer.validated_data)
        return Response(self.get_serializer(changed).data)


class ApiKeyFilter(FilterSet):  # type: ignore[misc]  # django-filter has no types
    customer = CharFilter(field_name="customer__key")


class ApiKeyViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, CustomerOwnedViewSet[ApiKey]):
    """Credentials of programs. The secret is in the answer that makes the key, and nowhere else."""

    queryset = ApiKey.objects.select_related("customer")
    serializer_class = ApiKeySerializer
    filterset_class = ApiKeyFilter
    lookup_value_regex = ID_PATTERN

    @extend_schema(responses={201: IssuedKeySerializer})
    def create(self, request: Request) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        issued = services.create_api_key(at=timezone.now(), **serializer.validated_data)
        shown = self.get_serializer(issued.api_key).data
        response = Response(shown | {"secret": issued.secret}, status=status.HTTP_201_CREATED)
        # A repeated request learns that the key exists, not its secret: that is kept nowhere.
        response.remembered = shown | {"secret": None}  # type: ignore[attr-defined]
        return response

    def destroy(self, request: Request, pk: str) -> Response:
        services.revoke_api_key(api_key=self.get_object(), at=timezone.now())
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses=ApiKeySerializer)
    @action(detail=True, methods=["post"])
    def revoke(self, request: Request, pk: str) -> Response:
        """Stop a key at once and for good."""
        api_key = self.get_object()
        services.revoke_api_key(api_key=api_key, at=timezone.now())
        return Response(self.get_serializer(api_key).data)
