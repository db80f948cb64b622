"""What the nightly run did."""

from __future__ import annotations

from typing import override

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone


class BillingRun(models.Model):
    """One run of the nightly work: what it counted and whom it failed for."""

    class Status(models.TextChoices):
        RUNNING = "running", "Running"
        COMPLETED = "completed", "Completed"
        INCOMPLETE = "incomplete", "Completed with failures"
        FAILED = "failed", "Failed"

    at = models.DateTimeField(help_text="The instant the run worked as of.")
    status = models.CharField(max_length=20, choices=Status, default=Status.RUNNING)
    started_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)
    events_folded = models.PositiveBigIntegerField(default=0)
    customers = models.PositiveIntegerField(default=0, help_text="Customers served so far.")
    customers_total = models.PositiveIntegerField(default=0, help_text="Customers to serve.")
    marked_batch = models.BigIntegerField(
        null=True, blank=True, help_text="Up to which ingest batch late usage was looked for."
    )
    invoices_drafted = models.PositiveIntegerField(default=0)
    invoices_finalized = models.PositiveIntegerField(default=0)
    invoices_skipped = models.PositiveIntegerField(
        default=0, help_text="Periods closed without an invoice, since nothing was owed."
    )
    credit_notes = models.PositiveIntegerField(default=0)
    invoices_pushed = models.PositiveIntegerField(default=0)
    pushes_halted = models.TextField(
        blank=True, help_text="Why open invoices did not go to Stripe, if they did not."
    )
    step = models.CharField(max_length=40, blank=True, help_text="What it is doing, or did last.")
    durations = models.JSONField(default=dict, blank=True, help_text="Seconds by step.")
    failures = models.JSONField(
        default=list, blank=True, help_text="One entry for each customer or step that failed."
    )

    class Meta:
        ordering = ["-started_at"]

    @override
    def __str__(self) -> str:
        return f"Run as of {self.at:%Y-%m-%d %H:%M}"


class BillingBatch(models.Model):
    """Some customers whom a run bills in one transaction, and what came of it.

    Whoever bills them holds the row's lock meanwhile, so that a process that is killed gives them
    free. `done_at` is stored with their documents. `attempts` is stored before, so that it tells of
    those who never came back. The rows go when their run has ended, but for a customer that is left
    out because nobody came back from it.
    """

    run = models.ForeignKey(BillingRun, on_delete=models.CASCADE, related_name="batches")
    customer_ids = ArrayField(models.BigIntegerField())
    customers = models.PositiveIntegerField(help_text="How many they are.")
    attempts = models.PositiveSmallIntegerField(
        default=0, help_text="How many processes began with it; the last one may be at it."
    )
    done_at = models.DateTimeField(null=True, blank=True)
    drafted = models.PositiveIntegerField(default=0)
    finalized = models.PositiveIntegerField(default=0)
    skipped = models.PositiveIntegerField(default=0)
    credit_notes = models.PositiveIntegerField(default=0)
    failures = models.JSONField(default=list)

    class Meta:
        indexes = [
            models.Index(
                fields=["run", "id"], condition=Q(done_at=None), name="billing_batches_to_do"
            )
        ]
        verbose_name_plural = "billing batches"

    @override
    def __str__(self) -> str:
        return f"{self.customers} customers of {self.run}"
