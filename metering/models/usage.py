"""Roll-ups: what the aggregator has folded events into."""

from __future__ import annotations

import uuid
from typing import override

from django.db import models

from customers.models import Customer
from metering.models.meters import Meter

NO_DIMENSIONS = uuid.UUID(int=0)


class Grain(models.TextChoices):
    """The length of a bucket; buckets begin at whole minutes, hours and days of UTC."""

    MINUTE = "minute", "Minute"
    HOUR = "hour", "Hour"
    DAY = "day", "Day"


class UsageBucket(models.Model):
    """A meter's partial results over one bucket: totals, or one combination of dimensions.

    Totals have the digest NO_DIMENSIONS. Rows of any two buckets combine, so any stretch of
    whole buckets is answered from them alone.
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
    grain = models.CharField(max_length=6, choices=Grain)
    bucket_start = models.DateTimeField()
    dimensions_digest = models.UUIDField(default=NO_DIMENSIONS)
    dimensions = models.JSONField()
    events = models.BigIntegerField()
    total = models.DecimalField(max_digits=None, decimal_places=None, null=True)
    greatest = models.DecimalField(max_digits=None, decimal_places=None, null=True)
    least = models.DecimalField(max_digits=None, decimal_places=None, null=True)
    unparsed = models.BigIntegerField(help_text="Events whose value is no decimal number.")

    @override
    def __str__(self) -> str:
        return f"{self.grain} {self.bucket_start:%Y-%m-%d %H:%M}"


class UsageMember(models.Model):
    """One distinct value seen in a bucket, so that unique counts are exact over any range."""

    pk = models.CompositePrimaryKey(
        "customer_id", "meter_id", "grain", "bucket_start", "dimensions_digest", "member"
    )
    customer = models.ForeignKey(
        Customer, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    meter = models.ForeignKey(
        Meter, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    grain = models.CharField(max_length=6, choices=Grain)
    bucket_start = models.DateTimeField()
    dimensions_digest = models.UUIDField(default=NO_DIMENSIONS)
    member = models.UUIDField(help_text="128-bit digest of the value.")

    @override
    def __str__(self) -> str:
        return str(self.member)
