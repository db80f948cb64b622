"""Access logs that were billed from."""

from __future__ import annotations

from typing import override

from django.db import models
from django.utils import timezone

# What can become of a line, each counted in a field of LogImport, and how people are told; the first
# counts them all.
COUNTS = {
    "lines": "read",
    "accepted": "counted",
    "duplicate": "counted before",
    "conflict": "counted before with another meaning, kept for review",
    "rejected": "rejected",
    "unmapped": "without a known customer",
    "unparsed": "not readable",
    "ignored": "ignored by the mapping, or blank",
}


class LogImport(models.Model):
    """One run over a log file, with what became of each of its lines."""

    class Status(models.TextChoices):
        RUNNING = "running", "Running"
        COMPLETED = "completed", "Completed"
        FAILED = "failed", "Failed"
        INTERRUPTED = "interrupted", "Interrupted"

    name = models.CharField(max_length=500, help_text="The file's name.")
    format = models.CharField(max_length=2_000, help_text="Its name, or nginx's log_format.")
    mapping = models.JSONField(help_text="What a line means: customer, user and endpoint names.")
    status = models.CharField(max_length=11, choices=Status, default=Status.RUNNING)
    started_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)
    lines = models.PositiveBigIntegerField(default=0)
    accepted = models.PositiveBigIntegerField(default=0)
    duplicate = models.PositiveBigIntegerField(default=0)
    conflict = models.PositiveBigIntegerField(default=0)
    rejected = models.PositiveBigIntegerField(default=0)
    ignored = models.PositiveBigIntegerField(default=0)
    unmapped = models.PositiveBigIntegerField(default=0)
    unparsed = models.PositiveBigIntegerField(default=0)
    customers = models.JSONField(default=dict, help_text="New events by the customer's key.")
    error = models.TextField(blank=True)

    @override
    def __str__(self) -> str:
        return f"{self.name} ({self.started_at:%Y-%m-%d %H:%M})"


class LogImportPiece(models.Model):
    """A piece of a log whose lines are dealt with, written in one transaction with what they say.

    The rows are what an import that broke off goes on from; they go when it is completed.
    """

    log_import = models.ForeignKey(LogImport, on_delete=models.CASCADE, related_name="pieces")
    start = models.PositiveBigIntegerField(help_text="In bytes of the log as it is unpacked.")
    end = models.PositiveBigIntegerField()
    digest = models.BinaryField(help_text="Of its bytes, so that the log is known again.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["log_import", "start"], name="metering_piece_once")
        ]

    @override
    def __str__(self) -> str:
        return f"Bytes {self.start} to {self.end}"


class LogImportLine(models.Model):
    """A line that did not become an event, kept as it was written."""

    class Kind(models.TextChoices):
        UNPARSED = "unparsed", "Could not be read"
        UNMAPPED = "unmapped", "Has no customer"
        REJECTED = "rejected", "Rejected"

    log_import = models.ForeignKey(LogImport, on_delete=models.CASCADE, related_name="kept_lines")
    number = models.PositiveBigIntegerField()
    kind = models.CharField(max_length=10, choices=Kind)
    reason = models.TextField()
    text = models.TextField()

    @override
    def __str__(self) -> str:
        return f"Line {self.number}"
