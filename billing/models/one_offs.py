"""Charges that are asked for once, and wait for the next invoice."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, override

from django.db import models
from django.db.models import Count, Exists, OuterRef, Q
from django.utils import timezone

from billing.models.fields import ExactDecimalField
from billing.rating.arithmetic import exact_arithmetic
from billing.rating.money import round_amount
from customers.models import Customer, validate_currency
from customers.tenancy import CustomerOwnedQuerySet

if TYPE_CHECKING:
    from billing.models.invoices import Invoice


class OneOffChargeQuerySet(CustomerOwnedQuerySet["OneOffCharge"]):
    def waiting(self, *, drafts_count: bool = False) -> OneOffChargeQuerySet:
        """Return what no issued invoice bills yet; with `drafts_count` no draft either."""
        is_billed = Q(lines__isnull=False, lines__invoice__is_reissued=False)
        if not drafts_count:
            is_billed &= ~Q(lines__invoice__status="draft")
        billed = OneOffCharge.objects.filter(is_billed, pk=OuterRef("pk"))
        return self.filter(~Exists(billed), canceled_at=None)

    def with_invoices(self) -> OneOffChargeQuerySet:
        """Add what says whether it is billed, in a fixed number of queries."""
        return self.select_related("customer").prefetch_related("lines__invoice")

    def with_parts(self) -> OneOffChargeQuerySet:
        """Add `parts`: how many issued lines have billed it, those of reissued invoices."""
        parts: dict[str, Any] = {
            "parts": Count("lines", filter=~Q(lines__invoice__status="draft")),
        }
        return self.annotate(**parts)


class OneOffCharge(models.Model):
    """So many units of something at a price each, on the next invoice in its currency.

    It is billed once: when its invoice is voided it is waived with it, and billed again only if that
    is reissued. Until it is billed it can be canceled; nothing else of it ever changes.
    """

    class Status(models.TextChoices):
        WAITING = "waiting", "Waiting"
        BILLED = "billed", "Billed"
        CANCELED = "canceled", "Canceled"

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="one_off_charges")
    description = models.CharField(max_length=500, help_text="What the invoice says it is for.")
    quantity = ExactDecimalField(default=Decimal(1))
    unit_amount = ExactDecimalField(help_text="The price of one.")
    currency = models.CharField(max_length=3, validators=[validate_currency])
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    canceled_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = OneOffChargeQuerySet.as_manager()

    # How many lines have billed it before, where the query was asked for it.
    parts: int

    class Meta:
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(quantity__gt=0, unit_amount__gt=0),
                name="billing_oneoffcharge_above_zero",
                violation_error_message="A charge is above zero: grant credit to give money.",
            )
        ]

    @override
    def __str__(self) -> str:
        return self.description

    @property
    def amount(self) -> Decimal:
        with exact_arithmetic():
            return round_amount(self.quantity * self.unit_amount, self.currency)

    @property
    def invoice(self) -> Invoice | None:
        """Return the invoice that it is on, a draft too."""
        return next(
            (line.invoice for line in self.lines.all() if not line.invoice.is_reissued), None
        )

    @property
    def status(self) -> OneOffCharge.Status:
        if self.canceled_at is not None:
            return self.Status.CANCELED
        invoice = self.invoice
        is_billed = invoice is not None and not invoice.is_draft
        return self.Status.BILLED if is_billed else self.Status.WAITING
