"""What the lines of invoices and credit notes have in common."""

from __future__ import annotations

from decimal import Decimal
from typing import override

from django.db import models
from django.db.models import Q

from billing.models.catalog import Price
from billing.models.fields import ExactDecimalField
from billing.models.subscriptions import Subscription, SubscriptionPeriod


class DocumentLine(models.Model):
    """One amount on a document, with the price it came from and the steps that led to it.

    A price is charged for a stretch of a billing period: `billing_period`, `billed_price` and
    `period_start` name the charge. The lines of issued documents that name it add up to what was
    billed for it; `part` numbers them, so that no two documents bill the same difference.
    """

    class Kind(models.TextChoices):
        FEE = "fee", "Fee"
        USAGE = "usage", "Usage"
        MINIMUM = "minimum", "Minimum"
        ADJUSTMENT = "adjustment", "Adjustment"
        PRORATION = "proration", "Proration"
        ONE_OFF = "one_off", "One-off"
        CREDIT = "credit", "Credit"
        TAX = "tax", "Tax"

    position = models.PositiveIntegerField()
    kind = models.CharField(max_length=20, choices=Kind)
    price = models.CharField(max_length=100, help_text="The key of the price.")
    meter = models.CharField(max_length=100, blank=True, help_text="The key of the meter.")
    description = models.CharField(max_length=500)
    quantity = ExactDecimalField(help_text="The total of the stretch, as it is known now.")
    billed_quantity = ExactDecimalField(
        null=True, blank=True, help_text="The total that documents before had billed, if any had."
    )
    amount = ExactDecimalField()
    discount = ExactDecimalField(
        default=Decimal(0),
        help_text="What coupons take off the amount; of what is given back, what they had taken.",
    )
    period_start = models.DateTimeField()
    period_end = models.DateTimeField()
    document = models.JSONField(help_text="The price document as it was.")
    steps = models.JSONField(default=list, help_text="How the amount came about; adds up to it.")
    subscription = models.ForeignKey(
        Subscription,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        db_index=False,
        related_name="+",
    )
    billing_period = models.ForeignKey(
        SubscriptionPeriod,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        db_index=False,
        related_name="%(class)ss",
        help_text="The period that is billed. The unique constraint is its index.",
    )
    billed_price = models.ForeignKey(
        Price, on_delete=models.PROTECT, null=True, blank=True, db_index=False, related_name="+"
    )
    part = models.PositiveSmallIntegerField(
        default=0, help_text="How many lines had billed the same charge before."
    )

    class Meta:
        abstract = True

    @override
    def __str__(self) -> str:
        return self.description


def billed_once(name: str) -> models.UniqueConstraint:
    """Let no two lines bill the same part of a charge."""
    return models.UniqueConstraint(
        fields=["billing_period", "billed_price", "period_start", "part"], name=name
    )


def minimum_once(name: str) -> models.UniqueConstraint:
    """Let no two lines bill the same part of a period's minimum, which has no price."""
    return models.UniqueConstraint(
        fields=["billing_period", "part"],
        condition=Q(billed_price=None, billing_period__isnull=False),
        name=name,
    )
