"""Credit notes over HTTP: parse, call one service, render."""

from decimal import Decimal
from typing import Any, override

from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from billing.api.filters import CreditNoteFilter
from billing.api.renderers import PdfRenderer
from billing.api.serializers import ExactField, TaxSerializer
from billing.models import CreditNote, CreditNoteLine
from billing.models.credit_notes import CreditNoteQuerySet
from billing.selectors.credit_notes import visible_note, visible_notes
from billing.selectors.invoices import visible_invoice
from billing.services import crediting
from billing.services.credit_notes import NoteDraft, Settlement
from billing.services.crediting import CreditWish, LineWish
from billing.services.pdfs import credit_note_pdf
from config.api import OneOfField, StrictSerializer
from config.errors import InvalidInputError, NotFoundError
from config.pdf_files import MEDIA_TYPE, pdf_response
from customers.api.permissions import principal_of
from customers.api.views import KEY_PATTERN
from customers.principals import Scope

REASONS = [choice for choice in CreditNote.Reason if choice != CreditNote.Reason.ADJUSTMENT]


class LineWishSerializer(StrictSerializer):
    line = serializers.IntegerField(
        min_value=1, max_value=1_000_000, help_text="Which line of the invoice, counted from 1."
    )
    amount = serializers.DecimalField(
        max_digits=30,
        decimal_places=15,
        required=False,
        allow_null=True,
        help_text="Before tax; left out, all that is left of the line.",
    )


class NewCreditNoteSerializer(StrictSerializer):
    """Some lines, an amount with its tax, or neither of them for all that is left."""

    invoice = serializers.CharField(max_length=40, help_text="The number of an invoice.")
    lines = LineWishSerializer(many=True, required=False, allow_empty=False)
    amount = serializers.DecimalField(
        max_digits=30,
        decimal_places=15,
        required=False,
        allow_null=True,
        help_text="Tax included.",
    )
    reason = OneOfField(
        choices=[(each.value, each.label) for each in REASONS], default=CreditNote.Reason.GOODWILL
    )
    memo = serializers.CharField(
        max_length=500, required=False, allow_blank=True, help_text="Printed on the credit note."
    )
    settlement = OneOfField(
        choices=[each.value for each in Settlement],
        default=Settlement.CREDIT,
        help_text="What becomes of what was paid already: credit, a refund, or one that is made "
        "outside.",
    )


class RefundedSerializer(StrictSerializer):
    reference = serializers.CharField(
        max_length=200, required=False, allow_blank=True, help_text="Such as a bank reference."
    )


class CreditNoteLineSerializer(serializers.Serializer[CreditNoteLine]):
    line = serializers.SerializerMethodField(help_text="The line of the invoice, from 1.")
    kind = serializers.ChoiceField(choices=CreditNoteLine.Kind.choices)
    price = serializers.CharField()
    description = serializers.CharField()
    quantity = ExactField()
    amount = ExactField()
    discount = ExactField()
    period_start = serializers.DateTimeField()
    period_end = serializers.DateTimeField()
    steps = serializers.ListField(child=serializers.DictField())

    def get_line(self, line: CreditNoteLine) -> int | None:
        return None if line.invoice_line is None else line.invoice_line.position + 1


class CreditNoteBaseSerializer(serializers.Serializer[Any]):
    """What previews and issued credit notes have in common; amounts are positive."""

    subtotal = ExactField()
    discount = ExactField()
    tax = ExactField()
    total = ExactField()
    taxes = TaxSerializer(many=True)
    reason = serializers.ChoiceField(choices=CreditNote.Reason.choices)
    memo = serializers.CharField()
    taken_off_due = ExactField(help_text="What it takes off what is owed on the invoice.")
    refunded = ExactField(help_text="What goes back as money.")
    refund_through = serializers.ChoiceField(
        choices=["", *CreditNote.RefundThrough.values], help_text="How the money goes back."
    )
    granted = ExactField(help_text="What the customer has as credit.")


