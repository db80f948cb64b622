"""PDF documents as they were made: bytes that stay the same for ever."""

from __future__ import annotations

from typing import override

import pgtrigger
from django.db import models
from django.db.models import Q

from billing.models.credit_notes import CreditNote
from billing.models.freezing import never_emptied
from billing.models.invoices import Invoice


class StoredPdf(models.Model):
    """An issued invoice or credit note as a PDF document. It is made once and never again."""

    invoice = models.OneToOneField(
        Invoice, on_delete=models.PROTECT, null=True, related_name="stored_pdf"
    )
    credit_note = models.OneToOneField(
        CreditNote, on_delete=models.PROTECT, null=True, related_name="stored_pdf"
    )
    content = models.BinaryField()
    digest = models.CharField(max_length=64, help_text="SHA-256 of the bytes.")
    created_at = models.DateTimeField()

    class Meta:
        verbose_name = "PDF document"
        constraints = [
            models.CheckConstraint(
                condition=Q(invoice=None) ^ Q(credit_note=None),
                name="billing_storedpdf_of_one_document",
            )
        ]
        triggers = [
            pgtrigger.Protect(
                name="stored_bytes_are_frozen", operation=pgtrigger.Update | pgtrigger.Delete
            ),
            never_emptied(),
        ]

    @override
    def __str__(self) -> str:
        return f"{self.invoice or self.credit_note}.pdf"
