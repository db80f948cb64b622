"""Subscriptions: started, changed, paused, ended, and their history."""

from __future__ import annotations

from typing import Any, override

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from billing.admin import words
from billing.admin.subscription_forms import (
    CancelForm,
    CouponRemovalForm,
    PlanChangeForm,
    QuantitiesForm,
    RedeemForm,
    SubscriptionForm,
    WhenForm,
    WithdrawForm,
    current_phase,
    planned_changes,
)
from billing.models import (
    Subscription,
    SubscriptionChange,
    SubscriptionPeriod,
    SubscriptionPhase,
)
from billing.selectors.previews import preview_invoice
from billing.services.coupons import redeem_coupon, remove_coupon
from billing.services.subscriptions import (
    cancel_subscription,
    change_subscription,
    create_subscription,
    pause_subscription,
    resume_subscription,
    withdraw_change,
)
from config.admin import (
    AutocompleteSelectFilter,
    DayRangeFilter,
    ReadOnlyInline,
    ServiceAdmin,
    badge,
    detail_action,
    display,
    link_to,
    linked,
    register,
)


class PhaseInline(ReadOnlyInline[SubscriptionPhase, Subscription]):
    """What holds from when until when."""

    model = SubscriptionPhase
    verbose_name_plural = "phases"
    ordering = ("-start_at",)
    fields = ("terms", "state", "units", "start_at", "end_at")
    per_page = 12

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[SubscriptionPhase]:
        return super().get_queryset(request).select_related("plan_version__plan")

    @display(description="Plan")
    def terms(self, phase: SubscriptionPhase) -> str:
        return link_to(phase.plan_version)

    @display(description="Units")
    def units(self, phase: SubscriptionPhase) -> str:
        return words.units(phase.quantities)


class ChangeInline(ReadOnlyInline[SubscriptionChange, Subscription]):
    """The history: what was asked for, when, and from when it holds."""

    model = SubscriptionChange
    verbose_name_plural = "history"
    ordering = ("-requested_at", "-pk")
    fields = ("what", "requested_at", "effective_at", "withdrawn_at")
    per_page = 12

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[SubscriptionChange]:
        return super().get_queryset(request).select_related("plan_version__plan")

    @display(description="What")
    def what(self, change: SubscriptionChange) -> str:
        to = [str(change.plan_version)] if change.plan_version else []
        units = [words.units(change.quantities)] if change.quantities else []
        return ": ".join([change.get_kind_display(), ", ".join([*to, *units])]).removesuffix(": ")


class PeriodInline(ReadOnlyInline[SubscriptionPeriod, Subscription]):
    """Its billing periods that have begun and been looked at."""

    model = SubscriptionPeriod
    verbose_name_plural = "billing periods"
    ordering = ("-period_start",)
    fields = ("time", "closed_at", "is_stale")
    per_page = 12

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[SubscriptionPeriod]:
        return super().get_queryset(request).select_related("subscription__customer")

    @display(description="Period")
    def time(self, period: SubscriptionPeriod) -> str:
        customer = period.subscription.customer
        return words.span(period.period_start, period.period_end, customer)


def runs_on(row: Subscription) -> bool:
    return row.end_at is None or row.end_at > timezone.now()


