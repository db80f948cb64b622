"""Settling days: what changed since the last time is counted by day and compared with the events.

Roll-ups are what usage is answered and billed from. Once a day, those of every day that changed are
proved against the raw events (`manage.py verify_usage` proves all there are).
"""

import logging
from datetime import datetime, timedelta
from itertools import pairwise

from django.db import transaction
from django.utils import timezone

from customers.models import Customer
from metering.models import Meter, UsageCheck
from metering.selectors.daily_totals import (
    customers_to_settle,
    days_to_settle,
    mark_settled,
    write_totals,
)
from metering.selectors.differences import Difference, differences
from metering.selectors.layouts import layout_of
from metering.selectors.maintenance import analyze_event_tables, vacuum_hints
from metering.services.folding import lock_usage, recount
from metering.windows import Grid, Range, merged

logger = logging.getLogger(__name__)

DAY = timedelta(days=1)
# Bounds the time of one transaction, which keeps the customer's folding waiting.
DAYS_PER_TRANSACTION = 31
MOST_DIFFERENCES_KEPT = 100


def settle_days(*, at: datetime) -> UsageCheck:
    """Write the totals of every day that changed, and prove its roll-ups; return the record.

    A roll-up that the events contradict is made anew and named in `differences`. It may run at any
    time, be killed and run again. Afterwards the planner's statistics are refreshed.
    """
    began_at = timezone.now()
    days = 0
    found: list[Difference] = []
    for customer in Customer.objects.filter(pk__in=customers_to_settle()).order_by("pk"):
        while settled := settle_some(customer=customer, found=found):
            days += settled
    analyze_event_tables()
    return UsageCheck.objects.create(
        began_at=began_at,
        finished_at=timezone.now(),
        days=days,
        differences=[str(each) for each in found[:MOST_DIFFERENCES_KEPT]],
        hints=vacuum_hints(),
    )


@transaction.atomic
def settle_some(*, customer: Customer, found: list[Difference]) -> int:
    """Settle a customer's earliest days and return how many; add what differs to `found`."""
    lock_usage(customer.pk)
    days = days_to_settle(customer.pk, DAYS_PER_TRANSACTION)
    if not days:
        return 0
    write_totals(customer.pk, days)
    for meter in Meter.objects.exclude(filled_at=None).order_by("pk"):
        found += proved(meter, customer, days)
    mark_settled(customer.pk, days)
    return len(days)


def proved(meter: Meter, customer: Customer, days: list[datetime]) -> list[Difference]:
    """Return where a meter's roll-ups of these days differ from the events, and put it right."""
    layout = layout_of(meter, customer)
    if layout is None:
        return []
    wrong: list[Difference] = []
    for stretch in merged(Range(day, day + DAY) for day in days):
        # Days of UTC and the customer's own overlap: look at all of the latter.
        midnights = Grid(stretch.start, stretch.end, layout.zone).midnights
        here = list(differences(meter, customer, Range(midnights[0], midnights[-1])))
        if here:
            recount(meter, layout, [start for start, _ in pairwise(midnights)])
            wrong += here
    for each in wrong:
        logger.error("Roll-ups were wrong and were made anew: %s", each)
    return wrong
