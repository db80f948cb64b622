"""Plans as they are sold now."""

from django.db.models import QuerySet

from billing.models import PlanVersion
from customers.principals import Principal


def current_versions(principal: Principal) -> QuerySet[PlanVersion]:
    """Return the newest published version of each plan that a caller may see, with its prices.

    A customer sees the plans it has or had a subscription to: others may be another customer's
    own terms.
    """
    published = PlanVersion.objects.exclude(published_at=None)
    newest = published.order_by("plan_id", "-number").distinct("plan_id")
    versions = PlanVersion.objects.filter(pk__in=newest.values("pk"))
    if principal.customer_ids is not None:
        own = PlanVersion.objects.filter(subscriptions__customer__in=principal.customer_ids)
        versions = versions.filter(plan__in=own.values("plan"))
    return versions.select_related("plan").prefetch_related("prices")
