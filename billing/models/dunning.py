"""What became of customers who did not pay: flagged, their keys suspended, and over again."""

from __future__ import annotations

from typing import override

from django.db import models
from django.db.models import Q

from customers.models import Customer
from customers.tenancy import CustomerOwnedQuerySet


class DunningCaseQuerySet(CustomerOwnedQuerySet["DunningCase"]):
    def running(self) -> DunningCaseQuerySet:
        return self.filter(closed_at=None)


class DunningCase(models.Model):
    """A stretch of time in which a customer was flagged for an invoice that is long overdue."""

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="dunning_cases")
    overdue_since = models.DateTimeField(help_text="When the oldest unpaid invoice was due.")
    opened_at = models.DateTimeField()
    suspended_at = models.DateTimeField(
        null=True, blank=True, help_text="When the customer's API keys were suspended."
    )
    restored_at = models.DateTimeField(
        null=True, blank=True, help_text="When the keys worked again."
    )
    closed_at = models.DateTimeField(
        null=True, blank=True, help_text="When nothing was long overdue any more."
    )

    objects = DunningCaseQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["customer"],
                condition=Q(closed_at=None),
                name="billing_dunningcase_one_running",
            )
        ]

    @override
    def __str__(self) -> str:
        return f"{self.customer}, {self.opened_at:%Y-%m-%d}"
