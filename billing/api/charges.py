"""Charges that wait for the next invoice, over HTTP: parse, call one service, render."""

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.filters import CustomerFilter
from billing.api.serializers import ExactField, NewLineSerializer, PlainField
from billing.models import Invoice, OneOffCharge
from billing.services import one_off
from config.api import KeyField
from customers.api.views import ID_PATTERN, CustomerOwnedViewSet
from customers.models import Customer


class NewChargeSerializer(NewLineSerializer):
    customer = KeyField(Customer.objects.all())


class InvoiceOfChargeSerializer(serializers.Serializer[Invoice]):
    id = serializers.IntegerField()
    number = serializers.CharField(allow_null=True, help_text="Null while it is a draft.")
    status = serializers.ChoiceField(choices=Invoice.Status.choices)


class ChargeSerializer(serializers.ModelSerializer[OneOffCharge]):
    customer = serializers.CharField(source="customer.key")
    quantity = PlainField()
    unit_amount = PlainField()
    amount = ExactField()
    status = serializers.ChoiceField(choices=OneOffCharge.Status.choices)
    invoice = InvoiceOfChargeSerializer(
        allow_null=True, help_text="The invoice it is on; it may still be a draft."
    )

    class Meta:
        model = OneOffCharge
        fields = [
            "id",
            "customer",
            "description",
            "quantity",
            "unit_amount",
            "amount",
            "currency",
            "status",
            "invoice",
            "created_at",
            "canceled_at",
        ]


class ChargeViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, CustomerOwnedViewSet[OneOffCharge]
):
    """What is billed once, with the customer's next invoice; until then it can be canceled."""

    queryset = OneOffCharge.objects.with_invoices()
    serializer_class = ChargeSerializer
    filterset_class = CustomerFilter
    lookup_value_regex = ID_PATTERN

    @extend_schema(request=NewChargeSerializer, responses={201: ChargeSerializer})
    def create(self, request: Request) -> Response:
        """Have something billed with the customer's next invoice, or soon if none will come."""
        serializer = NewChargeSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        charge = one_off.create_charge(at=timezone.now(), **serializer.validated_data)
        return self.answer(charge.pk, status.HTTP_201_CREATED)

    @extend_schema(request=None, responses=ChargeSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """Take a charge back before it is billed."""
        one_off.cancel_charge(charge=self.get_object(), at=timezone.now())
        return self.answer(int(pk))

    def answer(self, pk: int, code: int = status.HTTP_200_OK) -> Response:
        shown = self.get_queryset().get(pk=pk)
        return Response(self.get_serializer(shown).data, status=code)