def is_paused(row: Subscription) -> bool:
    phase = current_phase(row)
    return phase is not None and phase.state == SubscriptionPhase.State.PAUSED


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
    inlines = (PhaseInline, ChangeInline, PeriodInline)
    add_fieldsets = (
        (None, {"fields": ("customer", "plan", "quantities")}),
        ("When", {"fields": ("start_at", ("anchor", "trial_days"))}),
        ("Discounts", {"fields": ("coupons",)}),
    )
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
    actions_detail = (
        "change_plan",
        "change_quantities",
        "pause",
        "resume",
        "withdraw",
        "redeem",
        "remove",
        "cancel",
    )
    customer_link = linked("customer")

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Subscription]:
        return super().get_queryset(request).prefetch_related("phases", "redemptions__coupon")

    @override
    def create_row(self, request: HttpRequest, values: dict[str, Any]) -> Subscription:
        return create_subscription(at=timezone.now(), **values)

    @detail_action(
        "Change plan",
        "What was used until then is priced as it was; prepaid fees for the time after are given back.",
        icon="swap_horiz",
        form=PlanChangeForm,
        offered=runs_on,
    )
    def change_plan(self, request: HttpRequest, row: Subscription, values: dict[str, Any]) -> str:
        change_subscription(
            subscription=row,
            at=timezone.now(),
            plan=values["plan"],
            quantities=values["quantities"],
            effective_at=WhenForm.wish(values),
        )
        return f"The change to {values['plan']} is noted."

    @detail_action(
        "Change quantities",
        "Units are charged for the days they are held, as their price says.",
        icon="exposure",
        form=QuantitiesForm,
        offered=lambda row: runs_on(row) and bool(getattr(current_phase(row), "quantities", None)),
    )
    def change_quantities(
        self, request: HttpRequest, row: Subscription, values: dict[str, Any]
    ) -> str:
        change_subscription(
            subscription=row,
            at=timezone.now(),
            quantities=values["quantities"],
            effective_at=WhenForm.wish(values),
        )
        return f"Noted: {words.units(values['quantities'])}."

    @detail_action(
        "Pause",
        "Nothing is charged until it is resumed, usage meanwhile included; prepaid fees are given back.",
        icon="pause",
        form=WhenForm,
        offered=lambda row: runs_on(row) and not is_paused(row),
    )
    def pause(self, request: HttpRequest, row: Subscription, values: dict[str, Any]) -> str:
        wish = WhenForm.wish(values)
        pause_subscription(subscription=row, at=timezone.now(), effective_at=wish)
        return "The pause is noted."

    @detail_action(
        "Resume",
        "From then on it is charged again.",
        icon="play_arrow",
        form=WhenForm,
        offered=lambda row: runs_on(row) and is_paused(row),
    )
    def resume(self, request: HttpRequest, row: Subscription, values: dict[str, Any]) -> str:
        wish = WhenForm.wish(values)
        resume_subscription(subscription=row, at=timezone.now(), effective_at=wish)
        return "The end of the pause is noted."

    @detail_action(
        "Take back what is planned",
        "The change will not come to hold. It stays in the history.",
        icon="undo",
        form=WithdrawForm,
        offered=lambda row: planned_changes(row).exists(),
    )
    def withdraw(self, request: HttpRequest, row: Subscription, values: dict[str, Any]) -> str:
        change = values["change"]
        withdraw_change(subscription=row, change_id=change.pk, at=timezone.now())
        return f"Taken back: {change}."

    @detail_action(
        "Redeem coupon",
        "Drafts follow at once. Issued documents stay as they are.",
        icon="sell",
        form=RedeemForm,
        offered=runs_on,
    )
    def redeem(self, request: HttpRequest, row: Subscription, values: dict[str, Any]) -> str:
        redeem_coupon(subscription=row, coupon=values["coupon"], at=timezone.now())
        return f"Coupon {values['coupon']} is taken off."

    @detail_action(
        "Remove coupon",
        "Nothing is taken off for it any more. Issued documents stay as they are.",
        icon="remove_circle",
        form=CouponRemovalForm,
        offered=lambda row: bool(row.coupons),
    )
    def remove(self, request: HttpRequest, row: Subscription, values: dict[str, Any]) -> str:
        remove_coupon(subscription=row, coupon=values["coupon"], at=timezone.now())
        return f"Coupon {values['coupon']} is removed."

    @detail_action(
        "Cancel subscription",
        "What was used until the end is still invoiced. Fees of the last period are prorated.",
        icon="event_busy",
        tone="danger",
        form=CancelForm,
        offered=runs_on,
    )
    def cancel(self, request: HttpRequest, row: Subscription, values: dict[str, Any]) -> str:
        ended = cancel_subscription(
            subscription=row, at=timezone.now(), end_at=WhenForm.wish(values)
        )
        return f"{row} ends at {ended.end_at:%Y-%m-%d %H:%M} UTC."

    @display(description="State")
    def state(self, row: Subscription) -> str:
        now = timezone.now()
        if row.start_at > now:
            return badge("not started", "info")
        if not row.is_active(now):
            return badge("ended")
        if is_paused(row):
            return badge("paused", "warning")
        return badge("ends", "warning") if row.end_at else badge("active", "success")

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
