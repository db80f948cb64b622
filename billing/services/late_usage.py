"""Late and corrected usage: which closed periods may be worth something else than was billed."""

from datetime import datetime, timedelta

from django.conf import settings

from billing.models import SubscriptionPeriod
from customers.models import Customer

DAYS_OF_MONTH = 31


def mark_late_usage(*, at: datetime) -> int:
    """Mark the closed periods whose worth is to be compared with what was billed for them.

    Those are the ones that ended within ADJUSTMENT_MONTHS. Returns how many were marked.
    """
    earliest = at - timedelta(days=DAYS_OF_MONTH * settings.ADJUSTMENT_MONTHS)
    closed = SubscriptionPeriod.objects.filter(is_stale=False, period_end__gt=earliest)
    return closed.exclude(closed_at=None).update(is_stale=True)


def mark_reached(*, customer: Customer, start: datetime, end: datetime) -> int:
    """Mark the closed periods that usage of a customer in `[start, end)` belongs to, as above."""
    reached = SubscriptionPeriod.objects.filter(
        subscription__customer=customer, period_start__lt=end, period_end__gt=start
    )
    return reached.exclude(closed_at=None).update(is_stale=True)