class CreditNotePreviewSerializer(CreditNoteBaseSerializer):
    """The credit note there would be; nothing is stored."""

    invoice = serializers.CharField(source="of.invoice.number")
    currency = serializers.CharField(source="of.invoice.currency")
    taken_off_due = ExactField(source="settled.taken_off_due")
    refunded = ExactField(source="settled.refunded")
    refund_through = serializers.ChoiceField(
        choices=["", *CreditNote.RefundThrough.values], source="settled.refund_through"
    )
    granted = ExactField(source="settled.granted")
    lines = CreditNoteLineSerializer(many=True)


class CreditNoteSerializer(CreditNoteBaseSerializer):
    id = serializers.IntegerField()
    number = serializers.CharField()
    status = serializers.ChoiceField(choices=CreditNote.Status.choices)
    customer = serializers.CharField(source="customer.key")
    invoice = serializers.CharField(source="invoice.number")
    currency = serializers.CharField()
    issued_at = serializers.DateTimeField()
    refunded_at = serializers.DateTimeField(
        allow_null=True, help_text="When the money went back, as far as it is known."
    )
    refund_reference = serializers.CharField()
    tax_note = serializers.CharField()
    digest = serializers.CharField(help_text="SHA-256 of its content.")
    lines = CreditNoteLineSerializer(many=True)


class CreditNoteViewSet(mixins.ListModelMixin, GenericViewSet[CreditNote]):
    """What was given back of invoices. A credit note never changes."""

    read_scope = Scope.BILLING_READ
    queryset = CreditNote.objects.none()
    serializer_class = CreditNoteSerializer
    filterset_class = CreditNoteFilter
    lookup_field = "number"
    lookup_value_regex = KEY_PATTERN

    @override
    def get_queryset(self) -> CreditNoteQuerySet:
        return visible_notes(principal_of(self.request))

    @override
    def get_object(self) -> CreditNote:
        return visible_note(principal_of(self.request), self.kwargs["number"])

    def retrieve(self, request: Request, number: str) -> Response:
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(request=NewCreditNoteSerializer, responses={201: CreditNoteSerializer})
    def create(self, request: Request) -> Response:
        """Give back an issued invoice, some of its lines, or an amount of it."""
        note = crediting.create_credit_note(wish=wish_of(request), at=timezone.now())
        return Response(
            self.get_serializer(visible_note(principal_of(request), str(note.number))).data,
            status=status.HTTP_201_CREATED,
        )

    @extend_schema(request=NewCreditNoteSerializer, responses=CreditNotePreviewSerializer)
    @action(detail=False, methods=["post"], pagination_class=None, filterset_class=None)
    def preview(self, request: Request) -> Response:
        """Return the credit note that the same request would issue now."""
        draft: NoteDraft = crediting.preview_credit_note(wish=wish_of(request))
        return Response(CreditNotePreviewSerializer(draft).data)

    @extend_schema(request=RefundedSerializer, responses=CreditNoteSerializer)
    @action(detail=True, methods=["post"])
    def refunded(self, request: Request, number: str) -> Response:
        """Note that the money of a credit note went back by hand."""
        serializer = RefundedSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        crediting.mark_refunded(
            credit_note=self.get_object(), at=timezone.now(), **serializer.validated_data
        )
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(responses={(200, MEDIA_TYPE): OpenApiTypes.BINARY})
    @action(detail=True, filterset_class=None, renderer_classes=[JSONRenderer, PdfRenderer])
    def pdf(self, request: Request, number: str) -> HttpResponse:
        """Return a credit note as a PDF document, the same bytes for ever."""
        note = self.get_object()
        stored = credit_note_pdf(credit_note=note, at=timezone.now())
        return pdf_response(f"{note.number}.pdf", bytes(stored.content))


def wish_of(request: Request) -> CreditWish:
    """Return what is asked for; an invoice that is not there is a wrong value of the request."""
    serializer = NewCreditNoteSerializer(data=request.data)
    serializer.is_valid(raise_exception=True)
    asked = serializer.validated_data
    try:
        invoice = visible_invoice(principal_of(request), asked["invoice"])
    except NotFoundError as error:
        raise InvalidInputError(error.message, field="invoice") from error
    amount: Decimal | None = asked.get("amount")
    return CreditWish(
        invoice=invoice,
        lines=[LineWish(each["line"], each.get("amount")) for each in asked.get("lines", ())],
        amount=amount,
        reason=asked["reason"],
        memo=asked.get("memo", ""),
        settlement=asked["settlement"],
    )
