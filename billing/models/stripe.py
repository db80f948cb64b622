"""The mirror of Stripe: who is who there, how far each invoice got, and what Stripe told."""

from __future__ import annotations

from typing import override

from django.db import models
from django.utils import timezone

from billing.models.invoices import Invoice
from billing.models.stripe_work import QueuedWork
from customers.models import Customer


class Collection(models.TextChoices):
    """How the money of an invoice comes in."""

    SEND_INVOICE = "send_invoice", "Send the invoice"
    CHARGE_AUTOMATICALLY = "charge_automatically", "Charge automatically"


class StripeCustomer(models.Model):
    """A customer's counterpart in one Stripe account and mode, and how far its making got."""

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="stripe_customers"
    )
    account = models.CharField(max_length=100, help_text="Tells accounts and modes apart.")
    stripe_id = models.CharField(max_length=255, blank=True)
    generation = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    first_started_at = models.DateTimeField(
        null=True, blank=True, help_text="When it was first asked for, under any generation."
    )
    started_at = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveIntegerField(default=0)
    payload_digest = models.CharField(max_length=64, blank=True)
    updates = models.PositiveIntegerField(default=0, help_text="Changes sent since it was made.")
    collection_method = models.CharField(
        max_length=20,
        choices=Collection,
        default=Collection.SEND_INVOICE,
        help_text="Charging takes a payment method at Stripe; without one the invoice is sent.",
    )
    payment_method = models.CharField(
        max_length=255, blank=True, help_text="Stripe's id of the default payment method."
    )
    deleted_at = models.DateTimeField(
        null=True, blank=True, help_text="When Stripe said that somebody deleted it there."
    )
    attention = models.TextField(blank=True, help_text="What differs at Stripe.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["customer", "account"], name="billing_stripecustomer_once"
            )
        ]

    @override
    def __str__(self) -> str:
        return f"{self.customer} at Stripe"


class StripePush(QueuedWork):
    """How far an invoice has got on its way to Stripe."""

    class Status(models.TextChoices):
        PENDING = "pending", "On its way"
        COMPLETED = "completed", "At Stripe"
        ATTENTION = "attention", "Needs attention"
        SKIPPED = "skipped", "Nothing to send"
        BELOW_MINIMUM = "below_minimum", "Too little to collect"

    invoice = models.OneToOneField(Invoice, on_delete=models.PROTECT, related_name="stripe_push")
    status = models.CharField(max_length=20, choices=Status, default=Status.PENDING)
    environment = models.CharField(
        max_length=100,
        blank=True,
        help_text="The name this installation went by when the push began.",
    )
    stripe_invoice_id = models.CharField(max_length=255, blank=True, db_index=True)
    stripe_status = models.CharField(max_length=20, blank=True)
    stripe_number = models.CharField(max_length=100, blank=True)
    hosted_invoice_url = models.URLField(max_length=1000, blank=True)
    invoice_pdf = models.URLField(max_length=1000, blank=True)
    is_delivery_unknown = models.BooleanField(
        default=False, help_text="Whether Stripe sent the e-mail could not be found out."
    )
    collection_method = models.CharField(
        max_length=20,
        choices=Collection,
        default=Collection.SEND_INVOICE,
        help_text="As decided when the push began.",
    )
    collection_problem = models.TextField(
        blank=True, help_text="Why the money did not come, and what the customer has to do."
    )
    attempt_count = models.PositiveIntegerField(default=0, help_text="Payments Stripe has tried.")
    next_payment_attempt_at = models.DateTimeField(null=True, blank=True)
    links_read_at = models.DateTimeField(
        null=True, blank=True, help_text="When the addresses of its pages were last read."
    )
    lines_compared_at = models.DateTimeField(
        null=True, blank=True, help_text="When all its lines were compared after it was final."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    first_started_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "stripe pushes"

    @override
    def __str__(self) -> str:
        return f"Push of {self.invoice}"


class StripePushStep(models.Model):
    """One call of a push, written down before it is made so that no crash can double it."""

    push = models.ForeignKey(StripePush, on_delete=models.CASCADE, related_name="steps")
    name = models.CharField(max_length=40)
    generation = models.PositiveIntegerField(default=1)
    started_at = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveIntegerField(default=0)
    payload_digest = models.CharField(max_length=64, blank=True)
    completed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["push", "name"], name="billing_stripepushstep_once")
        ]

    @override
    def __str__(self) -> str:
        return self.name


class StripeEvent(models.Model):
    """A webhook as it came in, stored once by Stripe's id for it."""

    event_id = models.CharField(max_length=255, unique=True)
    account = models.CharField(max_length=100, blank=True)
    livemode = models.BooleanField()
    api_version = models.CharField(max_length=50, blank=True)
    type = models.CharField(max_length=100)
    object_id = models.CharField(max_length=255, blank=True)
    created_at = models.DateTimeField(help_text="When it happened at Stripe.")
    received_at = models.DateTimeField(default=timezone.now)
    payload = models.JSONField()
    handled_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    retry_at = models.DateTimeField(null=True, blank=True)
    outcome = models.TextField(blank=True)

    class Meta:
        ordering = ["-received_at"]

    @override
    def __str__(self) -> str:
        return f"{self.type} {self.event_id}"
