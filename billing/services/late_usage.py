"""Late and corrected usage: which closed periods may be worth something else than was billed."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import batched

from django.conf import settings
from django.db.models import Max

from billing.models import BillingRun, Subscription, SubscriptionPeriod
from customers.models import Customer
from metering.selectors.changed_days import days_changed_since
from metering.selectors.cutoffs import current_cutoff

DAYS_OF_MONTH = 31
CUSTOMERS_AT_ONCE = 1000


def mark_late_usage(*, at: datetime) -> int:
    """Mark the closed periods whose worth is to be compared with what was billed for them.

    Those are the ones that ended within ADJUSTMENT_MONTHS and that usage has changed in, or
    before, since they were last marked. Returns the ingest batch from which the next marking is to
    go on.
    """
    seen = BillingRun.objects.aggregate(seen=Max("marked_batch"))["seen"] or 0
    cutoff = current_cutoff()
    earliest = at - timedelta(days=DAYS_OF_MONTH * settings.ADJUSTMENT_MONTHS)
    for customer_ids in batched(
        customers_with_closed_periods(earliest), CUSTOMERS_AT_ONCE, strict=False
    ):
        changed = days_changed_since(seen, customer_ids)
        first_change = {pk: days[0] for pk, days in changed.items() if days}
        ids = list(periods_after(first_change, earliest))
        SubscriptionPeriod.objects.filter(pk__in=ids).update(is_stale=True)
    # What is missing below the highest batch is noted under that one when it appears.
    return cutoff.highest + (0 if cutoff.missing else 1)


def customers_with_closed_periods(earliest: datetime) -> Iterator[int]:
    settled = SubscriptionPeriod.objects.filter(is_stale=False, period_end__gt=earliest)
    closed = settled.exclude(closed_at=None)
    subscriptions = Subscription.objects.filter(pk__in=closed.values("subscription"))
    ids = subscriptions.order_by("customer").values_list("customer", flat=True).distinct()
    yield from ids.iterator(chunk_size=CUSTOMERS_AT_ONCE)


def periods_after(first_change: dict[int, datetime], earliest: datetime) -> Iterable[int]:
    """Yield the closed periods that end after the first change of their customer's usage.

    Later ones than the change itself too: levels are carried from one period into the next.
    """
    if not first_change:
        return
    since = max(earliest, min(first_change.values()))
    periods = SubscriptionPeriod.objects.filter(
        subscription__customer__in=first_change, is_stale=False, period_end__gt=since
    ).exclude(closed_at=None)
    for pk, customer_id, end in periods.values_list("pk", "subscription__customer", "period_end"):
        if end > first_change[customer_id]:
            yield pk


def mark_reached(*, customer: Customer, start: datetime, end: datetime) -> int:
    """Mark the closed periods that usage of a customer in `[start, end)` belongs to, as above."""
    reached = SubscriptionPeriod.objects.filter(
        subscription__customer=customer, period_start__lt=end, period_end__gt=start
    )
    return reached.exclude(closed_at=None).update(is_stale=True)
