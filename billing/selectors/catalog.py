"""Plans as they are sold now, and to whom."""

from django.db.models import Case, Q, QuerySet, Value, When

from billing.models import Plan, PlanVersion
from billing.models.catalog import PlanVersionQuerySet
from customers.models import Customer
from customers.principals import Principal


def sold_version(plan: Plan, customer: Customer) -> PlanVersion | None:
    """Return the version of a plan that a customer gets today, or None where it can have none.

    That is the newest published version in the customer's currency: the customer's own if it has
    one, else the one for everybody.
    """
    versions = plan.versions.published().filter(currency=customer.currency)
    own = versions.filter(customer=customer).order_by("-number").first()
    return own or versions.public().order_by("-number").first()


def visible_versions(principal: Principal) -> PlanVersionQuerySet:
    """Return the versions that a caller may know exist.

    Staff and operators see all, drafts too. A customer sees the published versions of the plans it
    has or had a subscription to or its own version of, except other customers' own: they, and
    plans it never had, may be somebody else's terms.
    """
    if principal.customer_ids is None:
        return PlanVersion.objects.all()
    versions = PlanVersion.objects.published()
    had = versions.filter(subscriptions__customer__in=principal.customer_ids)
    own = versions.filter(customer__in=principal.customer_ids)
    return versions.filter(
        Q(plan__in=had.values("plan")) | Q(plan__in=own.values("plan")),
        Q(customer=None) | Q(customer__in=principal.customer_ids),
    )


def current_versions(
    principal: Principal, *, customer: Customer | None = None, currency: str | None = None
) -> QuerySet[PlanVersion]:
    """Return the version of each plan that is sold now, as a caller may see it, with its prices.

    To a named `customer`, or to the caller, its own version comes first, then the newest for
    everybody in its currency. Staff and operators get the newest for everybody where they name
    nobody; for a plan without one, a customer's own or a draft.
    """
    versions = visible_versions(principal)
    if currency is not None:
        versions = versions.filter(currency=currency)
    if customer is not None:
        mine = Q(customer=None) | Q(customer=customer)
        versions = versions.published().filter(mine, currency=customer.currency)
    if customer is None and principal.customer_ids is None:
        draft = When(published_at=None, then=Value(3))
        preferred = Case(draft, When(customer=None, then=Value(0)), default=Value(1))
    else:
        caller = Customer.objects.visible_to(principal)
        own = When(customer__isnull=False, then=Value(0))
        in_currency = When(currency__in=caller.values("currency"), then=Value(1))
        preferred = Case(own, in_currency, default=Value(2))
    newest = (
        versions.annotate(preferred=preferred)
        .order_by("plan_id", "preferred", "-number")
        .distinct("plan_id")
    )
    return with_prices(PlanVersion.objects.filter(pk__in=newest.values("pk")))


def with_prices(versions: QuerySet[PlanVersion]) -> QuerySet[PlanVersion]:
    """Add what a version shows, in a fixed number of queries."""
    return versions.select_related("plan", "customer").prefetch_related("prices")
