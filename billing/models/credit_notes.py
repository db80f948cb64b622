"""Credit notes: what is taken back of an issued invoice, in a document of its own."""

from __future__ import annotations

from decimal import Decimal
from typing import override

from django.db import models
from django.db.models import Q
from django.utils import timezone

from billing.models.fields import ExactDecimalField
from billing.models.freezing import frozen_document, frozen_lines
from billing.models.invoices import Invoice, InvoiceLine
from billing.models.lines import DocumentLine, billed_once, minimum_once
from customers.models import Customer
from customers.tenancy import CustomerOwnedQuerySet

FROZEN_COLUMNS = (
    "created_at",
    "customer_id",
    "invoice_id",
    "number",
    "reason",
    "memo",
    "currency",
    "issued_at",
    "subtotal",
    "discount",
    "tax",
    "total",
    "taken_off_due",
    "refunded",
    "refund_through",
    "granted",
    "credits_returned",
    "taxes",
    "tax_note",
    "seller",
    "buyer",
    "cutoff",
    "digest",
)


class CreditNoteQuerySet(CustomerOwnedQuerySet["CreditNote"]):
    def issued(self) -> CreditNoteQuerySet:
        """Return documents that have left draft."""
        return self.exclude(status=CreditNote.Status.DRAFT)


class CreditNote(models.Model):
    """Money that an issued invoice asked for and that is not owed after all; amounts are positive.

    It is written as a draft and issued in the same transaction; from then on it never changes.
    `taken_off_due`, `refunded` and `granted` say how it is settled and add up to its total.
    """

    class Status(models.TextChoices):
        DRAFT = "draft", "Draft"
        ISSUED = "issued", "Issued"
        VOID = "void", "Void"

    class Reason(models.TextChoices):
        ADJUSTMENT = "adjustment", "What was billed has changed"
        GOODWILL = "goodwill", "Goodwill"
        DUPLICATE = "duplicate", "Billed twice"
        ORDER_CHANGE = "order_change", "The order changed"
        UNSATISFACTORY = "product_unsatisfactory", "Not as agreed"
        FRAUDULENT = "fraudulent", "Not ordered by the customer"

    class RefundThrough(models.TextChoices):
        STRIPE = "stripe", "Stripe"
        HAND = "hand", "By hand"

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="credit_notes")
    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="credit_notes")
    number = models.CharField(max_length=40, null=True, blank=True, unique=True, editable=False)
    status = models.CharField(max_length=20, choices=Status, default=Status.DRAFT, editable=False)
    reason = models.CharField(max_length=30, choices=Reason, default=Reason.ADJUSTMENT)
    memo = models.CharField(max_length=500, blank=True, help_text="Printed on the credit note.")
    currency = models.CharField(max_length=3)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    issued_at = models.DateTimeField(null=True, blank=True)
    subtotal = ExactDecimalField(default=Decimal(0))
    discount = ExactDecimalField(default=Decimal(0))
    tax = ExactDecimalField(default=Decimal(0))
    total = ExactDecimalField(default=Decimal(0))
    taken_off_due = ExactDecimalField(
        default=Decimal(0), help_text="What it took off what was still owed on the invoice."
    )
    refunded = ExactDecimalField(
        default=Decimal(0), help_text="What goes back to the customer as money."
    )
    refund_through = models.CharField(max_length=10, choices=RefundThrough, blank=True)
    granted = ExactDecimalField(
        default=Decimal(0), help_text="What the customer has as credit for later invoices."
    )
    credits_returned = ExactDecimalField(
        default=Decimal(0),
        help_text="The part of the granted credit that the invoice had been paid of with credits.",
    )
    refunded_at = models.DateTimeField(
        null=True, blank=True, help_text="When the money went back, as far as it is known."
    )
    refund_reference = models.CharField(
        max_length=200, blank=True, help_text="Such as the reference of the bank transfer."
    )
    taxes = models.JSONField(
        default=list, blank=True, help_text="For each tax rate: key, percent, base and amount."
    )
    tax_note = models.CharField(
        max_length=200, blank=True, help_text="Why no tax is charged, in a sentence."
    )
    seller = models.JSONField(default=dict, help_text="The seller as it was at issue.")
    buyer = models.JSONField(default=dict, help_text="The customer as it was at issue.")
    cutoff = models.JSONField(
        null=True, blank=True, editable=False, help_text="Which ingest batches its usage had seen."
    )
    digest = models.CharField(
        max_length=64, blank=True, editable=False, help_text="SHA-256 of its content at issue."
    )

    objects = CreditNoteQuerySet.as_manager()

    class Meta:
        ordering = ["-issued_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(status="draft", number=None) | Q(number__isnull=False),
                name="billing_creditnote_issued_has_number",
            )
        ]
        triggers = frozen_document(FROZEN_COLUMNS)

    @override
    def __str__(self) -> str:
        return self.number or f"Draft for {self.customer}"

    @property
    def awaits_refund(self) -> bool:
        """Say whether money is to go back that has not gone yet, as far as it is known."""
        return bool(self.refunded) and self.refunded_at is None


class CreditNoteLineQuerySet(CustomerOwnedQuerySet["CreditNoteLine"]):
    customer_path = "credit_note__customer_id"


class CreditNoteLine(DocumentLine):
    """One amount that is taken back; with a `billing_period` it counts against what was billed."""

    credit_note = models.ForeignKey(CreditNote, on_delete=models.CASCADE, related_name="lines")
    invoice_line = models.ForeignKey(
        InvoiceLine,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="credit_note_lines",
        help_text="The line that this takes back, in whole or in part.",
    )

    objects = CreditNoteLineQuerySet.as_manager()

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(
                fields=["credit_note", "position"], name="billing_creditnoteline_position_once"
            ),
            billed_once("billing_creditnoteline_billed_once"),
            minimum_once("billing_creditnoteline_minimum_once"),
        ]
        triggers = frozen_lines("billing_creditnote", "credit_note_id")
