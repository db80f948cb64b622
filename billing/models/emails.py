"""E-mails to customers about their documents: what was to be said, and what came of it."""

from __future__ import annotations

from typing import override

from django.db import models
from django.db.models import Q
from django.utils import timezone

from billing.models.credit_notes import CreditNote
from billing.models.invoices import Invoice
from customers.models import Customer


class Email(models.Model):
    """One e-mail, written down in the transaction of what it tells, and sent after that.

    A document has one of each kind, and `occasion` tells several apart: for a reminder it is the
    days since the invoice was due, for a failed payment which attempt it was.
    """

    class Kind(models.TextChoices):
        ISSUED = "issued", "Invoice"
        REMINDER = "reminder", "Reminder"
        PAID = "paid", "Payment received"
        PAYMENT_FAILED = "payment_failed", "Payment failed"
        CREDIT_NOTE = "credit_note", "Credit note"

    class Status(models.TextChoices):
        PENDING = "pending", "To be sent"
        SENT = "sent", "Sent"
        SKIPPED = "skipped", "Not needed any more"
        FAILED = "failed", "Given up"

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="emails")
    kind = models.CharField(max_length=20, choices=Kind)
    invoice = models.ForeignKey(
        Invoice, on_delete=models.PROTECT, null=True, blank=True, related_name="emails"
    )
    credit_note = models.ForeignKey(
        CreditNote, on_delete=models.PROTECT, null=True, blank=True, related_name="emails"
    )
    occasion = models.CharField(max_length=20, blank=True)
    status = models.CharField(max_length=20, choices=Status, default=Status.PENDING)
    recipient = models.EmailField(blank=True, help_text="Whom it was sent to last.")
    subject = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    attempts = models.PositiveSmallIntegerField(default=0)
    retry_at = models.DateTimeField(null=True, blank=True)
    last_error = models.TextField(blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    times_sent = models.PositiveSmallIntegerField(default=0)

    class Meta:
        verbose_name = "e-mail"
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(invoice=None) ^ Q(credit_note=None),
                name="billing_email_about_one_document",
            ),
            models.UniqueConstraint(
                fields=["invoice", "kind", "occasion"], name="billing_email_once_per_invoice"
            ),
            models.UniqueConstraint(
                fields=["credit_note", "kind", "occasion"], name="billing_email_once_per_note"
            ),
        ]
        indexes = [
            models.Index(
                fields=["retry_at"], condition=Q(status="pending"), name="billing_email_to_send"
            )
        ]

    @override
    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.document}"

    @property
    def document(self) -> Invoice | CreditNote:
        found = self.invoice or self.credit_note
        assert found is not None  # noqa: S101  # A constraint says so.
        return found
