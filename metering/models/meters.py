"""What is counted, and how."""

from __future__ import annotations

from typing import ClassVar, override

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from customers.models import validate_key
from metering import aggregations


class MeterManager(models.Manager["Meter"]):
    def current(self) -> models.QuerySet[Meter]:
        """Return the newest version of every meter: what its key means."""
        return self.filter(superseded_at=None)


class Meter(models.Model):
    """One version of a definition of usage: which events count, and how they add up.

    `metering.aggregations` says what each aggregation means and which of the other fields it
    needs. What has counted something never means anything else: a changed definition is the next
    version under the same key, and earlier ones go on counting for the prices made with them.
    """

    class Window(models.TextChoices):
        MINUTE = "minute", "Minute"
        FIVE_MINUTES = "5minute", "Five minutes"
        HOUR = "hour", "Hour"
        DAY = "day", "Day"

    key = models.CharField(
        max_length=100,
        validators=[validate_key],
        help_text="How prices and programs name this meter. It never changes.",
    )
    version = models.PositiveIntegerField(default=1, editable=False)
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
        max_length=10,
        choices=Window,
        blank=True,
        default="",
        help_text="For peak and percentile: cut into these.",
    )
    of = models.CharField(
        max_length=20,
        choices=aggregations.window_choices,
        blank=True,
        default="",
        help_text="For peak and percentile: what is measured in each window.",
    )
    percentile = models.DecimalField(
        max_digits=7,
        decimal_places=4,
        null=True,
        blank=True,
        help_text="For percentile: 95 leaves out the highest 5 percent of the windows.",
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
    superseded_at = models.DateTimeField(
        null=True, editable=False, help_text="When the next version took over the key."
    )
    filled_at = models.DateTimeField(
        null=True,
        editable=False,
        help_text="When roll-ups had taken in the events older than the meter itself. "
        "Until then usage is read from the events.",
    )

    filling_done = models.PositiveIntegerField(
        default=0, editable=False, help_text="Customers whose roll-ups the filling has made."
    )
    filling_total = models.PositiveIntegerField(default=0, editable=False)

    objects: ClassVar[MeterManager] = MeterManager()

    class Meta:
        ordering = ["name", "-version"]
        constraints = [
            models.UniqueConstraint(
                fields=["key"],
                condition=models.Q(superseded_at=None),
                name="metering_meter_current",
                violation_error_code="unique",
                violation_error_message="There is a meter with this key already.",
            ),
            models.UniqueConstraint(fields=["key", "version"], name="metering_meter_version"),
        ]

    @override
    def __str__(self) -> str:
        return self.name if self.version == 1 else f"{self.name} (version {self.version})"
