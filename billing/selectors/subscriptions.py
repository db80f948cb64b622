"""Subscriptions as people read them, and the billing periods that they run through."""

from collections.abc import Iterator
from datetime import date, datetime
from zoneinfo import ZoneInfo

from django.db.models import Exists, OuterRef, Q

from billing.models import (
    Invoice,
    OneOffCharge,
    Subscription,
    SubscriptionPeriod,
    SubscriptionPhase,
)
from billing.models.subscriptions import SubscriptionQuerySet
from billing.rating.periods import CALENDAR, BillingPeriod, Period, period_containing
from billing.selectors.accounts import Contract, read_contracts
from customers.models import Customer, CustomerQuerySet


def with_prices(subscriptions: SubscriptionQuerySet) -> SubscriptionQuerySet:
    """Add what people read of a subscription's prices, in a fixed number of queries."""
    return subscriptions.select_related("customer", "plan_version__plan").prefetch_related(
        "plan_version__prices__meter"
    )


def with_history(subscriptions: SubscriptionQuerySet) -> SubscriptionQuerySet:
    """Add the phases and the changes, in a fixed number of queries."""
    return subscriptions.select_related("customer", "plan_version__plan").prefetch_related(
        "phases__plan_version__plan", "changes__plan_version__plan", "redemptions__coupon"
    )


def current_subscriptions(customer: Customer, at: datetime) -> list[Subscription]:
    """Return the subscriptions that run at `at`, the oldest first."""
    subscriptions = Subscription.objects.filter(customer=customer).active(at)
    return list(with_prices(subscriptions).order_by("start_at", "pk"))


def contract_of(subscription: Subscription) -> Contract:
    """Return one subscription with its phases and unsettled periods."""
    return read_contracts([subscription])[subscription.pk]


def current_period(contract: Contract, at: datetime) -> BillingPeriod:
    """Return the billing period around `at`, in which the subscription must run.

    It ends with the subscription at the latest.
    """
    period = running_period(contract, at)
    full = Period(period.full_start, period.full_end)
    return BillingPeriod(period.period_start, contract.end_of(period), full)


def running_period(contract: Contract, at: datetime) -> SubscriptionPeriod:
    """Return the period around `at`, stored or not."""
    for period in [*contract.periods, contract.last_period]:
        if period is not None and period.period_start <= at < period.period_end:
            return period
    if upcoming := list(upcoming_periods(contract, at)):
        return upcoming[-1]
    # A run as of a later instant has closed it already.
    return SubscriptionPeriod.objects.get(
        subscription=contract.subscription, period_start__lte=at, period_end__gt=at
    )


def upcoming_periods(contract: Contract, at: datetime) -> Iterator[SubscriptionPeriod]:
    """Yield the periods that begin by `at` and are not stored yet, in their order.

    They begin where the last one ends, so that no instant is billed twice or left out even when
    the customer has moved to another time zone.
    """
    subscription = contract.subscription
    last, end_at = contract.last_period, subscription.end_at
    start = subscription.billed_until or subscription.start_at
    if last is not None:
        start = last.period_end
    while start <= at and (end_at is None or start < end_at):
        period = period_from(contract, start, contract.subscription.customer.time_zone)
        # No instant to come will bill what is due at its start.
        period.is_stale = subscription.is_billed(start)
        yield period
        start = period.period_end


def period_from(contract: Contract, start: datetime, time_zone: str) -> SubscriptionPeriod:
    """Return the period that begins at an instant, not stored, its days those of a time zone.

    It ends with the full period of the price list that holds then, or where one begins that is
    billed in another rhythm.
    """
    row = row_at(contract, start)
    interval, interval_count, anchor = rhythm_of(contract, row)
    full = period_containing(
        start,
        interval=interval,
        interval_count=interval_count,
        zone=ZoneInfo(time_zone),
        anchor=anchor or CALENDAR,
    )
    return SubscriptionPeriod(
        subscription=contract.subscription,
        period_start=start,
        period_end=end_of_rhythm(contract, start, full.end),
        full_start=full.start,
        full_end=full.end,
        time_zone=time_zone,
        starts_rhythm=row.start_at == start and starts_rhythm(contract, row),
    )


