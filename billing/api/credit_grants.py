"""Credits over HTTP: parse, call one service, render."""

from decimal import Decimal
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.coupons import MoneyField
from billing.api.filters import CustomerFilter
from billing.api.serializers import ExactField
from billing.models import CreditEntry, CreditGrant
from billing.selectors.credits import credit_balances
from billing.selectors.previews import pending_credits
from billing.services import credits
from config.api import InstantField, KeyField, StrictSerializer
from customers.api.permissions import customer_for, principal_of
from customers.api.serializers import PercentField
from customers.api.views import ID_PATTERN, CustomerOwnedViewSet
from customers.models import Customer


class RateField(PercentField):
    """What was paid for one unit, as a string without superfluous zeros."""


class CreditEntrySerializer(serializers.ModelSerializer[CreditEntry]):
    """A line of the ledger; `amount` is below zero for what went out."""

    amount = ExactField()
    invoice = serializers.CharField(source="invoice.number", default=None, allow_null=True)

    class Meta:
        model = CreditEntry
        fields = ["id", "kind", "amount", "invoice", "at"]


class CreditGrantSerializer(StrictSerializer, serializers.ModelSerializer[CreditGrant]):
    customer = KeyField(Customer.objects.all())
    amount = MoneyField(max_digits=20, decimal_places=4)
    cost_basis = RateField(
        max_digits=12, decimal_places=6, min_value=Decimal(0), required=False, allow_null=True
    )
    effective_at = InstantField(required=False)
    expires_at = InstantField(required=False, allow_null=True)
    rollover_amount = MoneyField(
        max_digits=20, decimal_places=4, min_value=Decimal(0), required=False, allow_null=True
    )
    rolled_over_from = serializers.PrimaryKeyRelatedField[CreditGrant](read_only=True)
    balance = ExactField(read_only=True)
    entries = CreditEntrySerializer(many=True, read_only=True)

    class Meta:
        model = CreditGrant
        fields = [
            "id",
            "customer",
            "name",
            "kind",
            "currency",
            "amount",
            "balance",
            "cost_basis",
            "priority",
            "prices",
            "effective_at",
            "expires_at",
            "rollover_amount",
            "rollover_months",
            "rolled_over_from",
            "created_at",
            "entries",
        ]
        extra_kwargs: dict[str, dict[str, Any]] = {"currency": {"required": False}}


class CreditBalanceSerializer(serializers.Serializer[Any]):
    """`pending` is what drafts and the invoices of the running periods would take now."""

    currency = serializers.CharField()
    balance = ExactField()
    paid = ExactField()
    promotional = ExactField()
    pending = ExactField()
    available = ExactField()


class CreditGrantViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, CustomerOwnedViewSet[CreditGrant]
):
    """Money that pays invoices when they are issued. Grants never change; they can be voided."""

    queryset = (
        CreditGrant.objects.with_balance()
        .select_related("customer")
        .prefetch_related("entries__invoice")
    )
    serializer_class = CreditGrantSerializer
    filterset_class = CustomerFilter
    lookup_value_regex = ID_PATTERN

    def create(self, request: Request) -> Response:
        """Give a customer credit; a top-up is another grant."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        grant = credits.grant_credit(at=timezone.now(), **serializer.validated_data)
        return self.answer(grant.pk, status.HTTP_201_CREATED)

    @extend_schema(request=None, responses=CreditGrantSerializer)
    @action(detail=True, methods=["post"])
    def void(self, request: Request, pk: str) -> Response:
        """Take back what is left."""
        credits.void_credit_grant(grant=self.get_object(), at=timezone.now())
        return self.answer(int(pk))

    @extend_schema(
        parameters=[OpenApiParameter("customer", description="The key of a customer.")],
        responses=CreditBalanceSerializer(many=True),
    )
    @action(detail=False, pagination_class=None, filterset_class=None)
    def balance(self, request: Request) -> Response:
        """Return what a customer has now, by currency, and what open usage will take of it."""
        customer = customer_for(principal_of(request), request.query_params.get("customer"))
        now = timezone.now()
        found = credit_balances(customer, now, pending_credits(customer, now))
        return Response(CreditBalanceSerializer(found, many=True).data)

    def answer(self, pk: int, code: int = status.HTTP_200_OK) -> Response:
        shown = self.get_queryset().get(pk=pk)
        return Response(self.get_serializer(shown).data, status=code)
