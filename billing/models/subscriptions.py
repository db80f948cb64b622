"""Who bought what, from when until when, and why.

A subscription's changes are its history and the truth. Its phases are what they come to: which
plan version and quantities hold from when until when. Its periods are the stretches of time that
documents bill.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, override
from zoneinfo import ZoneInfo

import pgtrigger
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeBoundary, RangeOperators
from django.db import models
from django.db.models import F, Func, Q
from django.utils import timezone

from billing.models.catalog import PlanVersion
from customers.models import Customer
from customers.tenancy import CustomerOwnedQuerySet

if TYPE_CHECKING:
    from billing.models.coupons import Coupon


class TimeRange(Func):
    """`[start, end)` of two columns; an empty end is no end."""

    function = "TSTZRANGE"
    output_field = DateTimeRangeField()


class OneNumber(Func):
    """A number as a range of one, which GiST compares without an extension of the database."""

    function = "INT8RANGE"
    template = "%(function)s(%(expressions)s, %(expressions)s, '[]')"


def never_overlap(name: str, start: str, end: str) -> ExclusionConstraint:
    """Let no two rows of a subscription share an instant."""
    return ExclusionConstraint(
        name=name,
        expressions=[
            (OneNumber("subscription_id"), RangeOperators.OVERLAPS),
            (TimeRange(start, end, RangeBoundary()), RangeOperators.OVERLAPS),
        ],
    )


class SubscriptionQuerySet(CustomerOwnedQuerySet["Subscription"]):
    def active(self, at: datetime) -> SubscriptionQuerySet:
        """Return subscriptions that run at the instant `at`."""
        return self.filter(Q(end_at=None) | Q(end_at__gt=at), start_at__lte=at)


class Subscription(models.Model):
    """A customer's purchase of a plan, over `[start_at, end_at)`."""

    class Anchor(models.TextChoices):
        CALENDAR = "calendar", "Calendar"
        ANNIVERSARY = "anniversary", "Anniversary of the start"

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="subscriptions")
    plan_version = models.ForeignKey(
        PlanVersion,
        on_delete=models.PROTECT,
        related_name="subscriptions",
        help_text="The version in force; what held before and what is to come is in the phases.",
    )
    anchor = models.CharField(
        max_length=20,
        choices=Anchor,
        default=Anchor.CALENDAR,
        help_text="Where periods are cut: at the calendar's bounds, or on the day it began.",
    )
    start_at = models.DateTimeField()
    trial_end_at = models.DateTimeField(
        null=True, blank=True, help_text="Until when nothing is charged, if it began with a trial."
    )
    end_at = models.DateTimeField(null=True, blank=True, help_text="Empty while it runs on.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    canceled_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When somebody asked for the end."
    )
    billed_until = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="The last instant whose dues have been turned into a document.",
    )

    objects = SubscriptionQuerySet.as_manager()

    class Meta:
        ordering = ["-start_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(end_at=None) | Q(end_at__gte=F("start_at")),
                name="billing_subscription_ends_after_start",
            )
        ]

    @override
    def __str__(self) -> str:
        return f"{self.customer}: {self.plan_version}"

    def is_billed(self, instant: datetime) -> bool:
        """Say whether what falls due at an instant has been turned into a document."""
        return self.billed_until is not None and instant <= self.billed_until

    @property
    def coupons(self) -> list[Coupon]:
        """Return the coupons on it, in the order they are taken off; not those removed from it."""
        redemptions = self.redemptions.all()
        return [each.coupon for each in redemptions if each.removed_at is None]

    def is_active(self, at: datetime) -> bool:
        return self.start_at <= at and (self.end_at is None or at < self.end_at)


class SubscriptionOwnedQuerySet[M: models.Model](CustomerOwnedQuerySet[M]):
    customer_path = "subscription__customer_id"


class SubscriptionChange(models.Model):
    """One thing that was asked of a subscription: the history that explains it."""

    class Kind(models.TextChoices):
        START = "start", "Started"
        CHANGE = "change", "Changed"
        PAUSE = "pause", "Paused"
        RESUME = "resume", "Resumed"
        CANCEL = "cancel", "Canceled"
        TRIAL_END = "trial_end", "Trial ended"

    subscription = models.ForeignKey(Subscription, on_delete=models.CASCADE, related_name="changes")
    kind = models.CharField(max_length=20, choices=Kind)
    requested_at = models.DateTimeField(help_text="When it was asked for.")
    effective_at = models.DateTimeField(help_text="From when it holds.")
    plan_version = models.ForeignKey(
        PlanVersion,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="The version from then on; empty to keep the one before.",
    )
    quantities = models.JSONField(
        default=dict, blank=True, help_text="Units by the key of their price, from then on."
    )
    withdrawn_at = models.DateTimeField(
        null=True, blank=True, help_text="When it was taken back, before it came to hold."
    )

    objects = SubscriptionOwnedQuerySet["SubscriptionChange"].as_manager()

    class Meta:
        ordering = ["effective_at", "pk"]

    @override
    def __str__(self) -> str:
        return f"{self.get_kind_display()} from {self.effective_at:%Y-%m-%d %H:%M}"


