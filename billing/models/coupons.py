"""Coupons: what comes off the lines of subscriptions, for a while or for ever."""

from __future__ import annotations

from datetime import datetime
from typing import override

import pgtrigger
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from billing.models.fields import ExactDecimalField
from billing.models.invoices import Invoice
from billing.models.subscriptions import Subscription, SubscriptionOwnedQuerySet
from customers.models import validate_key

# What a coupon takes off. Who has redeemed it was promised that.
PROMISE = (
    "key",
    "percent_off",
    "amount_off",
    "currency",
    "duration",
    "duration_months",
    "prices",
)


class Coupon(models.Model):
    """A part or an amount off. What it takes off never changes; whether it can be had may."""

    class Duration(models.TextChoices):
        ONCE = "once", "Once"
        REPEATING = "repeating", "For months"
        FOREVER = "forever", "For ever"

    key = models.CharField(
        max_length=100,
        unique=True,
        validators=[validate_key],
        help_text="What is entered to redeem it. It never changes.",
    )
    name = models.CharField(max_length=200, help_text="As invoices print it.")
    percent_off = models.DecimalField(
        max_digits=None,
        decimal_places=None,
        null=True,
        blank=True,
        help_text="In percent of the lines it is for. Empty if an amount comes off.",
    )
    amount_off = ExactDecimalField(
        null=True,
        blank=True,
        help_text="Off each document, never more than the lines it is for come to.",
    )
    currency = models.CharField(
        max_length=3, blank=True, help_text="That of the amount; empty for a percentage."
    )
    duration = models.CharField(max_length=10, choices=Duration, default=Duration.ONCE)
    duration_months = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(120)],
        help_text="For how many months, if it is for months.",
    )
    prices = ArrayField(
        models.CharField(max_length=100, validators=[validate_key]),
        default=list,
        blank=True,
        size=100,
        help_text="Keys of the prices whose lines it is for; none means all.",
    )
    max_redemptions = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="How often it can be redeemed in all. Empty for no limit.",
    )
    max_per_customer = models.PositiveIntegerField(
        null=True,
        blank=True,
        default=1,
        validators=[MinValueValidator(1)],
        help_text="How often one customer can redeem it. Empty for no limit.",
    )
    valid_until = models.DateTimeField(
        null=True, blank=True, help_text="Until when it can be redeemed. Empty for no end."
    )
    is_active = models.BooleanField(
        default=True, help_text="Cleared, it cannot be redeemed any more. Redeemed ones go on."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["key"]
        constraints = [
            models.CheckConstraint(
                # A comparison with null is not false, and would let the row through.
                condition=Q(
                    percent_off__isnull=False,
                    percent_off__gt=0,
                    percent_off__lte=100,
                    amount_off=None,
                    currency="",
                )
                | (
                    Q(percent_off=None, amount_off__isnull=False, amount_off__gt=0)
                    & ~Q(currency="")
                ),
                name="billing_coupon_percent_or_amount",
                violation_error_message=(
                    "Give percent_off, above 0 and up to 100, or amount_off with its currency."
                ),
            ),
            models.CheckConstraint(
                condition=Q(duration="repeating", duration_months__isnull=False)
                | (~Q(duration="repeating") & Q(duration_months=None)),
                name="billing_coupon_months_if_repeating",
                violation_error_message="duration_months goes with the duration repeating.",
            ),
        ]
        triggers = [
            pgtrigger.ReadOnly(name="a_promise_never_changes", fields=list(PROMISE)),
            pgtrigger.Protect(name="a_coupon_is_never_deleted", operation=pgtrigger.Delete),
        ]

    @override
    def __str__(self) -> str:
        return self.key


class CouponRedemption(models.Model):
    """A coupon on a subscription: it is for the lines of what begins in `[start_at, end_at)`."""

    coupon = models.ForeignKey(Coupon, on_delete=models.PROTECT, related_name="redemptions")
    subscription = models.ForeignKey(
        Subscription, on_delete=models.PROTECT, related_name="redemptions"
    )
    position = models.PositiveSmallIntegerField(
        default=0, help_text="Discounts are taken one after the other, in this order."
    )
    redeemed_at = models.DateTimeField()
    start_at = models.DateTimeField()
    end_at = models.DateTimeField(null=True, blank=True)
    used_on = models.ForeignKey(
        Invoice,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="The issued invoice that used it up, if it is for once.",
    )
    removed_at = models.DateTimeField(
        null=True, blank=True, help_text="When it was taken off the subscription."
    )

    objects = SubscriptionOwnedQuerySet["CouponRedemption"].as_manager()

    class Meta:
        ordering = ["position", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["coupon", "subscription"], name="billing_coupon_once_per_subscription"
            )
        ]

    @override
    def __str__(self) -> str:
        return str(self.coupon)

    @property
    def is_spent(self) -> bool:
        """Say whether nothing comes off for it: an issued invoice used it up, or it was removed.

        An invoice that is billed again has not used it up.
        """
        is_used = self.used_on is not None and not self.used_on.is_reissued
        return is_used or self.removed_at is not None

    def covers(self, instant: datetime) -> bool:
        return self.start_at <= instant and (self.end_at is None or instant < self.end_at)
