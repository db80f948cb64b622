"""Whether usage comes in and is folded: what staff watch, read from ordinary tables alone."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import Count, Sum
from django.db.models.functions import TruncHour

from metering.models import FoldingRound, IngestBatch, UsageCheck

HOUR = timedelta(hours=1)


def hourly_events(*, start: datetime, end: datetime) -> list[tuple[datetime, int]]:
    """Return the events accepted in each clock hour of `[start, end)`, empty hours included."""
    rows = (
        IngestBatch.objects.filter(received_at__gte=start, received_at__lt=end)
        .values_list(TruncHour("received_at", tzinfo=UTC))
        .annotate(events=Sum("accepted"))
        .order_by()
    )
    events = dict(rows)
    first = start.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    hours = range((end - first + HOUR - timedelta.resolution) // HOUR)
    return [(first + HOUR * hour, events.get(first + HOUR * hour, 0)) for hour in hours]


@dataclass(frozen=True, slots=True)
class FoldingState:
    """When the aggregator last began a round that ended well, and what came in since."""

    folded_at: datetime | None
    batches: int
    events: int
    waiting_since: datetime | None


def folding_state() -> FoldingState:
    """Return how fresh the roll-ups are.

    Whatever came in before the latest round is folded; what came in since may be, and usage
    counts it either way.
    """
    folded_at = FoldingRound.objects.values_list("began_at", flat=True).first()
    batches = IngestBatch.objects.filter(accepted__gt=0)
    if folded_at is not None:
        batches = batches.filter(received_at__gte=folded_at)
    since = batches.aggregate(batches=Count("pk"), events=Sum("accepted", default=0))
    oldest = batches.order_by("received_at").values_list("received_at", flat=True).first()
    return FoldingState(folded_at, since["batches"], since["events"], oldest)


def last_check() -> UsageCheck | None:
    """Return the latest comparison of roll-ups with their events."""
    return UsageCheck.objects.first()
