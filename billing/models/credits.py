"""Credits: money that customers have with the seller, and the ledger of what became of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, override

import pgtrigger
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from billing.models.credit_notes import CreditNote
from billing.models.fields import ExactDecimalField
from billing.models.freezing import never_emptied
from billing.models.invoices import Invoice
from customers.models import Customer, validate_currency, validate_key
from customers.tenancy import CustomerOwnedQuerySet


class CreditGrantQuerySet(CustomerOwnedQuerySet["CreditGrant"]):
    def with_balance(self) -> CreditGrantQuerySet:
        """Add `balance`: what its entries add up to."""
        left: dict[str, Any] = {"balance": Coalesce(Sum("entries__amount"), Decimal(0))}
        return self.annotate(**left)

    def not_used_up(self) -> CreditGrantQuerySet:
        """Return, with their balance, the grants of which something is left."""
        return self.with_balance().filter(Q(("balance__gt", 0)))

    def in_order_of_use(self) -> CreditGrantQuerySet:
        """Order by priority, then by what expires first, then by age."""
        return self.order_by("priority", F("expires_at").asc(nulls_last=True), "created_at", "pk")


class CreditGrant(models.Model):
    """Money that pays a customer's invoices. What it was never changes; its entries say what is left."""

    class Kind(models.TextChoices):
        PAID = "paid", "Paid for"
        PROMOTIONAL = "promotional", "Promotional"

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="credit_grants")
    name = models.CharField(max_length=200, help_text="Such as Prepaid 2026.")
    kind = models.CharField(max_length=20, choices=Kind, default=Kind.PAID)
    currency = models.CharField(max_length=3, validators=[validate_currency])
    amount = ExactDecimalField()
    cost_basis = ExactDecimalField(
        null=True,
        blank=True,
        help_text="What the customer paid for one unit of currency; less than 1 with a bonus.",
    )
    priority = models.PositiveSmallIntegerField(
        default=50, validators=[MaxValueValidator(100)], help_text="The lowest is used first."
    )
    prices = ArrayField(
        models.CharField(max_length=100, validators=[validate_key]),
        default=list,
        blank=True,
        size=100,
        help_text="Keys of the prices whose lines it pays, with their tax; none means all.",
    )
    credit_note = models.ForeignKey(
        CreditNote,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="credit_grants",
        help_text="The credit note that it settles.",
    )
    effective_at = models.DateTimeField(help_text="From when invoices can be paid with it.")
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty for never.")
    rollover_amount = ExactDecimalField(
        null=True,
        blank=True,
        help_text="How much of what is left when it expires is carried over. Empty for nothing.",
    )
    rollover_months = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(120)],
        help_text="For how many months from then on; once.",
    )
    rolled_over_from = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="rolled_over_to",
        help_text="The expired grant that this carries over what was left of.",
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = CreditGrantQuerySet.as_manager()

    # What is left, where the query was asked for it.
    balance: Decimal

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(amount__gt=0),
                name="billing_creditgrant_above_zero",
                violation_error_message="The amount is above zero.",
            ),
            models.CheckConstraint(
                condition=Q(expires_at=None) | Q(expires_at__gt=F("effective_at")),
                name="billing_creditgrant_expires_after_start",
                violation_error_message="It expires after it becomes effective.",
            ),
            models.CheckConstraint(
                condition=Q(rollover_amount=None, rollover_months=None)
                | Q(
                    rollover_amount__isnull=False,
                    rollover_amount__gt=0,
                    rollover_months__isnull=False,
                    expires_at__isnull=False,
                ),
                name="billing_creditgrant_rolls_over_whole",
                violation_error_message=(
                    "What is carried over takes rollover_amount above zero, rollover_months and "
                    "expires_at."
                ),
            ),
        ]
        triggers = [
            pgtrigger.Protect(
                name="a_grant_never_changes", operation=pgtrigger.Update | pgtrigger.Delete
            ),
            never_emptied(),
        ]

    @override
    def __str__(self) -> str:
        return f"{self.name} ({self.amount} {self.currency})"


class CreditEntryQuerySet(CustomerOwnedQuerySet["CreditEntry"]):
    customer_path = "grant__customer_id"


class CreditEntry(models.Model):
    """A line of the ledger. Entries are added and never change; together they never go below zero."""

    class Kind(models.TextChoices):
        GRANTED = "granted", "Granted"
        APPLIED = "applied", "Applied to an invoice"
        RETURNED = "returned", "Given back of a void invoice"
        EXPIRED = "expired", "Expired"
        ROLLED_OVER = "rolled_over", "Carried over"
        VOIDED = "voided", "Taken back"

    grant = models.ForeignKey(CreditGrant, on_delete=models.PROTECT, related_name="entries")
    kind = models.CharField(max_length=20, choices=Kind)
    amount = ExactDecimalField(help_text="Below zero for what goes out.")
    invoice = models.ForeignKey(
        Invoice, on_delete=models.PROTECT, null=True, blank=True, related_name="credit_entries"
    )
    at = models.DateTimeField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = CreditEntryQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        verbose_name_plural = "credit entries"
        constraints = [
            models.UniqueConstraint(
                fields=["grant", "invoice", "kind"], name="billing_creditentry_once_per_invoice"
            )
        ]
        triggers = [
            pgtrigger.Protect(
                name="entries_never_change", operation=pgtrigger.Update | pgtrigger.Delete
            ),
            never_emptied(),
            pgtrigger.Trigger(
                name="a_grant_is_never_overdrawn",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                func=pgtrigger.Func(  # type: ignore[no-untyped-call]
                    """
                    PERFORM FROM billing_creditgrant WHERE id = NEW.grant_id FOR UPDATE;
                    IF NEW.amount + (
                        SELECT COALESCE(SUM(amount), 0) FROM billing_creditentry
                        WHERE grant_id = NEW.grant_id
                    ) < 0 THEN
                        RAISE EXCEPTION 'pgtrigger: there is not that much left of the grant';
                    END IF;
                    RETURN NEW;
                    """
                ),
            ),
        ]

    @override
    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.amount}"
