"""PDF documents as they were made: bytes that stay the same for ever."""

from __future__ import annotations

from typing import override

import pgtrigger
from django.db import models

from billing.models.freezing import never_emptied
from billing.models.invoices import Invoice
from customers.tenancy import CustomerOwnedQuerySet


class StoredPdfQuerySet(CustomerOwnedQuerySet["StoredPdf"]):
    customer_path = "invoice__customer_id"


class StoredPdf(models.Model):
    """An issued invoice as a PDF document. It is made once and never again."""

    invoice = models.OneToOneField(Invoice, on_delete=models.PROTECT, related_name="stored_pdf")
    content = models.BinaryField()
    digest = models.CharField(max_length=64, help_text="SHA-256 of the bytes.")
    created_at = models.DateTimeField()

    objects = StoredPdfQuerySet.as_manager()

    class Meta:
        verbose_name = "PDF document"
        triggers = [
            pgtrigger.Protect(
                name="stored_bytes_are_frozen", operation=pgtrigger.Update | pgtrigger.Delete
            ),
            never_emptied(),
        ]

    @override
    def __str__(self) -> str:
        return f"{self.invoice}.pdf"
