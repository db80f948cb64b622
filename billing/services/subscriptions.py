"""Verbs on subscriptions."""

from datetime import UTC, datetime
from typing import Literal

from django.db import transaction
from django.db.models import F, Q

from billing.models import Invoice, Plan, PlanVersion, Subscription
from billing.selectors.catalog import sold_version
from billing.selectors.subscriptions import calendar_period
from billing.services.invoicing import lock_subscription, redraft
from billing.services.terms import check_neutral
from config.errors import DomainError, InvalidInputError
from customers.models import Customer

# A mistyped year must not make thousands of invoices.
EARLIEST_START = datetime(2000, 1, 1, tzinfo=UTC)
# Terms that a subscription may name as long as they ask for nothing.
NEUTRAL_TERMS = {"anchor": "calendar", "quantities": {}, "coupons": []}


@transaction.atomic
def create_subscription(
    *, customer: Customer, plan: Plan, start_at: datetime, **terms: object
) -> Subscription:
    """Subscribe a customer from `start_at` on to the version of a plan that is sold to it.

    `terms` are those of NEUTRAL_TERMS at their neutral values. Raises DomainError for a plan
    without a published version for this customer, for a plan it already has at that time and for
    an add-on without a base plan, and InvalidInputError for a plan in another currency and for a
    start before EARLIEST_START.
    """
    check_neutral(terms, NEUTRAL_TERMS)
    if start_at < EARLIEST_START:
        raise InvalidInputError(
            f"A subscription starts in {EARLIEST_START.year} at the earliest.", field="start_at"
        )
    # Two requests may subscribe the customer at once.
    customer = Customer.objects.select_for_update(no_key=True).get(pk=customer.pk)
    version = version_for(customer, plan)
    check_not_subscribed(customer, version, start_at)
    check_base_plan(customer, version, start_at)
    return Subscription.objects.create(customer=customer, plan_version=version, start_at=start_at)


def version_for(customer: Customer, plan: Plan) -> PlanVersion:
    """Return the version of a plan that a customer gets; raises as `create_subscription` does."""
    version = sold_version(plan, customer)
    if version is not None:
        return version
    other = plan.current_version()
    if other is None:
        raise DomainError(
            f"{plan} has no published version that {customer} may have.", code="not_published"
        )
    raise InvalidInputError(
        f"{plan} is priced in {other.currency}, but {customer} pays in {customer.currency}: "
        "choose a plan in the customer's currency.",
        field="plan",
    )


def check_base_plan(customer: Customer, version: PlanVersion, start_at: datetime) -> None:
    """Refuse an add-on to nothing: it is sold beside a plan that is no add-on."""
    base = Subscription.objects.filter(customer=customer, plan_version__is_addon=False)
    if version.is_addon and not base.active(start_at).exists():
        raise DomainError(
            f"{version.plan} is an add-on, and {customer} has no plan at that time to add it to: "
            "subscribe it to a base plan first.",
            code="no_base_plan",
        )


def check_not_subscribed(customer: Customer, version: PlanVersion, start_at: datetime) -> None:
    """Refuse a second subscription to one plan: it would bill the same usage twice."""
    same = Subscription.objects.filter(customer=customer, plan_version__plan=version.plan_id)
    lasting = same.filter(Q(end_at=None) | Q(end_at__gt=start_at)).exclude(end_at=F("start_at"))
    earlier = lasting.first()
    if earlier is not None:
        raise DomainError(
            f"{customer} already has {version.plan} from {earlier.start_at.isoformat()} on: "
            "cancel that subscription first.",
            code="already_subscribed",
        )


@transaction.atomic
def cancel_subscription(
    *,
    subscription: Subscription,
    at: datetime,
    end_at: datetime | Literal["period_end"] | None = None,
) -> Subscription:
    """End a subscription at an instant (now, by default) or with its current billing period.

    Drafts of what is left of the last period are put right. Raises DomainError for a subscription
    that has ended, and for an end within a period whose invoice is already issued; InvalidInputError
    for an end before the start.
    """
    locked = lock_subscription(subscription)
    if locked.end_at is not None and locked.end_at <= at:
        raise DomainError("This subscription has already ended.", code="already_ended")
    locked.end_at = last_instant(locked, at, end_at)
    check_not_issued(locked, locked.end_at)
    locked.canceled_at = at
    locked.save(update_fields=["end_at", "canceled_at"])
    redraft(subscription=locked)
    return locked


def last_instant(
    subscription: Subscription, at: datetime, end_at: datetime | Literal["period_end"] | None
) -> datetime:
    """Return the instant that a wish to cancel names; one that has not begun ends where it starts.

    Raises InvalidInputError for an instant before the start.
    """
    if end_at is None:
        return max(at, subscription.start_at)
    if end_at == "period_end":
        return calendar_period(subscription, max(at, subscription.start_at)).end
    if end_at < subscription.start_at:
        raise InvalidInputError(
            f"The subscription starts at {subscription.start_at.isoformat()}: "
            "cancel it at that instant or later.",
            field="at",
        )
    return end_at


def check_not_issued(subscription: Subscription, end_at: datetime) -> None:
    """Refuse an end that an issued invoice has already billed beyond."""
    issued = Invoice.objects.issued().exclude(status=Invoice.Status.VOID)
    latest = issued.filter(subscription=subscription, period_end__gt=end_at).first()
    if latest is not None:
        raise DomainError(
            f"{latest} is already issued and bills until {latest.period_end.isoformat()}: cancel "
            "at that instant or later, or void it first.",
            code="already_invoiced",
        )
