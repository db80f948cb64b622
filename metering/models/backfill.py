"""Backfill sessions: events that are loaded first, looked at, and then counted or dropped."""

from __future__ import annotations

from typing import override

from django.conf import settings
from django.db import models
from django.utils import timezone

from customers.models import ApiKey, validate_key


class BackfillSession(models.Model):
    """Events set apart until somebody commits or discards them all.

    `staged` events wait, `refused` ones were not even set apart. The other counts say what became
    of the staged events when they were committed.
    """

    class Status(models.TextChoices):
        OPEN = "open", "Open"
        COMMITTING = "committing", "Being committed"
        COMMITTED = "committed", "Committed"
        DISCARDED = "discarded", "Discarded"

    name = models.CharField(
        max_length=100,
        unique=True,
        validators=[validate_key],
        help_text="How programs name this session, such as march-2026-recount.",
    )
    note = models.CharField(max_length=500, blank=True, help_text="What is loaded, and why.")
    status = models.CharField(max_length=10, choices=Status, default=Status.OPEN)
    staged = models.PositiveIntegerField(default=0)
    refused = models.PositiveIntegerField(default=0)
    accepted = models.PositiveIntegerField(default=0)
    duplicate = models.PositiveIntegerField(default=0)
    conflict = models.PositiveIntegerField(default=0)
    rejected = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)
    opened_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    finished_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    api_key = models.ForeignKey(
        ApiKey, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering = ["-id"]

    @override
    def __str__(self) -> str:
        return self.name


class StagedEvents(models.Model):
    """Some of a session's events, ingested in one transaction when the session is committed.

    The row goes in that transaction, which is what makes every event count once.
    """

    session = models.ForeignKey(
        BackfillSession, on_delete=models.CASCADE, related_name="staged_parts"
    )
    events = models.PositiveIntegerField()
    payload = models.TextField(help_text="The events as a JSON list.")

    class Meta:
        verbose_name_plural = "staged events"

    @override
    def __str__(self) -> str:
        return f"{self.events} events of {self.session}"
