"""Documents: invoices, their lines, their numbers, and the payments against them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import override

from django.db import models
from django.db.models import Q
from django.utils import timezone

from billing.models.fields import ExactDecimalField
from billing.models.freezing import frozen_document, frozen_lines
from billing.models.lines import DocumentLine, billed_once, minimum_once
from billing.models.one_offs import OneOffCharge
from billing.models.subscriptions import Subscription
from customers.models import Customer
from customers.tenancy import CustomerOwnedQuerySet

# What an issued invoice says. Its status, payments and links go on changing; these do not.
FROZEN_COLUMNS = (
    "created_at",
    "customer_id",
    "subscription_id",
    "number",
    "billing_reason",
    "billing_at",
    "currency",
    "period_start",
    "period_end",
    "issued_at",
    "due_at",
    "subtotal",
    "discount",
    "tax",
    "credits",
    "total",
    "discounts",
    "taxes",
    "tax_note",
    "seller",
    "buyer",
    "cutoff",
    "digest",
)


class NumberSeries(models.Model):
    """A row that hands out document numbers one after the other, under its own lock."""

    prefix = models.CharField(max_length=20, unique=True)
    next_number = models.PositiveBigIntegerField(default=1)

    class Meta:
        verbose_name_plural = "number series"

    @override
    def __str__(self) -> str:
        return self.prefix


class InvoiceQuerySet(CustomerOwnedQuerySet["Invoice"]):
    def issued(self) -> InvoiceQuerySet:
        """Return documents that have left draft."""
        return self.exclude(status=Invoice.Status.DRAFT)

    def counting(self) -> InvoiceQuerySet:
        """Return documents whose lines count as billed: a void one is waived, unless reissued."""
        return self.issued().filter(is_reissued=False)


class Invoice(models.Model):
    """What a customer owes as of an instant. A draft is recomputed; an issued one never changes.

    It bills one subscription, or all that a customer has when its invoices are consolidated; what
    is billed by hand belongs to none. Each line says which subscription and period it bills.
    """

    class Status(models.TextChoices):
        DRAFT = "draft", "Draft"
        OPEN = "open", "Open"
        PAID = "paid", "Paid"
        VOID = "void", "Void"
        UNCOLLECTIBLE = "uncollectible", "Uncollectible"

    class Reason(models.TextChoices):
        CYCLE = "cycle", "A period ended or began"
        CHANGE = "change", "The subscription changed"
        THRESHOLD = "threshold", "The open amount passed its limit"
        ADJUSTMENT = "adjustment", "Usage changed after the last invoice"
        MANUAL = "manual", "Billed by hand"

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="invoices")
    subscription = models.ForeignKey(
        Subscription,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="invoices",
        help_text="Empty for one that bills several, and for one that is billed by hand.",
    )
    billing_reason = models.CharField(max_length=20, choices=Reason, default=Reason.CYCLE)
    billing_at = models.DateTimeField(
        null=True, blank=True, help_text="The instant whose dues it bills; what it knew is of then."
    )
    number = models.CharField(max_length=40, null=True, blank=True, unique=True, editable=False)
    status = models.CharField(max_length=20, choices=Status, default=Status.DRAFT, editable=False)
    currency = models.CharField(max_length=3)
    period_start = models.DateTimeField()
    period_end = models.DateTimeField()
    finalize_at = models.DateTimeField(
        help_text="The end of the grace in which a draft still moves."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    issued_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(null=True, blank=True)
    paid_at = models.DateTimeField(null=True, blank=True)
    voided_at = models.DateTimeField(null=True, blank=True)
    subtotal = ExactDecimalField(default=Decimal(0))
    discount = ExactDecimalField(default=Decimal(0))
    tax = ExactDecimalField(default=Decimal(0))
    credits = ExactDecimalField(default=Decimal(0))
    total = ExactDecimalField(default=Decimal(0))
    amount_paid = ExactDecimalField(default=Decimal(0))
    amount_credited = ExactDecimalField(
        default=Decimal(0), help_text="What credit notes took off while it was still owed."
    )
    discounts = models.JSONField(
        default=list, blank=True, help_text="For each coupon: key, name and amount."
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
    is_reissued = models.BooleanField(
        default=False,
        editable=False,
        help_text="It is void and what it billed is billed again. Otherwise a void one is waived.",
    )

    objects = InvoiceQuerySet.as_manager()

    class Meta:
        ordering = ["-period_start", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["subscription", "billing_at", "billing_reason"],
                condition=Q(billing_reason__in=["cycle", "change"], is_reissued=False),
                name="billing_invoice_instant_once",
            ),
            models.UniqueConstraint(
                fields=["customer", "currency", "billing_at", "billing_reason"],
                condition=Q(
                    subscription=None, billing_reason__in=["cycle", "change"], is_reissued=False
                ),
                name="billing_invoice_consolidated_once",
            ),
            models.CheckConstraint(
                condition=Q(status="draft", number=None) | Q(number__isnull=False),
                name="billing_invoice_issued_has_number",
            ),
        ]
        triggers = frozen_document(FROZEN_COLUMNS)

    @override
    def __str__(self) -> str:
        return self.number or f"Draft for {self.customer}"

    @property
    def is_draft(self) -> bool:
        return self.status == self.Status.DRAFT

    @property
    def amount_due(self) -> Decimal:
        """Money still owed, in the invoice's currency; nothing on a void invoice."""
        if self.status == self.Status.VOID:
            return Decimal(self.total - self.total)
        owed = self.total - self.amount_paid - self.amount_credited
        return Decimal(max(owed, self.total - self.total))

    def is_past_due(self, at: datetime) -> bool:
        return self.status == self.Status.OPEN and self.due_at is not None and self.due_at < at


class InvoiceLineQuerySet(CustomerOwnedQuerySet["InvoiceLine"]):
    customer_path = "invoice__customer_id"


class InvoiceLine(DocumentLine):
    """One amount on an invoice."""

    invoice = models.ForeignKey(Invoice, on_delete=models.CASCADE, related_name="lines")
    original = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="adjustments",
        help_text="The line of an issued invoice that this puts right.",
    )
    one_off = models.ForeignKey(
        OneOffCharge,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        db_index=False,
        related_name="lines",
        help_text="The charge that waited for this invoice. The unique constraint is its index.",
    )

    objects = InvoiceLineQuerySet.as_manager()

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(
                fields=["invoice", "position"], name="billing_invoiceline_position_once"
            ),
            billed_once("billing_invoiceline_billed_once"),
            models.UniqueConstraint(
                fields=["one_off", "part"], name="billing_invoiceline_one_off_once"
            ),
            minimum_once("billing_invoiceline_minimum_once"),
        ]
        triggers = frozen_lines("billing_invoice", "invoice_id")


class PaymentQuerySet(CustomerOwnedQuerySet["Payment"]):
    customer_path = "invoice__customer_id"


class Payment(models.Model):
    """Money received against an invoice."""

    class Source(models.TextChoices):
        STRIPE = "stripe", "Stripe"
        MANUAL = "manual", "Recorded by staff"

    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="payments")
    source = models.CharField(max_length=10, choices=Source)
    external_id = models.CharField(
        max_length=255, unique=True, help_text="The payment's id where it was made."
    )
    amount = ExactDecimalField()
    paid_at = models.DateTimeField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = PaymentQuerySet.as_manager()

    class Meta:
        ordering = ["-paid_at"]

    @override
    def __str__(self) -> str:
        return f"{self.amount} {self.invoice.currency}"
