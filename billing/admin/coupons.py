"""Coupons: made and limited here, redeemed on subscriptions."""

from __future__ import annotations

from typing import Any, override

from django.db.models import Count, QuerySet
from django.http import HttpRequest

from billing.admin import words
from billing.models import Coupon, CouponRedemption
from billing.models.coupons import PROMISE
from billing.services import coupons
from config.admin import (
    ChoicesDropdownFilter,
    DayRangeFilter,
    ReadOnlyInline,
    ServiceAdmin,
    display,
    link_to,
    register,
)


class RedemptionInline(ReadOnlyInline[CouponRedemption, Coupon]):
    model = CouponRedemption
    verbose_name_plural = "redemptions"
    ordering = ("-redeemed_at",)
    fields = ("on", "redeemed_at", "start_at", "end_at", "used_on")
    per_page = 12

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[CouponRedemption]:
        related = ("subscription__customer", "subscription__plan_version__plan", "used_on")
        return super().get_queryset(request).select_related(*related)

    @display(description="Subscription")
    def on(self, redemption: CouponRedemption) -> str:
        return link_to(redemption.subscription)


@register(Coupon)
class CouponAdmin(ServiceAdmin[Coupon]):
    """What a coupon takes off never changes; its limits do."""

    list_display = ("key", "name", "off", "duration", "times_redeemed", "valid_until", "is_active")
    list_filter = (
        "is_active",
        ("duration", ChoicesDropdownFilter),
        ("valid_until", DayRangeFilter),
    )
    search_fields = ("key", "name")
    inlines = (RedemptionInline,)
    fieldsets = (
        (None, {"fields": ("key", "name", "is_active")}),
        (
            "What it takes off",
            {
                "fields": (
                    "percent_off",
                    ("amount_off", "currency"),
                    ("duration", "duration_months"),
                    "prices",
                )
            },
        ),
        ("Limits", {"fields": (("max_redemptions", "max_per_customer"), "valid_until")}),
    )

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Coupon]:
        return super().get_queryset(request).annotate(redeemed=Count("redemptions"))

    @override
    def get_readonly_fields(self, request: HttpRequest, obj: Coupon | None = None) -> Any:
        return () if obj is None else PROMISE

    @override
    def create_row(self, request: HttpRequest, values: dict[str, Any]) -> Coupon:
        return coupons.create_coupon(**values)

    @override
    def change_row(self, request: HttpRequest, row: Coupon, values: dict[str, Any]) -> None:
        coupons.update_coupon(coupon=row, **values)

    @display(description="Off")
    def off(self, coupon: Coupon) -> str:
        if coupon.amount_off is not None:
            return words.money(coupon.amount_off, coupon.currency)
        return f"{coupon.percent_off:f} %"

    @display(description="Redeemed", ordering="redeemed")
    def times_redeemed(self, coupon: Coupon) -> int:
        return int(getattr(coupon, "redeemed", 0))
