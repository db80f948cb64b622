"""What lists can be narrowed down by."""

from django_filters.rest_framework import (
    BooleanFilter,
    CharFilter,
    ChoiceFilter,
    FilterSet,
    NumberFilter,
)

from billing.models import CreditNote, Invoice
from config.api import InstantFilter


class CustomerFilter(FilterSet):  # type: ignore[misc]  # django-filter has no types
    customer = CharFilter(field_name="customer__key", help_text="The key of a customer.")


class SubscriptionFilter(CustomerFilter):
    plan = CharFilter(field_name="plan_version__plan__key", help_text="The key of a plan.")
    has_end = BooleanFilter(field_name="end_at", lookup_expr="isnull", exclude=True)


class InvoiceFilter(CustomerFilter):
    status = ChoiceFilter(choices=Invoice.Status.choices)
    subscription = NumberFilter(field_name="subscription")
    issued_from = InstantFilter(field_name="issued_at", lookup_expr="gte")
    issued_before = InstantFilter(field_name="issued_at", lookup_expr="lt")


class CreditNoteFilter(CustomerFilter):
    invoice = CharFilter(field_name="invoice__number", help_text="The number of an invoice.")
    reason = ChoiceFilter(choices=CreditNote.Reason.choices)
    issued_from = InstantFilter(field_name="issued_at", lookup_expr="gte")
    issued_before = InstantFilter(field_name="issued_at", lookup_expr="lt")
