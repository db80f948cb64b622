"""Documents: invoices, their lines, their numbers, and the payments against them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import override

import pgtrigger
from django.db import models
from django.db.models import Q
from django.utils import timezone

from billing.models.fields import ExactDecimalField
from billing.models.subscriptions import Subscription
from customers.models import Customer
from customers.tenancy import CustomerOwnedQuerySet

# What an issued invoice says. Its status, payments and links go on changing; these do not.
FROZEN_COLUMNS = (
    "created_at",
    "customer_id",
    "subscription_id",
    "number",
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
    "seller",
    "buyer",
)
OLD_CONTENT = ", ".join(f"OLD.{column}" for column in FROZEN_COLUMNS)
NEW_CONTENT = ", ".join(f"NEW.{column}" for column in FROZEN_COLUMNS)


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


class Invoice(models.Model):
    """What a customer owes for a period. A draft is recomputed; an issued one never changes."""

    class Status(models.TextChoices):
        DRAFT = "draft", "Draft"
        OPEN = "open", "Open"
        PAID = "paid", "Paid"
        VOID = "void", "Void"
        UNCOLLECTIBLE = "uncollectible", "Uncollectible"

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="invoices")
    subscription = models.ForeignKey(
        Subscription, on_delete=models.PROTECT, related_name="invoices"
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
    seller = models.JSONField(default=dict, help_text="The seller as it was at issue.")
    buyer = models.JSONField(default=dict, help_text="The customer as it was at issue.")

    objects = InvoiceQuerySet.as_manager()

    class Meta:
        ordering = ["-period_start", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["subscription", "period_start"],
                condition=~Q(status="void"),
                name="billing_invoice_period_once",
            ),
            models.CheckConstraint(
                condition=Q(status="draft", number=None) | Q(number__isnull=False),
                name="billing_invoice_issued_has_number",
            ),
        ]
        triggers = [
            pgtrigger.Protect(
                name="issued_content_is_frozen",
                operation=pgtrigger.Update,
                # Nor does it become a draft again, whose content may change.
                condition=pgtrigger.Condition(
                    "OLD.status <> 'draft' AND (NEW.status = 'draft' OR "
                    f"({OLD_CONTENT}) IS DISTINCT FROM ({NEW_CONTENT}))"
                ),
            ),
            pgtrigger.Protect(
                name="issued_is_never_deleted",
                operation=pgtrigger.Delete,
                condition=pgtrigger.Condition("OLD.status <> 'draft'"),
            ),
        ]

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
        return Decimal(self.total - self.amount_paid)

    def is_past_due(self, at: datetime) -> bool:
        return self.status == self.Status.OPEN and self.due_at is not None and self.due_at < at


class InvoiceLineQuerySet(CustomerOwnedQuerySet["InvoiceLine"]):
    customer_path = "invoice__customer_id"


class InvoiceLine(models.Model):
    """One amount on an invoice, with the price it came from and the steps that led to it."""

    class Kind(models.TextChoices):
        FEE = "fee", "Fee"
        USAGE = "usage", "Usage"
        MINIMUM = "minimum", "Minimum"
        ADJUSTMENT = "adjustment", "Adjustment"
        PRORATION = "proration", "Proration"
        ONE_OFF = "one_off", "One-off"
        CREDIT = "credit", "Credit"
        TAX = "tax", "Tax"

    invoice = models.ForeignKey(Invoice, on_delete=models.CASCADE, related_name="lines")
    position = models.PositiveIntegerField()
    kind = models.CharField(max_length=20, choices=Kind)
    price = models.CharField(max_length=100, help_text="The key of the price.")
    meter = models.CharField(max_length=100, blank=True, help_text="The key of the meter.")
    description = models.CharField(max_length=500)
    quantity = ExactDecimalField()
    amount = ExactDecimalField()
    period_start = models.DateTimeField()
    period_end = models.DateTimeField()
    document = models.JSONField(help_text="The price document as it was.")
    steps = models.JSONField(default=list, help_text="How the amount came about; adds up to it.")

    objects = InvoiceLineQuerySet.as_manager()

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(
                fields=["invoice", "position"], name="billing_invoiceline_position_once"
            )
        ]
        triggers = [
            pgtrigger.Trigger(
                name="issued_lines_are_frozen",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
                func=pgtrigger.Func(  # type: ignore[no-untyped-call]
                    """
                    IF EXISTS (
                        SELECT FROM billing_invoice
                        WHERE status <> 'draft'
                        AND id IN (COALESCE(NEW.invoice_id, OLD.invoice_id), OLD.invoice_id)
                    ) THEN
                        RAISE EXCEPTION 'pgtrigger: lines of an issued invoice never change';
                    END IF;
                    RETURN COALESCE(NEW, OLD);
                    """
                ),
            )
        ]

    @override
    def __str__(self) -> str:
        return self.description


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
