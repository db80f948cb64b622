"""Events whose value could not be read: kept and left out of the aggregate, and counted here."""

from datetime import datetime

from django.db.models import Sum

from customers.models import Customer
from metering import aggregations
from metering.aggregations import Reads
from metering.models import Meter, UsageBucket
from metering.models.usage import NO_DIMENSIONS


def unparsed_events(*, meter: Meter, customer: Customer, start: datetime, end: datetime) -> int:
    """Return how many events of the buckets that begin in `[start, end)` had no readable value.

    It is read from the roll-ups: events of the last moments may be missing in it.
    """
    aggregation = aggregations.of_meter(meter)
    if aggregation.measure(meter).reads is Reads.NOTHING:
        return 0
    buckets = UsageBucket.objects.filter(
        customer=customer,
        meter=meter,
        grain=aggregation.roll_ups(meter).grain,
        dimensions_digest=NO_DIMENSIONS,
        bucket_start__gte=start,
        bucket_start__lt=end,
    )
    found: int = buckets.aggregate(total=Sum("unparsed", default=0))["total"]
    return found
