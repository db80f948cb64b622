"""Subscriptions: started, and ended by cancelling."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, override

from django import forms
from django.http import HttpRequest
from django.utils import timezone

from billing.admin import words
from billing.models import Coupon, Plan, Subscription
from billing.selectors.statements import preview_invoice
from billing.services.subscriptions import cancel_subscription, create_subscription
from config.admin import (
    AutocompleteSelectFilter,
    DayRangeFilter,
    ServiceAdmin,
    StyledForm,
    badge,
    detail_action,
    display,
    link_to,
    register,
    style,
)


class SubscriptionForm(forms.ModelForm[Subscription]):
    plan = forms.ModelChoiceField(
        Plan.objects.all(), help_text="The customer gets its current version."
    )

    coupons = forms.ModelMultipleChoiceField(
        Coupon.objects.filter(is_active=True),
        required=False,
        help_text="They are taken off in the order of their keys.",
    )

    class Meta:
        model = Subscription
        fields = ("customer", "start_at")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "plan" in self.fields:
            style(self.fields["plan"])
        if "coupons" in self.fields:
            style(self.fields["coupons"])


class CancelForm(StyledForm):
    """When a subscription is to end."""

    end = forms.ChoiceField(
        label="It ends",
        choices=[
            ("period_end", "with the current billing period"),
            ("now", "now"),
            ("at", "at the time below"),
        ],
    )
    at = forms.SplitDateTimeField(label="Time (UTC)", required=False)

    @override
    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if values.get("end") == "at" and not values.get("at"):
            self.add_error("at", "Say when it ends.")
        return values

    @staticmethod
    def end_at(values: dict[str, Any]) -> datetime | Literal["period_end"] | None:
        """Return the wish as the service takes it."""
        if values["end"] == "at":
            instant: datetime = values["at"]
            return instant
        return "period_end" if values["end"] == "period_end" else None


@register(Subscription)
class SubscriptionAdmin(ServiceAdmin[Subscription]):
    form = SubscriptionForm
    can_change = False
    list_display = ("customer", "plan_version", "state", "start_at", "end_at")
    list_filter = (
        ("customer", AutocompleteSelectFilter),
        ("plan_version__plan", AutocompleteSelectFilter),
        ("start_at", DayRangeFilter),
        ("end_at", DayRangeFilter),
    )
    list_select_related = ("customer", "plan_version__plan")
    search_fields = ("customer__key", "customer__name", "plan_version__plan__key")
    autocomplete_fields = ("customer",)
    add_fieldsets = ((None, {"fields": ("customer", "plan", "start_at", "coupons")}),)
    fields = (
        "customer_link",
        "version_link",
        "state",
        "start_at",
        "end_at",
        "canceled_at",
        "coupon_list",
        "prices",
        "so_far",
    )
    readonly_fields = ("customer_link", "version_link", "state", "coupon_list", "prices", "so_far")
    actions_detail = ("cancel",)

    @override
    def create_row(self, request: HttpRequest, values: dict[str, Any]) -> Subscription:
        return create_subscription(**values)

    @detail_action(
        "Cancel subscription",
        "What was used until the end is still invoiced. Fees of the last period are prorated.",
        icon="event_busy",
        tone="danger",
        form=CancelForm,
        offered=lambda row: row.end_at is None or row.end_at > timezone.now(),
    )
    def cancel(self, request: HttpRequest, row: Subscription, values: dict[str, Any]) -> str:
        ended = cancel_subscription(
            subscription=row, at=timezone.now(), end_at=CancelForm.end_at(values)
        )
        return f"{row} ends at {ended.end_at:%Y-%m-%d %H:%M} UTC."

    @display(description="State")
    def state(self, row: Subscription) -> str:
        now = timezone.now()
        if row.start_at > now:
            return badge("not started", "info")
        if not row.is_active(now):
            return badge("ended")
        return badge("ends", "warning") if row.end_at else badge("active", "success")

    @display(description="Customer")
    def customer_link(self, row: Subscription) -> str:
        return link_to(row.customer)

    @display(description="Plan")
    def version_link(self, row: Subscription) -> str:
        return link_to(row.plan_version)

    @display(description="Coupons")
    def coupon_list(self, row: Subscription) -> str:
        return ", ".join(coupon.key for coupon in row.coupons) or "-"

    @display(description="Prices")
    def prices(self, row: Subscription) -> str:
        return words.price_list(row.plan_version)

    @display(description="This period so far")
    def so_far(self, row: Subscription) -> str:
        now = timezone.now()
        if not row.is_active(now):
            return "-"
        preview = preview_invoice(row, now)
        lines = [
            f"{line.description}: {words.money(line.amount, preview.currency)}"
            for line in preview.lines
        ]
        total = words.money(preview.total, preview.currency)
        return words.lines_of([*lines, f"Total: {total}"])
