"""Charges that wait for the next invoice: asked for, and taken back while they wait, here."""

from __future__ import annotations

from typing import Any, override

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString

from billing.admin import words
from billing.models import OneOffCharge
from billing.services.one_off import cancel_charge, create_charge
from config.admin import (
    AutocompleteSelectFilter,
    DayRangeFilter,
    ServiceAdmin,
    Tone,
    badge,
    detail_action,
    display,
    link_to,
    register,
)

TONES: dict[str, Tone] = {
    OneOffCharge.Status.WAITING: "info",
    OneOffCharge.Status.BILLED: "success",
    OneOffCharge.Status.CANCELED: "default",
}


@register(OneOffCharge)
class OneOffChargeAdmin(ServiceAdmin[OneOffCharge]):
    """A charge never changes; until it is billed it can be canceled."""

    can_change = False
    list_display = ("description", "customer", "sum", "state", "on", "created_at")
    list_filter = (
        ("customer", AutocompleteSelectFilter),
        ("created_at", DayRangeFilter),
    )
    search_fields = ("description", "customer__key", "customer__name")
    autocomplete_fields = ("customer",)
    add_fieldsets = ((None, {"fields": ("customer", "description", ("quantity", "unit_amount"))}),)
    fields = (
        "customer",
        "description",
        "quantity",
        "unit_amount",
        "sum",
        "state",
        "on",
        "created_at",
        "canceled_at",
    )
    readonly_fields = ("sum", "state", "on")
    actions_detail = ("cancel",)

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[OneOffCharge]:
        charges = super().get_queryset(request).select_related("customer")
        return charges.prefetch_related("lines__invoice__customer")

    @override
    def create_row(self, request: HttpRequest, values: dict[str, Any]) -> OneOffCharge:
        return create_charge(at=timezone.now(), **values)

    @detail_action(
        "Cancel",
        "The charge is taken back and will be on no invoice.",
        icon="block",
        tone="danger",
        offered=lambda charge: charge.status == OneOffCharge.Status.WAITING,
    )
    def cancel(self, request: HttpRequest, charge: OneOffCharge, values: dict[str, Any]) -> str:
        cancel_charge(charge=charge, at=timezone.now())
        return f"{charge} is canceled."

    @display(description="Amount")
    def sum(self, charge: OneOffCharge) -> str:
        return words.money(charge.amount, charge.currency)

    @display(description="Status")
    def state(self, charge: OneOffCharge) -> SafeString:
        return badge(charge.status.label, TONES[charge.status])

    @display(description="Invoice")
    def on(self, charge: OneOffCharge) -> str:
        return "-" if charge.invoice is None else link_to(charge.invoice)
