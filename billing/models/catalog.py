"""What is sold: plans, their published versions, and the prices in each."""

from __future__ import annotations

from typing import override

import pgtrigger
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from billing.models.fields import ExactDecimalField
from customers.models import Customer, validate_currency, validate_key
from metering.models import Meter


class Plan(models.Model):
    """A product as customers know it. What it costs is said by its versions."""

    key = models.CharField(
        max_length=100,
        unique=True,
        validators=[validate_key],
        help_text="How programs name this plan. It never changes.",
    )
    name = models.CharField(max_length=200)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["name"]

    @override
    def __str__(self) -> str:
        return self.name

    def current_version(self, currency: str | None = None) -> PlanVersion | None:
        """Return the newest version that is sold to everybody, in `currency` if one is named.

        What one customer gets may be a version of its own: see `selectors.catalog.sold_version`.
        """
        versions = self.versions.published().public()
        if currency is not None:
            versions = versions.filter(currency=currency)
        return versions.order_by("-number").first()


class PlanVersionQuerySet(models.QuerySet["PlanVersion"]):
    def published(self) -> PlanVersionQuerySet:
        """Return what can be subscribed to; the rest are drafts."""
        return self.exclude(published_at=None)

    def public(self) -> PlanVersionQuerySet:
        """Return the versions that are no single customer's own."""
        return self.filter(customer=None)


class PlanVersion(models.Model):
    """Terms and a price list in one currency.

    A draft may change. Once published a version never does: a new price is a new version, and the
    numbers of published versions ascend in the order of their publication. A plan is sold in every
    currency that it has a published version in, at the newest one's prices. A version with a
    `customer` is that customer's own: nobody else sees it or can subscribe to it.
    """

    class Interval(models.TextChoices):
        DAY = "day", "Day"
        WEEK = "week", "Week"
        MONTH = "month", "Month"
        QUARTER = "quarter", "Quarter"
        YEAR = "year", "Year"

    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    customer = models.ForeignKey(
        Customer,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="plan_versions",
        help_text="The only customer who may have this version. Empty for everybody.",
    )
    currency = models.CharField(max_length=3, default="USD", validators=[validate_currency])
    interval = models.CharField(max_length=10, choices=Interval, default=Interval.MONTH)
    interval_count = models.PositiveSmallIntegerField(
        default=1, validators=[MinValueValidator(1), MaxValueValidator(365)]
    )
    is_addon = models.BooleanField(
        "add-on",
        default=False,
        help_text="Sold only to customers who have another plan that is no add-on.",
    )
    trial_days = models.PositiveSmallIntegerField(
        default=0,
        validators=[MaxValueValidator(3660)],
        help_text="Days from the start of a subscription that cost nothing.",
    )
    grace_hours = models.PositiveIntegerField(
        default=24,
        validators=[MaxValueValidator(8784)],
        help_text="How long after a period ends late usage still joins its invoice.",
    )
    payment_days = models.PositiveSmallIntegerField(
        default=14,
        validators=[MaxValueValidator(366)],
        help_text="Days from issue until an invoice is due.",
    )
    invoice_threshold = ExactDecimalField(
        null=True,
        blank=True,
        help_text="An invoice is made within the period once usage costs this much. Empty for never.",
    )
    minimum_amount = ExactDecimalField(
        null=True,
        blank=True,
        help_text="The least that the lines of a whole period come to. Empty for none.",
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    published_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = PlanVersionQuerySet.as_manager()

    class Meta:
        ordering = ["plan", "-number"]
        constraints = [
            models.UniqueConstraint(
                fields=["plan", "number"], name="billing_planversion_number_once"
            ),
            models.CheckConstraint(
                condition=Q(invoice_threshold=None) | Q(invoice_threshold__gt=0),
                name="billing_planversion_threshold_above_zero",
                violation_error_message="The invoice threshold is an amount above zero.",
            ),
            models.CheckConstraint(
                condition=Q(minimum_amount=None) | Q(minimum_amount__gte=0),
                name="billing_planversion_minimum_not_negative",
                violation_error_message="The minimum amount is zero or more.",
            ),
        ]
        triggers = [
            pgtrigger.Protect(
                name="published_version_is_frozen",
                operation=pgtrigger.Update | pgtrigger.Delete,
                condition=pgtrigger.Condition("OLD.published_at IS NOT NULL"),
            )
        ]

    @override
    def __str__(self) -> str:
        return f"{self.plan} v{self.number}"

    @property
    def is_draft(self) -> bool:
        return self.published_at is None


class Price(models.Model):
    """One line of a price list: a price document, and the meter whose usage it prices."""

    version = models.ForeignKey(PlanVersion, on_delete=models.CASCADE, related_name="prices")
    position = models.PositiveSmallIntegerField(default=0)
    key = models.CharField(max_length=100, validators=[validate_key])
    name = models.CharField(max_length=200)
    meter = models.ForeignKey(
        Meter,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="prices",
        help_text="Empty for a fee that does not depend on usage.",
    )
    document = models.JSONField(help_text="The price as docs/pricing.md describes it.")

    class Meta:
        ordering = ["version", "position", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["version", "key"], name="billing_price_key_once")
        ]
        triggers = [
            pgtrigger.Trigger(
                name="published_prices_are_frozen",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
                func=pgtrigger.Func(  # type: ignore[no-untyped-call]
                    """
                    IF EXISTS (
                        SELECT FROM billing_planversion
                        WHERE published_at IS NOT NULL
                        AND id IN (COALESCE(NEW.version_id, OLD.version_id), OLD.version_id)
                    ) THEN
                        RAISE EXCEPTION 'pgtrigger: prices of a published version never change';
                    END IF;
                    RETURN COALESCE(NEW, OLD);
                    """
                ),
            )
        ]

    @override
    def __str__(self) -> str:
        return self.name
