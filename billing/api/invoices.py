"""Invoices over HTTP: parse, call one service, render."""

from typing import override

from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from billing.api.explanations import (
    EventsOfLineSerializer,
    EventsQuestionSerializer,
    ExplanationSerializer,
    events_answer,
    explanation_answer,
)
from billing.api.filters import InvoiceFilter
from billing.api.renderers import PdfRenderer
from billing.api.serializers import (
    InvoiceSerializer,
    NewInvoiceSerializer,
    PaidSerializer,
    PreviewSerializer,
)
from billing.models import Invoice
from billing.models.invoices import InvoiceQuerySet
from billing.selectors.invoices import visible_invoice, visible_invoices, with_details
from billing.selectors.previews import preview_for_customer
from billing.services import invoicing, one_off
from billing.services.pdfs import invoice_pdf
from config.pdf_files import MEDIA_TYPE, pdf_response
from customers.api.permissions import customer_for, principal_of
from customers.api.views import KEY_PATTERN
from customers.principals import Scope

PREVIEW_PARAMETERS = [
    OpenApiParameter(
        "customer", description="The key of a customer; a customer's key may omit it."
    ),
    OpenApiParameter("currency", description="Which one, if there are several."),
]


class InvoiceViewSet(mixins.ListModelMixin, GenericViewSet[Invoice]):
    """What customers owe. An issued invoice never changes; drafts are seen by operators alone."""

    read_scope = Scope.BILLING_READ
    queryset = Invoice.objects.none()
    serializer_class = InvoiceSerializer
    filterset_class = InvoiceFilter
    lookup_field = "number"
    lookup_value_regex = KEY_PATTERN

    @override
    def get_queryset(self) -> InvoiceQuerySet:
        return with_details(visible_invoices(principal_of(self.request)))

    @override
    def get_object(self) -> Invoice:
        return visible_invoice(principal_of(self.request), self.kwargs["number"])

    def retrieve(self, request: Request, number: str) -> Response:
        """Return an invoice by its number, or by its id while it is a draft."""
        return self.answer(self.get_object())

    @extend_schema(request=NewInvoiceSerializer, responses={201: InvoiceSerializer})
    def create(self, request: Request) -> Response:
        """Bill something by hand, once: a draft, or an issued invoice at once."""
        serializer = NewInvoiceSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        wish = serializer.validated_data
        invoice = one_off.create_one_off_invoice(
            customer=wish["customer"],
            lines=[one_off.OneOffLine(**line) for line in wish["lines"]],
            at=timezone.now(),
            finalizes=wish["finalize"],
        )
        return Response(self.get_serializer(invoice).data, status=status.HTTP_201_CREATED)

    @extend_schema(parameters=PREVIEW_PARAMETERS, responses=PreviewSerializer)
    @action(detail=False, pagination_class=None)
    def preview(self, request: Request) -> Response:
        """Return the invoice there would be if the current period ended now."""
        customer = customer_for(principal_of(request), request.query_params.get("customer"))
        currency = request.query_params.get("currency")
        statement = preview_for_customer(customer, timezone.now(), currency)
        return Response(PreviewSerializer(statement).data)

    @extend_schema(responses=ExplanationSerializer)
    @action(detail=True, filterset_class=None)
    def explain(self, request: Request, number: str) -> Response:
        """Return how each line of an issued invoice came about, down to usage by day.

        Everything is as of the invoice's cut-off: what came in or was corrected later is not in it.
        """
        return Response(explanation_answer(self.get_object(), request))

    @extend_schema(parameters=[EventsQuestionSerializer], responses=EventsOfLineSerializer)
    @action(
        detail=True,
        url_path="explain/events",
        url_name="explain-events",
        pagination_class=None,
        filterset_class=None,
    )
    def explain_events(self, request: Request, number: str) -> Response:
        """Return the raw events that a line counted, newest first."""
        return Response(events_answer(self.get_object(), request))

    @extend_schema(responses={(200, MEDIA_TYPE): OpenApiTypes.BINARY})
    @action(detail=True, filterset_class=None, renderer_classes=[JSONRenderer, PdfRenderer])
    def pdf(self, request: Request, number: str) -> HttpResponse:
        """Return an issued invoice as a PDF document, the same bytes for ever."""
        invoice = self.get_object()
        stored = invoice_pdf(invoice=invoice, at=timezone.now())
        return pdf_response(f"{invoice.number}.pdf", bytes(stored.content))

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def finalize(self, request: Request, number: str) -> Response:
        """Issue a draft now, without waiting for the end of its grace."""
        return self.answer(invoicing.finalize_invoice(invoice=self.get_object(), at=timezone.now()))

    @extend_schema(request=None, responses={200: InvoiceSerializer, 202: InvoiceSerializer})
    @action(detail=True, methods=["post"])
    def void(self, request: Request, number: str) -> Response:
        """Declare that nothing is owed on an issued invoice.

        One that is at Stripe is voided there first: the answer is 202 until it is.
        """
        voided = invoicing.void_invoice(invoice=self.get_object(), at=timezone.now())
        return self.answer_when(voided, Invoice.Status.VOID)

    @extend_schema(
        request=PaidSerializer, responses={200: InvoiceSerializer, 202: InvoiceSerializer}
    )
    @action(detail=True, methods=["post"])
    def paid(self, request: Request, number: str) -> Response:
        """Record that all that is owed came in another way than through Stripe.

        One that is at Stripe is marked there first: the answer is 202 until it is.
        """
        invoice = self.get_object()
        serializer = PaidSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        done = invoicing.mark_paid(invoice=invoice, at=timezone.now(), **serializer.validated_data)
        return self.answer_when(done, Invoice.Status.PAID)

    @extend_schema(request=None, responses={201: InvoiceSerializer})
    @action(detail=True, methods=["post"])
    def reissue(self, request: Request, number: str) -> Response:
        """Bill again what a void invoice billed, in a new draft with what is right now."""
        draft = invoicing.reissue_invoice(invoice=self.get_object(), at=timezone.now())
        return Response(self.get_serializer(draft).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=None, responses={200: InvoiceSerializer, 202: InvoiceSerializer})
    @action(detail=True, methods=["post"])
    def uncollectible(self, request: Request, number: str) -> Response:
        """Give up on an open invoice, at Stripe too: the answer is 202 until it is so there."""
        given_up = invoicing.mark_uncollectible(invoice=self.get_object(), at=timezone.now())
        return self.answer_when(given_up, Invoice.Status.UNCOLLECTIBLE)

    @extend_schema(request=None, responses={202: InvoiceSerializer})
    @action(detail=True, methods=["post"])
    def push(self, request: Request, number: str) -> Response:
        """Have an issued invoice brought to Stripe, from wherever it stopped."""
        invoice = self.get_object()
        invoicing.queue_push(invoice=invoice)
        return Response(self.get_serializer(invoice).data, status=status.HTTP_202_ACCEPTED)

    def answer(self, invoice: Invoice) -> Response:
        return Response(self.get_serializer(invoice).data)

    def answer_when(self, invoice: Invoice, wanted: str) -> Response:
        """Answer with the invoice; with 202 while Stripe still has to do what was wanted."""
        code = status.HTTP_200_OK if invoice.status == wanted else status.HTTP_202_ACCEPTED
        return Response(self.get_serializer(invoice).data, status=code)
