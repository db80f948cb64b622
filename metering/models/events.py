"""Raw usage: events, what makes each of them unique for ever, and how they came in."""

from __future__ import annotations

from typing import override

from django.db import models
from django.utils import timezone

from customers.models import ApiKey, Customer
from customers.tenancy import CustomerOwnedQuerySet


class IngestBatch(models.Model):
    """One request or one piece of a log file, stored in one transaction."""

    class Source(models.TextChoices):
        API = "api", "API"
        LOG = "log", "Access log"
        CORRECTION = "correction", "Correction"
        BACKFILL = "backfill", "Backfill session"

    source = models.CharField(max_length=10, choices=Source)
    api_key = models.ForeignKey(
        ApiKey, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    received_at = models.DateTimeField(default=timezone.now)
    numbered_at = models.DateTimeField(
        db_default=models.Func(function="clock_timestamp", output_field=models.DateTimeField()),
        editable=False,
        help_text="By the database's clock, just after the batch got its number; see cutoffs.",
    )
    accepted = models.PositiveIntegerField(default=0)
    duplicate = models.PositiveIntegerField(default=0)
    conflict = models.PositiveIntegerField(default=0)
    rejected = models.PositiveIntegerField(default=0)

    class Meta:
        verbose_name_plural = "ingest batches"
        indexes = [models.Index(fields=["received_at"], name="metering_batch_received")]

    @override
    def __str__(self) -> str:
        return f"Batch {self.pk}"


class EventQuerySet(CustomerOwnedQuerySet["Event"]):
    pass


class Event(models.Model):
    """One version of an accepted event. The table is partitioned by month of `timestamp`.

    It is append-only: a correction adds a row of the same digest, or none, in a batch of its own,
    and leaves the number of that batch in the row that no longer counts.
    """

    pk = models.CompositePrimaryKey("customer_id", "timestamp", "digest", "batch_id")
    customer = models.ForeignKey(
        Customer, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    timestamp = models.DateTimeField(help_text="When the usage happened.")
    digest = models.UUIDField(help_text="128-bit digest of the event's id.")
    event_id = models.CharField(max_length=255)
    type = models.CharField(max_length=100)
    properties = models.JSONField()
    batch_id = models.BigIntegerField()
    voided_batch_id = models.BigIntegerField(
        null=True, help_text="The batch of the correction that ended this version."
    )

    objects = EventQuerySet.as_manager()

    @override
    def __str__(self) -> str:
        return self.event_id


class EventKey(models.Model):
    """The identity of every event ever accepted, kept when the event itself is archived.

    It is never partitioned by time: the same id is the same event whatever its timestamp.
    """

    pk = models.CompositePrimaryKey("customer_id", "digest")
    customer = models.ForeignKey(
        Customer, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    digest = models.UUIDField()
    content_digest = models.UUIDField(
        help_text="Tells a repeated event from a conflicting one; of what was accepted first."
    )
    timestamp = models.DateTimeField(help_text="Leads from an id to its latest version.")

    @override
    def __str__(self) -> str:
        return str(self.digest)


class PendingBatch(models.Model):
    """A customer's share of a batch that roll-ups do not hold yet.

    The row appears with the events and goes when they are folded, each in one transaction: that
    is what makes every event count exactly once.
    """

    pk = models.CompositePrimaryKey("customer_id", "batch_id")
    customer = models.ForeignKey(
        Customer, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    batch_id = models.BigIntegerField()
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    events = models.PositiveIntegerField()

    @override
    def __str__(self) -> str:
        return f"Batch {self.batch_id}"


class RefusedEvent(models.Model):
    """An event that was not counted, kept with its payload for staff to look into."""

    class Kind(models.TextChoices):
        CONFLICT = "conflict", "Conflict"
        REJECTED = "rejected", "Rejected"

    batch = models.ForeignKey(IngestBatch, on_delete=models.CASCADE, related_name="refused_events")
    customer = models.ForeignKey(
        Customer, on_delete=models.CASCADE, null=True, blank=True, related_name="+"
    )
    kind = models.CharField(max_length=10, choices=Kind)
    event_id = models.CharField(max_length=255, blank=True)
    code = models.CharField(max_length=50)
    message = models.TextField()
    payload = models.TextField(help_text="The event as it was sent.")
    received_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index(fields=["received_at"], name="metering_refused_received")]

    @override
    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.event_id}"
