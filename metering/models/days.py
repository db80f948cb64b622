"""What the daily settling leaves behind: totals of each day, and whether roll-ups were right."""

from __future__ import annotations

from typing import ClassVar, override

from django.db import models

from customers.models import Customer


class DailyTotal(models.Model):
    """How many events a customer had on a day of UTC: in all, and of each user, key and method.

    Events of any type count, whether a meter counts them or not.
    """

    class Kind(models.TextChoices):
        ALL = "all", "In all"
        ENDPOINT = "endpoint", "Endpoint"
        METHOD = "method", "Method"
        USER = "user", "User"
        API_KEY = "api_key", "API key that reported them"

    pk = models.CompositePrimaryKey("customer_id", "day_start", "kind", "name_digest")
    customer = models.ForeignKey(
        Customer, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    day_start = models.DateTimeField()
    kind = models.CharField(max_length=10, choices=Kind)
    name_digest = models.UUIDField(help_text="Of the whole name, however long it is.")
    name = models.CharField(max_length=255, help_text="The beginning of the name.")
    events = models.BigIntegerField()

    @override
    def __str__(self) -> str:
        return f"{self.day_start:%Y-%m-%d} {self.kind} {self.name}"


class UsageCheck(models.Model):
    """One settling of the days that changed: roll-ups compared with the events they are made of."""

    began_at = models.DateTimeField()
    finished_at = models.DateTimeField()
    days = models.PositiveIntegerField(help_text="Days of customers that were looked at.")
    differences = models.JSONField(
        default=list, help_text="Rows that the events contradicted. They were made anew."
    )
    hints = models.JSONField(
        default=list, help_text="What PostgreSQL's statistics say should be looked into."
    )

    objects: ClassVar[models.Manager[UsageCheck]] = models.Manager()

    class Meta:
        ordering = ["-began_at"]

    @override
    def __str__(self) -> str:
        return f"Check of {self.began_at:%Y-%m-%d %H:%M}"
