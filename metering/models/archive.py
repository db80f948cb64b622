"""Months whose raw events are in files instead of the database."""

from __future__ import annotations

from typing import ClassVar, override

from django.db import models
from django.db.models import Q

from customers.models import Customer


class ArchivedMonth(models.Model):
    """A month of UTC whose partition was detached, and the file that holds its events since.

    The row stays when the events are brought back; `restored_at` says when that was.
    """

    start_at = models.DateTimeField("month")
    end_at = models.DateTimeField()
    partition = models.CharField(max_length=63)
    rows = models.PositiveBigIntegerField()
    customers = models.PositiveIntegerField(help_text="How many had events in it.")
    first_at = models.DateTimeField("first event")
    last_at = models.DateTimeField("last event")
    manifest = models.TextField(help_text="Where the manifest was written, beside the file.")
    size = models.PositiveBigIntegerField(help_text="Of the file, in bytes.")
    sha256 = models.CharField("SHA-256", max_length=64, help_text="Of the file.")
    archived_at = models.DateTimeField()
    restored_at = models.DateTimeField(null=True)

    objects: ClassVar[models.Manager[ArchivedMonth]] = models.Manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["start_at"], condition=Q(restored_at=None), name="metering_archived_once"
            )
        ]

    @override
    def __str__(self) -> str:
        return f"{self.start_at:%Y-%m}"


class ArchivedUsage(models.Model):
    """Says that events of this type of a customer are away, those of `[start_at, end_at)`.

    The row appears in the transaction that takes the events away and goes in the one that brings
    them back, so a statement that reads events sees in its own snapshot what it lacks.
    """

    pk = models.CompositePrimaryKey("customer_id", "start_at", "event_type")
    customer = models.ForeignKey(
        Customer, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    start_at = models.DateTimeField()
    end_at = models.DateTimeField()
    event_type = models.CharField(max_length=100)
    events = models.PositiveBigIntegerField()

    @override
    def __str__(self) -> str:
        return f"{self.event_type} {self.start_at:%Y-%m}"
