"""Dunning: who has been flagged for invoices that are long overdue, and what came of it."""

from __future__ import annotations

from typing import Any, override

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString

from billing.admin import words
from billing.models import DunningCase
from billing.selectors.dunning import overdue_invoices
from billing.services.dunning import settle_dunning
from config.admin import (
    AutocompleteSelectFilter,
    DayRangeFilter,
    ReadOnlyAdmin,
    SimpleListFilter,
    badge,
    detail_action,
    display,
    link_to,
    linked,
    register,
)


class StateFilter(SimpleListFilter):
    title = "state"
    parameter_name = "state"

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("running", "Running"), ("suspended", "Keys suspended"), ("closed", "Over")]

    @override
    def queryset(
        self, request: HttpRequest, queryset: QuerySet[DunningCase]
    ) -> QuerySet[DunningCase]:
        match self.value():
            case "running":
                return queryset.filter(closed_at=None)
            case "suspended":
                return queryset.filter(closed_at=None, customer__suspended_at__isnull=False)
            case "closed":
                return queryset.exclude(closed_at=None)
        return queryset


@register(DunningCase)
class DunningCaseAdmin(ReadOnlyAdmin[DunningCase]):
    list_display = ("customer", "state", "overdue_since", "opened_at", "suspended_at", "closed_at")
    list_filter = (
        StateFilter,
        ("customer", AutocompleteSelectFilter),
        ("opened_at", DayRangeFilter),
    )
    list_select_related = ("customer",)
    search_fields = ("customer__key", "customer__name")
    date_hierarchy = "opened_at"
    fields = (
        "customer_link",
        "state",
        "overdue_since",
        "opened_at",
        "suspended_at",
        "restored_at",
        "closed_at",
        "invoices",
    )
    readonly_fields = ("customer_link", "state", "invoices")
    actions_detail = ("look",)
    customer_link = linked("customer")

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[DunningCase]:
        return super().get_queryset(request).select_related("customer")

    @detail_action(
        "Look again",
        "What the next nightly run would do for this customer is done now: keys come back if "
        'enough was paid. To leave a customer alone whatever is overdue, clear "Dunning" on the '
        "customer's page first.",
        icon="refresh",
        tone="primary",
        offered=lambda case: case.closed_at is None,
    )
    def look(self, request: HttpRequest, case: DunningCase, values: dict[str, Any]) -> str:
        still = settle_dunning(customer_ids=[case.customer_id], at=timezone.now())
        return "It is still overdue." if still else "Nothing is long overdue any more."

    @display(description="State")
    def state(self, case: DunningCase) -> str:
        if case.closed_at is not None:
            return badge("over", "success")
        is_suspended = case.customer.suspended_at is not None
        return badge("keys suspended", "danger") if is_suspended else badge("flagged", "warning")

    @display(description="Overdue now")
    def invoices(self, case: DunningCase) -> SafeString | str:
        rows = [
            link_to(invoice, f"{invoice}: {words.money(invoice.amount_due, invoice.currency)}")
            for invoice in overdue_invoices(case.customer, timezone.now())
        ]
        return words.lines_of(rows) or "Nothing"
