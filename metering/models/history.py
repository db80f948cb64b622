"""What happened to events after they were accepted: corrections, and the days that changed."""

from __future__ import annotations

from typing import override

from django.conf import settings
from django.db import models
from django.utils import timezone

from customers.models import ApiKey, Customer
from customers.tenancy import CustomerOwnedQuerySet
from metering.exact_json import ExactDecoder, ExactEncoder
from metering.models.events import IngestBatch


class CorrectionQuerySet(CustomerOwnedQuerySet["Correction"]):
    pass


class Correction(models.Model):
    """Who voided or amended an event, when, why, and what it said before and says since.

    Neither row of the event is changed by it but for the number of the batch that ended the old
    one. `ended_batch` is the batch of the row that counted until then; an event that was void had
    none.
    """

    class Action(models.TextChoices):
        VOID = "void", "Void"
        AMEND = "amend", "Amend"

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="+")
    event_id = models.CharField(max_length=255)
    digest = models.UUIDField(editable=False)
    event_type = models.CharField(max_length=100)
    action = models.CharField(max_length=10, choices=Action)
    reason = models.CharField(max_length=500)
    batch = models.OneToOneField(IngestBatch, on_delete=models.PROTECT, related_name="correction")
    ended_batch_id = models.BigIntegerField(null=True, editable=False)
    old_timestamp = models.DateTimeField()
    old_properties = models.JSONField(encoder=ExactEncoder, decoder=ExactDecoder)
    new_timestamp = models.DateTimeField(null=True)
    new_properties = models.JSONField(null=True, encoder=ExactEncoder, decoder=ExactDecoder)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    api_key = models.ForeignKey(ApiKey, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    objects = CorrectionQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["customer", "digest"], name="metering_correction_event"),
            models.Index(fields=["created_at"], name="metering_correction_created"),
        ]

    @override
    def __str__(self) -> str:
        return f"{self.get_action_display()}: {self.event_id}"


class PendingCorrection(models.Model):
    """An instant at which a correction took an event away or put one, unknown to roll-ups yet.

    The row appears with the correction and goes when the buckets around the instant are made
    anew, each in one transaction. Until then readers take the events themselves there.
    """

    pk = models.CompositePrimaryKey("customer_id", "batch_id", "at")
    customer = models.ForeignKey(
        Customer, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    batch_id = models.BigIntegerField()
    at = models.DateTimeField()
    event_type = models.CharField(max_length=100)

    @override
    def __str__(self) -> str:
        return f"Correction of {self.at:%Y-%m-%d %H:%M}"


class ChangedDay(models.Model):
    """A day of UTC whose usage changed, by new events or by corrections.

    `seen_batch_id` is the highest number that any batch had when the aggregator took the last
    change in. Whoever read usage before that had a cut-off no higher.
    """

    pk = models.CompositePrimaryKey("customer_id", "day_start")
    customer = models.ForeignKey(
        Customer, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    day_start = models.DateTimeField()
    seen_batch_id = models.BigIntegerField()
    is_settled = models.BooleanField(
        default=False, help_text="Its totals are written and its roll-ups were checked since."
    )

    @override
    def __str__(self) -> str:
        return f"{self.day_start:%Y-%m-%d}"
