"""Subscriptions as people read them, and the billing periods that they run through."""

from collections.abc import Iterator
from datetime import datetime

from django.db.models import F, Max, Q

from billing.models import Invoice, Subscription
from billing.models.subscriptions import SubscriptionQuerySet
from billing.rating.periods import BillingPeriod, Period, period_containing, periods_from
from config.errors import DomainError
from customers.models import Customer


def with_prices(subscriptions: SubscriptionQuerySet) -> SubscriptionQuerySet:
    """Add what pricing a period takes, in a fixed number of queries."""
    return subscriptions.select_related("customer", "plan_version__plan").prefetch_related(
        "plan_version__prices__meter"
    )


def current_subscriptions(customer: Customer, at: datetime) -> list[Subscription]:
    """Return the subscriptions that run at `at`, the oldest first."""
    subscriptions = Subscription.objects.filter(customer=customer).active(at)
    return list(with_prices(subscriptions).order_by("start_at", "pk"))


def current_period(subscription: Subscription, at: datetime) -> BillingPeriod:
    """Return the part of the calendar period around `at` that is still to be invoiced.

    The subscription must run at `at`.
    """
    full = calendar_period(subscription, at)
    billed = Invoice.objects.filter(subscription=subscription, period_end__lte=at)
    billed_until = billed.aggregate(end=Max("period_end"))["end"]
    start = max(full.start, billed_until or subscription.start_at, subscription.start_at)
    end = min(full.end, subscription.end_at or full.end)
    return BillingPeriod(start, end, full)


def invoiced_period(invoice: Invoice) -> BillingPeriod:
    """Return an invoice's own period, within the calendar period around its middle.

    The middle, because a customer who has moved to another time zone since may now have bounds
    some hours away.
    """
    middle = invoice.period_start + (invoice.period_end - invoice.period_start) / 2
    full = calendar_period(subscription_of(invoice), middle)
    return BillingPeriod(invoice.period_start, invoice.period_end, full)


def subscription_of(invoice: Invoice) -> Subscription:
    """Return the one subscription that an invoice bills; raises DomainError if it is not one."""
    if invoice.subscription is None:
        raise DomainError(f"Invoice {invoice} bills no single subscription.", code="not_single")
    return invoice.subscription


def calendar_period(subscription: Subscription, at: datetime) -> Period:
    """Return the plan's calendar period around `at` in the customer's time zone."""
    version = subscription.plan_version
    return period_containing(
        at,
        interval=version.interval,
        interval_count=version.interval_count,
        zone=subscription.customer.zone,
    )


def unbilled_periods(subscription: Subscription, at: datetime) -> Iterator[BillingPeriod]:
    """Yield the periods that have ended by `at` and have no invoice yet, in their order.

    They begin where the latest invoice ends, so that no instant is invoiced twice or left out
    even when the customer has moved to another time zone. A void invoice counts: voiding says
    that nothing is owed for its period.
    """
    billed = Invoice.objects.filter(subscription=subscription).aggregate(end=Max("period_end"))
    version = subscription.plan_version
    periods = periods_from(
        billed["end"] or subscription.start_at,
        end_at=subscription.end_at,
        interval=version.interval,
        interval_count=version.interval_count,
        zone=subscription.customer.zone,
    )
    for period in periods:
        if period.end > at:
            return
        yield period


def drafted_periods(subscription: Subscription, at: datetime) -> list[BillingPeriod]:
    """Return the periods that have ended by `at` and whose invoice is still a draft, in order."""
    drafts = Invoice.objects.filter(
        subscription=subscription, status=Invoice.Status.DRAFT, period_end__lte=at
    )
    periods = []
    for draft in drafts.order_by("period_start"):
        draft.subscription = subscription
        periods.append(invoiced_period(draft))
    return periods


def customers_to_bill(at: datetime) -> list[int]:
    """Return the ids of the customers that a nightly run as of `at` has to look at.

    Those are the ones with a draft, or with a subscription not yet invoiced to its end.
    """
    drafts = Invoice.objects.filter(status=Invoice.Status.DRAFT)
    unfinished = (
        Subscription.objects.filter(start_at__lt=at)
        .exclude(end_at=F("start_at"))
        .annotate(last_billed=Max("invoices__period_end"))
        .filter(Q(end_at=None) | Q(last_billed=None) | Q(last_billed__lt=F("end_at")))
    )
    ids = {*drafts.values_list("customer_id", flat=True)}
    ids.update(unfinished.values_list("customer_id", flat=True))
    return sorted(ids)
