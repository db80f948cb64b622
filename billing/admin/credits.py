"""Credits: granted, and what is left taken back, here; applied when invoices are issued."""

from __future__ import annotations

from typing import Any, override

from django import forms
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from billing.admin import words
from billing.models import CreditEntry, CreditGrant
from billing.services.credits import grant_credit, void_credit_grant
from config.admin import (
    AutocompleteSelectFilter,
    ChoicesDropdownFilter,
    DayRangeFilter,
    ReadOnlyInline,
    ServiceAdmin,
    detail_action,
    display,
    register,
)


class EntryInline(ReadOnlyInline[CreditEntry, CreditGrant]):
    model = CreditEntry
    fields = ("at", "kind", "sum", "invoice")
    tab = False

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[CreditEntry]:
        return super().get_queryset(request).select_related("grant", "invoice__customer")

    @display(description="Amount")
    def sum(self, entry: CreditEntry) -> str:
        return words.money(entry.amount, entry.grant.currency)


class CreditGrantForm(forms.ModelForm[CreditGrant]):
    class Meta:
        model = CreditGrant
        fields = ("customer", "name")


@register(CreditGrant)
class CreditGrantAdmin(ServiceAdmin[CreditGrant]):
    """Grants never change. What became of them is in the ledger below."""

    form = CreditGrantForm
    can_change = False
    list_display = ("name", "customer", "kind", "granted", "left", "priority", "expires_at")
    list_filter = (
        ("kind", ChoicesDropdownFilter),
        ("customer", AutocompleteSelectFilter),
        ("expires_at", DayRangeFilter),
    )
    list_select_related = ("customer",)
    search_fields = ("name", "customer__key", "customer__name")
    autocomplete_fields = ("customer",)
    inlines = (EntryInline,)
    add_fieldsets = (
        (None, {"fields": ("customer", "name", "kind")}),
        ("Money", {"fields": (("amount", "currency"), "cost_basis")}),
        ("Use", {"fields": ("priority", "prices", ("effective_at", "expires_at"))}),
        ("When it expires", {"fields": (("rollover_amount", "rollover_months"),)}),
    )
    fields = (
        "customer",
        "name",
        "kind",
        "granted",
        "left",
        "cost_basis",
        "priority",
        "prices",
        "effective_at",
        "expires_at",
        "rollover_amount",
        "rollover_months",
        "rolled_over_from",
        "created_at",
    )
    readonly_fields = ("granted", "left")
    actions_detail = ("void",)

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[CreditGrant]:
        return super().get_queryset(request).with_balance()  # type: ignore[attr-defined,no-any-return]

    @override
    def create_row(self, request: HttpRequest, values: dict[str, Any]) -> CreditGrant:
        return grant_credit(at=timezone.now(), **values)

    @detail_action(
        "Take back",
        "What is left of the grant is taken back. What invoices were paid with stays paid.",
        icon="block",
        tone="danger",
        offered=lambda grant: getattr(grant, "balance", 1) > 0,
    )
    def void(self, request: HttpRequest, grant: CreditGrant, values: dict[str, Any]) -> str:
        void_credit_grant(grant=grant, at=timezone.now())
        return f"Nothing is left of {grant}."

    @display(description="Granted", ordering="amount")
    def granted(self, grant: CreditGrant) -> str:
        return words.money(grant.amount, grant.currency)

    @display(description="Left", ordering="balance")
    def left(self, grant: CreditGrant) -> str:
        return words.money(getattr(grant, "balance", grant.amount), grant.currency)