class SubscriptionPhase(models.Model):
    """A stretch of a subscription in which one plan version and the same quantities hold.

    Phases follow from the changes and are written anew with each of them. The last ends with the
    subscription.
    """

    class State(models.TextChoices):
        TRIAL = "trial", "Trial"
        ACTIVE = "active", "Active"
        PAUSED = "paused", "Paused"

    subscription = models.ForeignKey(Subscription, on_delete=models.CASCADE, related_name="phases")
    plan_version = models.ForeignKey(PlanVersion, on_delete=models.PROTECT, related_name="phases")
    state = models.CharField(max_length=20, choices=State, default=State.ACTIVE)
    quantities = models.JSONField(default=dict, blank=True)
    start_at = models.DateTimeField()
    end_at = models.DateTimeField(null=True, blank=True)
    anchor_on = models.DateField(
        null=True, blank=True, help_text="The day whose anniversaries cut periods, if one does."
    )

    objects = SubscriptionOwnedQuerySet["SubscriptionPhase"].as_manager()

    class Meta:
        ordering = ["start_at"]
        constraints = [never_overlap("billing_phases_never_overlap", "start_at", "end_at")]

    @override
    def __str__(self) -> str:
        return f"{self.plan_version} from {self.start_at:%Y-%m-%d %H:%M}"


class SubscriptionPeriod(models.Model):
    """A billing period of a subscription: billed once, by the documents that name it.

    `[period_start, period_end)` is the part that the subscription lasts of the full period
    `[full_start, full_end)`. Periods follow one another without a gap or an overlap.
    """

    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="periods")
    period_start = models.DateTimeField()
    period_end = models.DateTimeField()
    full_start = models.DateTimeField()
    full_end = models.DateTimeField()
    time_zone = models.CharField(
        max_length=64, help_text="The customer's zone when it was cut: its days are days there."
    )
    starts_rhythm = models.BooleanField(
        default=False, help_text="It begins with another interval, at whatever time of day."
    )
    closed_at = models.DateTimeField(
        null=True, blank=True, help_text="When the document of its end was first drafted."
    )
    is_stale = models.BooleanField(
        default=False,
        help_text="Something has changed since what it is worth was last compared with its bills.",
    )

    objects = SubscriptionOwnedQuerySet["SubscriptionPeriod"].as_manager()

    class Meta:
        ordering = ["period_start"]
        constraints = [
            never_overlap("billing_periods_never_overlap", "period_start", "period_end"),
            models.UniqueConstraint(
                fields=["subscription", "period_start"], name="billing_period_once"
            ),
            models.CheckConstraint(
                condition=Q(full_start__lt=F("full_end"), period_start__lt=F("period_end")),
                name="billing_period_ends_after_start",
            ),
        ]
        indexes = [
            models.Index(
                fields=["subscription"], condition=Q(is_stale=True), name="billing_stale_periods"
            )
        ]
        triggers = [
            # By the statement, because a night writes many. A first period has none before it.
            pgtrigger.Trigger(
                name="periods_have_no_gap",
                level=pgtrigger.Statement,
                when=pgtrigger.After,
                operation=pgtrigger.Insert,
                referencing=pgtrigger.Referencing(new="new_periods"),  # type: ignore[no-untyped-call]
                func=pgtrigger.Func(  # type: ignore[no-untyped-call]
                    """
                    IF EXISTS (
                        SELECT FROM new_periods AS added
                        WHERE NOT EXISTS (
                            SELECT FROM billing_subscriptionperiod AS before
                            WHERE before.subscription_id = added.subscription_id
                            AND before.period_end = added.period_start
                        ) AND EXISTS (
                            SELECT FROM billing_subscriptionperiod AS other
                            WHERE other.subscription_id = added.subscription_id
                            AND (
                                other.period_start < added.period_start
                                OR other.id NOT IN (SELECT id FROM new_periods)
                            )
                        )
                    ) THEN
                        RAISE EXCEPTION 'pgtrigger: a period begins where the one before ends';
                    END IF;
                    RETURN NULL;
                    """
                ),
            )
        ]

    @override
    def __str__(self) -> str:
        return f"{self.period_start:%Y-%m-%d} to {self.period_end:%Y-%m-%d}"

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)
