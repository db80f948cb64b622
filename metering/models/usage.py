"""Roll-ups: what the aggregator has folded events into."""

from __future__ import annotations

import uuid
from typing import override
from zoneinfo import ZoneInfo

from django.contrib.postgres.fields import ArrayField
from django.db import models

from customers.models import Customer
from metering.models.meters import Meter

NO_DIMENSIONS = uuid.UUID(int=0)


class Grain(models.TextChoices):
    """The length of a bucket; days are those of the layout's time zone, others count from them."""

    MINUTE = "minute", "Minute"
    FIVE_MINUTES = "5minute", "Five minutes"
    HOUR = "hour", "Hour"
    DAY = "day", "Day"


class UsageLayout(models.Model):
    """How a customer's roll-ups of a meter are cut; without one there are none to rely on.

    A row appears in the transaction that makes the roll-ups complete and is changed by the one
    that makes them anew. `revision` tells a reader that they were meanwhile.
    """

    pk = models.CompositePrimaryKey("customer_id", "meter_id")
    customer = models.ForeignKey(
        Customer, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    meter = models.ForeignKey(
        Meter, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    time_zone = models.CharField(max_length=64, help_text="In which the days of buckets begin.")
    kept = models.JSONField(
        default=dict,
        help_text="For each dimension with too many values, those that have rows of their own.",
    )
    lacks = ArrayField(
        models.DateTimeField(),
        default=list,
        help_text="Starts of archived months whose events are not in the roll-ups.",
    )
    revision = models.UUIDField()

    @override
    def __str__(self) -> str:
        return f"{self.time_zone} {self.revision}"

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)


class UsageBucket(models.Model):
    """A meter's partial results over one bucket: totals, or one combination of dimensions.

    Totals have the digest NO_DIMENSIONS. Rows of any two buckets combine, so any stretch of
    whole buckets is answered from them alone. Only what the meter's aggregation reads is kept.
    """

    pk = models.CompositePrimaryKey(
        "customer_id", "meter_id", "grain", "bucket_start", "dimensions_digest"
    )
    customer = models.ForeignKey(
        Customer, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    meter = models.ForeignKey(
        Meter, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    grain = models.CharField(max_length=10, choices=Grain)
    bucket_start = models.DateTimeField()
    dimensions_digest = models.UUIDField(default=NO_DIMENSIONS)
    dimensions = models.JSONField()
    events = models.BigIntegerField()
    total = models.DecimalField(max_digits=None, decimal_places=None, null=True)
    greatest = models.DecimalField(max_digits=None, decimal_places=None, null=True)
    least = models.DecimalField(max_digits=None, decimal_places=None, null=True)
    latest = ArrayField(
        models.TextField(db_collation="C"),
        null=True,
        help_text="Instant, id and value of the latest event, as texts whose order is theirs.",
    )
    moment = models.DecimalField(
        max_digits=None,
        decimal_places=None,
        null=True,
        help_text="The sum of each value times its instant, in microseconds since 1970.",
    )
    highest = models.DecimalField(
        max_digits=None,
        decimal_places=None,
        null=True,
        help_text="The greatest running total within the bucket, which begins at zero.",
    )
    unparsed = models.BigIntegerField(help_text="Events whose value is no decimal number.")

    @override
    def __str__(self) -> str:
        return f"{self.grain} {self.bucket_start:%Y-%m-%d %H:%M}"


class UsageMembers(models.Model):
    """Distinct values seen in a bucket, so that unique counts are exact over any range.

    What a fold finds is a part of its own, and short parts are made one, so that adding to a bucket
    does not rewrite it. A value may be in several parts.
    """

    pk = models.CompositePrimaryKey(
        "customer_id", "meter_id", "grain", "bucket_start", "dimensions_digest", "part"
    )
    customer = models.ForeignKey(
        Customer, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    meter = models.ForeignKey(
        Meter, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    grain = models.CharField(max_length=10, choices=Grain)
    bucket_start = models.DateTimeField()
    dimensions_digest = models.UUIDField(default=NO_DIMENSIONS)
    part = models.IntegerField(help_text="In the order in which parts were written.")
    size = models.IntegerField(help_text="How many members the part has.")
    members = ArrayField(models.UUIDField(), help_text="128-bit digests of the values.")

    @override
    def __str__(self) -> str:
        return f"{self.size} of {self.grain} {self.bucket_start:%Y-%m-%d %H:%M}"
