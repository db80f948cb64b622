"""What is counted, and how."""

from __future__ import annotations

from typing import ClassVar, override

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from customers.models import validate_key
from metering import aggregations


class Meter(models.Model):
    """A definition of usage: which events count, and how they add up.

    `metering.aggregations` says what each aggregation means and which of the other fields it
    needs.
    """

    class Window(models.TextChoices):
        MINUTE = "minute", "Minute"
        HOUR = "hour", "Hour"
        DAY = "day", "Day"

    key = models.CharField(
        max_length=100,
        unique=True,
        validators=[validate_key],
        help_text="How prices and programs name this meter. It never changes.",
    )
    name = models.CharField(max_length=200)
    unit = models.CharField(max_length=40, blank=True, help_text="Such as calls, GB or users.")
    event_type = models.CharField(
        max_length=100, help_text="Events with exactly this type count, such as api.request."
    )
    aggregation = models.CharField(max_length=30, choices=aggregations.choices)
    value_property = models.CharField(
        max_length=100,
        blank=True,
        default="",
        help_text="The event property to add up or to tell apart, such as bytes or user_id.",
    )
    window = models.CharField(
        max_length=10, choices=Window, blank=True, default="", help_text="For peak: cut into these."
    )
    of = models.CharField(
        max_length=20,
        choices=aggregations.window_choices,
        blank=True,
        default="",
        help_text="For peak: what is measured in each window.",
    )
    filters = models.JSONField(
        default=list,
        blank=True,
        help_text='Such as [{"property": "status", "op": "lt", "value": "500"}]; all must hold.',
    )
    group_by = ArrayField(
        models.CharField(max_length=100),
        default=list,
        blank=True,
        help_text="Event properties that usage is broken down by, such as endpoint, method.",
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    filled_at = models.DateTimeField(
        null=True,
        editable=False,
        help_text="When roll-ups had taken in the events older than the meter itself. "
        "Until then usage is read from the events.",
    )

    objects: ClassVar[models.Manager[Meter]] = models.Manager()

    class Meta:
        ordering = ["name"]

    @override
    def __str__(self) -> str:
        return self.name