def end_of_rhythm(contract: Contract, start: datetime, full_end: datetime) -> datetime:
    """Return where a period that began at `start` ends: with its full period, or a new rhythm."""
    rhythm = rhythm_of(contract, row_at(contract, start))
    breaks = [
        later.start_at
        for later in contract.rows
        if later.start_at > start and rhythm_of(contract, later) != rhythm
    ]
    return min([full_end, *breaks])


def row_at(contract: Contract, at: datetime) -> SubscriptionPhase:
    """Return the phase that holds at an instant, the first one before the start."""
    begun = [row for row in contract.rows if row.start_at <= at]
    return begun[-1] if begun else contract.rows[0]


def rhythm_of(contract: Contract, row: SubscriptionPhase) -> tuple[str, int, date | None]:
    """Return how often a phase is billed, and from which day that is counted."""
    version = contract.lists[row.plan_version_id].version
    return version.interval, version.interval_count, row.anchor_on


def starts_rhythm(contract: Contract, row: SubscriptionPhase) -> bool:
    """Say whether a phase is billed in another rhythm than the one before it."""
    before = [each for each in contract.rows if each.start_at < row.start_at]
    return bool(before) and rhythm_of(contract, before[-1]) != rhythm_of(contract, row)


def customers_to_bill(at: datetime) -> Iterator[int]:
    """Yield the ids of the customers that a run as of `at` has to look at, those of a zone together.

    They are read as they are wanted, not all at once.
    """
    ids = concerned(at).order_by("time_zone", "pk").values_list("pk", flat=True)
    yield from ids.iterator(chunk_size=2000)


def customers_with_thresholds(at: datetime) -> Iterator[int]:
    """Yield the ids of the customers on a plan whose open usage is billed at a limit.

    One who is behind by whole periods is left out: closing those is the work of a nightly run.
    """
    phases = SubscriptionPhase.objects.filter(
        Q(end_at=None) | Q(end_at__gt=at),
        plan_version__invoice_threshold__isnull=False,
        start_at__lte=at,
    )
    running = SubscriptionQuerySet(Subscription).active(at).filter(phases__in=phases)
    ids = running.order_by("customer").values_list("customer", flat=True).distinct()
    for customer_id in ids.iterator(chunk_size=2000):
        subscriptions = running.filter(customer=customer_id).select_related("customer").distinct()
        contracts = read_contracts(list(subscriptions)).values()
        if all(len(list(upcoming_periods(each, at))) <= 1 for each in contracts):
            yield customer_id


def concerned(at: datetime) -> CustomerQuerySet:
    """Return the customers that a nightly run has to look at.

    Those are the ones with a draft, with a subscription that runs or has ended without its last
    document, with a settled period that something has changed for, and with a charge that waits.
    """
    drafts = Invoice.objects.filter(customer=OuterRef("pk"), status=Invoice.Status.DRAFT)
    open_periods = SubscriptionPeriod.objects.filter(subscription=OuterRef("pk"), closed_at=None)
    stale = SubscriptionPeriod.objects.filter(subscription=OuterRef("pk"), is_stale=True)
    is_running = Q(end_at=None) | Q(end_at__gt=at) | Q(billed_until=None)
    subscriptions = Subscription.objects.filter(customer=OuterRef("pk"), start_at__lte=at).filter(
        is_running | Q(Exists(open_periods)) | Q(Exists(stale))
    )
    charges = OneOffCharge.objects.filter(customer=OuterRef("pk")).waiting()
    return Customer.objects.filter(
        Q(Exists(drafts)) | Q(Exists(subscriptions)) | Q(Exists(charges))
    )
