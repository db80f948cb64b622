"""Who bought what, from when until when."""

from __future__ import annotations

from datetime import datetime
from typing import override

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from billing.models.catalog import PlanVersion
from customers.models import Customer
from customers.tenancy import CustomerOwnedQuerySet


class SubscriptionQuerySet(CustomerOwnedQuerySet["Subscription"]):
    def active(self, at: datetime) -> SubscriptionQuerySet:
        """Return subscriptions that run at the instant `at`."""
        return self.filter(Q(end_at=None) | Q(end_at__gt=at), start_at__lte=at)


class Subscription(models.Model):
    """A customer's purchase of a plan version, over `[start_at, end_at)`.

    Billing periods are calendar periods in the customer's time zone; the first and the last may
    be partial.
    """

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="subscriptions")
    plan_version = models.ForeignKey(
        PlanVersion, on_delete=models.PROTECT, related_name="subscriptions"
    )
    start_at = models.DateTimeField()
    end_at = models.DateTimeField(null=True, blank=True, help_text="Empty while it runs on.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    canceled_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When somebody asked for the end."
    )

    objects = SubscriptionQuerySet.as_manager()

    class Meta:
        ordering = ["-start_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(end_at=None) | Q(end_at__gte=F("start_at")),
                name="billing_subscription_ends_after_start",
            )
        ]

    @override
    def __str__(self) -> str:
        return f"{self.customer}: {self.plan_version}"

    def is_active(self, at: datetime) -> bool:
        return self.start_at <= at and (self.end_at is None or at < self.end_at)
