"""Small builders for tests: each makes one believable row and lets any field be set."""

from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from typing import Any

from billing.models import Plan, PlanVersion, Price, Subscription, SubscriptionChange
from billing.services.phases import write_phases
from customers.models import Customer, TaxRate, User
from customers.principals import Scope
from customers.services import (
    IssuedKey,
    add_member,
    create_api_key,
    create_customer,
    create_tax_rate,
)
from metering.models import Meter

NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
PASSWORD = "correct horse battery"

_numbers = count(1)


def make_customer(key: str = "", **fields: Any) -> Customer:
    key = key or f"customer-{next(_numbers)}"
    return create_customer(key=key, **{"name": key.title(), "email": f"{key}@example.com"} | fields)


def make_tax_rate(key: str = "", *, percent: str = "20", **fields: Any) -> TaxRate:
    key = key or f"tax-{next(_numbers)}"
    return create_tax_rate(key=key, name="VAT", percent=Decimal(percent), **fields)


def make_member(customer: Customer, *, role: str = "owner", email: str = "") -> User:
    email = email or f"member-{next(_numbers)}@example.com"
    user = User.objects.create_user(email, PASSWORD)
    add_member(customer=customer, user=user, role=role)
    return user


def make_staff(email: str = "staff@example.com") -> User:
    return User.objects.create_superuser(email, PASSWORD)


def make_key(customer: Customer | None = None, *scopes: Scope, at: datetime = NOW) -> IssuedKey:
    """Make a key of a customer with every customer scope, or an operator key with `admin`."""
    default = [Scope.ADMIN] if customer is None else list(Scope)[:3]
    return create_api_key(name="test", at=at, customer=customer, scopes=scopes or default)


def make_meter(key: str = "", *, aggregation: str = "count", **fields: Any) -> Meter:
    key = key or f"meter-{next(_numbers)}"
    defaults = {"name": key.title(), "event_type": "api.request", "filled_at": NOW}
    return Meter.objects.create(key=key, aggregation=aggregation, **defaults | fields)


def make_plan(*documents: dict[str, Any], key: str = "", **fields: Any) -> PlanVersion:
    """Make a published plan with these price documents."""
    key = key or f"plan-{next(_numbers)}"
    plan = Plan.objects.create(key=key, name=key.title())
    published_at = fields.pop("published_at", NOW)
    version = PlanVersion.objects.create(plan=plan, number=1, **fields)
    for position, document in enumerate(documents):
        meter = Meter.objects.current().filter(key=document.get("meter") or "").first()
        Price.objects.create(
            version=version,
            position=position,
            key=document["key"],
            name=document.get("name", document["key"]),
            meter=meter,
            document=document,
        )
    version.published_at = published_at
    version.save()
    return version


def make_subscription(
    customer: Customer, version: PlanVersion, start_at: datetime, **fields: Any
) -> Subscription:
    subscription = Subscription.objects.create(
        customer=customer, plan_version=version, start_at=start_at, **fields
    )
    SubscriptionChange.objects.create(
        subscription=subscription,
        kind="start",
        requested_at=start_at,
        effective_at=start_at,
        plan_version=version,
    )
    write_phases(subscription, start_at)
    return subscription
