"""Work that Stripe is asked to do, how it goes, and what a comparison of both sides found."""

from __future__ import annotations

from typing import override

from django.db import models
from django.utils import timezone

from billing.models.fields import ExactDecimalField
from billing.models.invoices import Invoice, Payment


class QueuedWork(models.Model):
    """Something on its way to Stripe that may stop and is taken up again."""

    attention = models.TextField(blank=True, help_text="What a person has to look into.")
    last_error = models.TextField(blank=True, help_text="Why the latest attempt stopped.")
    attempts = models.PositiveIntegerField(default=0, help_text="Attempts that stopped, in a row.")
    request_id = models.CharField(
        max_length=100, blank=True, help_text="Stripe's own, for support."
    )
    retry_at = models.DateTimeField(null=True, blank=True)
    completed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True


class StripeQueue(models.Model):
    """Whether the calls to one Stripe account and mode are halted, and how fast they may follow.

    A halt is of one secret key: another key ends it, and so does an answer.
    """

    account = models.CharField(max_length=100, unique=True)
    halted_at = models.DateTimeField(null=True, blank=True)
    reason = models.TextField(blank=True, help_text="What Stripe said about the secret key.")
    request_id = models.CharField(max_length=100, blank=True)
    key_digest = models.CharField(max_length=64, blank=True, editable=False)
    probe_at = models.DateTimeField(
        null=True, blank=True, help_text="When one call finds out whether the key works again."
    )
    paced_to = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="From when on the next call may be made."
    )

    @override
    def __str__(self) -> str:
        return self.account


class StripeOperation(QueuedWork):
    """One thing asked of an invoice after its push, written down before the call is made.

    `reference` tells several of a kind apart: for a credit note it is our number.
    """

    class Kind(models.TextChoices):
        VOID = "void", "Void"
        UNCOLLECTIBLE = "uncollectible", "Mark as uncollectible"
        PAY = "pay", "Charge the payment method"
        PAID_ELSEWHERE = "paid_elsewhere", "Mark as paid"
        CREDIT_NOTE = "credit_note", "Credit note"

    class Status(models.TextChoices):
        PENDING = "pending", "On its way"
        COMPLETED = "completed", "Done"
        ATTENTION = "attention", "Needs attention"

    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="stripe_operations")
    kind = models.CharField(max_length=20, choices=Kind)
    reference = models.CharField(max_length=40, blank=True)
    content = models.JSONField(default=dict, blank=True, help_text="What is asked for.")
    status = models.CharField(max_length=20, choices=Status, default=Status.PENDING)
    outcome = models.TextField(blank=True, help_text="What came of it.")
    stripe_id = models.CharField(max_length=255, blank=True, help_text="What it made at Stripe.")
    requested_at = models.DateTimeField(default=timezone.now)
    generation = models.PositiveIntegerField(default=1)
    started_at = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveIntegerField(default=0)
    payload_digest = models.CharField(max_length=64, blank=True)

    class Meta:
        ordering = ["-requested_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["invoice", "kind", "reference"], name="billing_stripeoperation_once"
            )
        ]

    @override
    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.invoice}"


class PaymentReversal(models.Model):
    """Money of a payment that went back, or that the customer's bank asks back."""

    class Kind(models.TextChoices):
        REFUND = "refund", "Refund"
        DISPUTE = "dispute", "Dispute"

    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="reversals")
    kind = models.CharField(max_length=10, choices=Kind)
    external_id = models.CharField(max_length=255, unique=True, help_text="Its id at Stripe.")
    amount = ExactDecimalField()
    status = models.CharField(max_length=40, help_text="In Stripe's words.")
    reason = models.CharField(max_length=100, blank=True)
    created_at = models.DateTimeField(help_text="When it was made at Stripe.")

    class Meta:
        ordering = ["-created_at"]

    @override
    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.amount} {self.payment.invoice.currency}"


class StripeReconciliation(models.Model):
    """One comparison of our invoices with Stripe's."""

    at = models.DateTimeField(help_text="The instant it compared as of.")
    since = models.DateTimeField(null=True, blank=True, help_text="Invoices made there from then.")
    started_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)
    invoices_compared = models.PositiveIntegerField(default=0)
    statuses_repaired = models.PositiveIntegerField(default=0)
    events_recovered = models.PositiveIntegerField(
        default=0, help_text="Webhooks that never arrived and were fetched."
    )
    halted = models.TextField(blank=True, help_text="Why it was not carried through.")
    differences = models.JSONField(
        default=list, blank=True, help_text="One entry for each invoice that differs."
    )

    class Meta:
        ordering = ["-started_at"]

    @override
    def __str__(self) -> str:
        return f"Reconciliation as of {self.at:%Y-%m-%d %H:%M}"

    @property
    def is_clean(self) -> bool:
        return not self.halted and not self.differences
