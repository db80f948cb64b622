"""What is sold: plans, their published versions, and the prices in each."""

from __future__ import annotations

from datetime import datetime
from typing import override

import pgtrigger
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone

from customers.models import validate_currency, validate_key
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

    def current_version(self) -> PlanVersion | None:
        """Return the newest published version, the one that new subscriptions get."""
        return self.versions.exclude(published_at=None).order_by("-number").first()


class PlanVersion(models.Model):
    """A price list. Once published it never changes: a new price is a new version."""

    class Interval(models.TextChoices):
        DAY = "day", "Day"
        WEEK = "week", "Week"
        MONTH = "month", "Month"
        QUARTER = "quarter", "Quarter"
        YEAR = "year", "Year"

    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    currency = models.CharField(max_length=3, default="USD", validators=[validate_currency])
    interval = models.CharField(max_length=10, choices=Interval, default=Interval.MONTH)
    interval_count = models.PositiveSmallIntegerField(
        default=1, validators=[MinValueValidator(1), MaxValueValidator(365)]
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
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    published_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["plan", "-number"]
        constraints = [
            models.UniqueConstraint(
                fields=["plan", "number"], name="billing_planversion_number_once"
            )
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

    def is_published(self, at: datetime) -> bool:
        return self.published_at is not None and self.published_at <= at


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
