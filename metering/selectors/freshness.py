"""What came in, and what the roll-ups do not hold yet."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Max, Sum

from metering.models import IngestBatch, PendingBatch, PendingCorrection


def pending_events() -> list[tuple[int, int]]:
    """Return each customer with events to fold, and how many; fewest first."""
    rows = PendingBatch.objects.values_list("customer_id").annotate(total=Sum("events"))
    return list(rows.order_by("total", "customer_id"))


def customers_with_corrections() -> list[int]:
    """Return the customers with corrections that roll-ups do not hold yet."""
    customer_ids = PendingCorrection.objects.values_list("customer_id", flat=True)
    return list(customer_ids.distinct().order_by("customer_id"))


@dataclass(frozen=True, slots=True)
class IngestTotals:
    """What became of the events that came in."""

    batches: int
    accepted: int
    duplicate: int
    conflict: int
    rejected: int
    last_received_at: datetime | None


def ingest_totals(since: datetime) -> IngestTotals:
    """Add up the batches received at or after `since`."""
    outcomes = ("accepted", "duplicate", "conflict", "rejected")
    totals = IngestBatch.objects.filter(received_at__gte=since).aggregate(
        batches=Count("pk"),
        last_received_at=Max("received_at"),
        **{outcome: Sum(outcome, default=0) for outcome in outcomes},
    )
    return IngestTotals(**totals)
