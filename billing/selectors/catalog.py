"""Plans as they are sold now, and to whom."""

from django.db.models import Case, IntegerField, Q, QuerySet, Value, When

from billing.models import Plan, PlanVersion
from customers.models import Customer
from customers.principals import Principal

OWN = When(customer__isnull=False, then=Value(0))


def sold_version(plan: Plan, customer: Customer) -> PlanVersion | None:
    """Return the version of a plan that a customer gets today, or None where it can have none.

    That is the newest published version in the customer's currency: the customer's own if it has
    one, else the one for everybody.
    """
    versions = plan.versions.published().filter(currency=customer.currency)
    own = versions.filter(customer=customer).order_by("-number").first()
    return own or versions.public().order_by("-number").first()


def visible_versions(principal: Principal) -> QuerySet[PlanVersion]:
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


def current_versions(principal: Principal, *, currency: str | None = None) -> QuerySet[PlanVersion]:
    """Return the version of each plan that is sold now, as a caller may see it, with its prices.

    For a customer that is its own version where it has one, and one in its currency before others;
    for staff and operators the newest for everybody, or a customer's own where there is no other.
    """
    versions = visible_versions(principal).filter(published_at__isnull=False)
    if currency is not None:
        versions = versions.filter(currency=currency)
    if principal.customer_ids is None:
        preferred = Case(OWN, default=Value(-1), output_field=IntegerField())
    else:
        currencies = Customer.objects.filter(pk__in=principal.customer_ids).values("currency")
        in_currency = When(currency__in=currencies, then=Value(1))
        preferred = Case(OWN, in_currency, default=Value(2), output_field=IntegerField())
    newest = (
        versions.annotate(preferred=preferred)
        .order_by("plan_id", "preferred", "-number")
        .distinct("plan_id")
    )
    found = PlanVersion.objects.filter(pk__in=newest.values("pk"))
    return found.select_related("plan", "customer").prefetch_related("prices")
