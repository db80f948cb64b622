"""Plans for billing tests, with amounts that are easily checked by hand."""

from datetime import datetime
from typing import Any

from django.db import transaction

from billing.models import Invoice, PlanVersion, Subscription, SubscriptionPeriod
from billing.selectors.subscriptions import contract_of, upcoming_periods
from billing.services.catalog import create_plan
from billing.services.invoicing import lock_customers
from billing.services.subscriptions import create_subscription
from billing.services.writing import draft_accounts
from customers.models import Customer
from metering.models import Meter
from tests import factories
from tests.billing.usage import instant

FEE = {"key": "base", "name": "Base fee", "model": "flat", "amount": "31"}
CALLS = {
    "key": "calls",
    "name": "API calls",
    "meter": "calls",
    "model": "graduated",
    "tiers": [
        {"up_to": "10", "unit_amount": "2"},
        {"up_to": "20", "unit_amount": "3"},
        {"up_to": None, "unit_amount": "5"},
    ],
}
PUBLISHED_AT = instant("2025-01-01")


def publish_plan(*documents: dict[str, Any], key: str = "pro", **terms: Any) -> PlanVersion:
    """Publish a plan: 31 a month, and calls at 2 each, from the 11th at 3, from the 21st at 5."""
    if not Meter.objects.filter(key="calls").exists():
        factories.make_meter("calls")
    prices = list(documents) or [FEE, CALLS]
    return create_plan(key=key, name=key.title(), prices=prices, at=PUBLISHED_AT, **terms)


def subscribe(
    customer: Customer, start_at: str | datetime, version: PlanVersion | None = None
) -> Subscription:
    version = version or publish_plan(currency=customer.currency)
    start = instant(start_at) if isinstance(start_at, str) else start_at
    return create_subscription(customer=customer, plan=version.plan, start_at=start)


def drafts_until(subscription: Subscription, at: str) -> list[Invoice]:
    """Work out what has fallen due by an instant, issue nothing, and return the drafts."""
    with transaction.atomic():
        draft_accounts(lock_customers([subscription.customer_id]), instant(at))
    drafts = Invoice.objects.filter(customer=subscription.customer_id, status="draft")
    return list(drafts.order_by("billing_at"))


def bounds(subscription: Subscription, at: str) -> list[tuple[datetime, datetime]]:
    """Return the parts that a subscription lasts of the periods that have ended by an instant."""
    contract = contract_of(subscription)
    now = instant(at)
    periods = [*SubscriptionPeriod.objects.filter(subscription=subscription).order_by("pk")]
    periods += upcoming_periods(contract, now)
    found = [(each.period_start, contract.end_of(each)) for each in periods]
    return [(start, end) for start, end in found if start < end <= now]
