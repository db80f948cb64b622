"""Drafts, several currencies, one customer's own versions, and terms that are kept."""

from decimal import Decimal
from typing import Any

import pytest

from billing.models import PlanVersion
from billing.selectors.catalog import current_versions, sold_version
from billing.services import catalog
from billing.services.subscriptions import create_subscription
from config.errors import DomainError, InvalidInputError
from customers.models import Customer
from customers.principals import Principal
from tests import factories
from tests.billing.plans import FEE, publish_plan
from tests.factories import NOW

STAFF = Principal(customer_ids=None)
EURO_FEE = FEE | {"amount": "29"}

pytestmark = pytest.mark.django_db


def next_version(version: PlanVersion, **changes: Any) -> PlanVersion:
    return catalog.publish_new_version(plan=version.plan, at=NOW, **changes)


def own_version(version: PlanVersion, customer: Customer) -> PlanVersion:
    return next_version(version, customer=customer, prices=[FEE | {"amount": "10"}])


def seen_by(customer: Customer) -> list[PlanVersion]:
    return list(current_versions(Principal(customer_ids=frozenset({customer.pk}))))


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"invoice_threshold": "0"}, "invoice_threshold"),
        ({"invoice_threshold": "-5"}, "invoice_threshold"),
        ({"minimum_amount": "ten"}, "minimum_amount"),
        ({"minimum_amount": "1e-16"}, "minimum_amount"),
        ({"trial_days": -1}, "trial_days"),
        ({"trial_days": 36600}, "trial_days"),
    ],
)
def test_a_wrong_term_names_its_field(terms: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        publish_plan(**terms)
    assert refused.value.field == field


def test_a_draft_is_changed_and_then_published_as_it_is() -> None:
    first = publish_plan()
    draft = catalog.draft_version(plan=first.plan, prices=[])
    catalog.change_draft(version=draft, prices=[FEE], grace_hours=48)
    assert (first.plan.current_version(), draft.is_draft) == (first, True)
    published = catalog.publish_draft(version=draft, at=NOW)
    assert first.plan.current_version() == published == draft
    assert (published.number, published.grace_hours, published.prices.count()) == (2, 48, 1)


def test_a_draft_without_prices_is_kept_but_not_published(acme: Customer) -> None:
    draft = catalog.draft_plan(key="new", name="New")
    with pytest.raises(InvalidInputError, match="at least one price"):
        catalog.publish_draft(version=draft, at=NOW)
    with pytest.raises(DomainError) as refused:
        create_subscription(customer=acme, plan=draft.plan, start_at=NOW)
    assert refused.value.code == "not_published"


def test_numbers_ascend_in_the_order_of_publication() -> None:
    first = publish_plan()
    draft = catalog.draft_version(plan=first.plan, grace_hours=1)
    assert (draft.number, next_version(first, grace_hours=2).number) == (2, 3)
    late = catalog.publish_draft(version=draft, at=NOW)
    assert (late.number, first.plan.current_version()) == (4, late)


def test_what_is_published_is_no_draft_any_more() -> None:
    version = publish_plan()
    for verb in (catalog.change_draft, catalog.drop_draft):
        with pytest.raises(DomainError) as refused:
            verb(version=version)
        assert refused.value.code == "already_published"
    with pytest.raises(DomainError):
        catalog.publish_draft(version=version, at=NOW)


def test_a_dropped_draft_is_gone() -> None:
    first = publish_plan()
    draft = catalog.draft_version(plan=first.plan, grace_hours=1)
    catalog.drop_draft(version=draft)
    assert list(first.plan.versions.all()) == [first]
    with pytest.raises(DomainError) as refused:
        catalog.change_draft(version=draft, grace_hours=2)
    assert refused.value.code == "deleted"


def test_one_plan_sells_in_several_currencies() -> None:
    dollars = publish_plan()
    euros = next_version(dollars, currency="EUR", prices=[EURO_FEE])
    newer = next_version(dollars, currency="USD", grace_hours=1)
    assert [newer.plan.current_version(each) for each in ("USD", "EUR")] == [newer, euros]
    for currency, version in (("USD", newer), ("EUR", euros)):
        customer = factories.make_customer(currency=currency)
        bought = create_subscription(customer=customer, plan=version.plan, start_at=NOW)
        assert bought.plan_version == version


@pytest.mark.parametrize("changes", [{}, {"grace_hours": 1}])
def test_amounts_of_one_currency_are_never_taken_for_another(changes: dict[str, Any]) -> None:
    version = publish_plan()
    with pytest.raises(InvalidInputError, match="write its prices in JPY") as refused:
        next_version(version, currency="JPY", **changes)
    assert refused.value.field == "prices"


def test_a_customers_own_version_is_sold_to_it_alone(acme: Customer) -> None:
    public = publish_plan()
    own = own_version(public, acme)
    newer = next_version(public, grace_hours=1)
    globex = factories.make_customer("globex")
    assert (sold_version(public.plan, acme), sold_version(public.plan, globex)) == (own, newer)
    assert public.plan.current_version() == newer
    bought = create_subscription(customer=acme, plan=public.plan, start_at=NOW)
    assert bought.plan_version == own


def test_a_plan_made_for_one_customer_is_refused_to_others(acme: Customer) -> None:
    factories.make_meter("calls")
    own = catalog.create_plan(key="deal", name="Deal", prices=[FEE], customer=acme, at=NOW)
    globex = factories.make_customer("globex")
    with pytest.raises(DomainError) as refused:
        create_subscription(customer=globex, plan=own.plan, start_at=NOW)
    assert (refused.value.code, "Acme" in refused.value.message) == ("not_published", False)
    assert next_version(own, grace_hours=1).customer == acme


def test_a_customers_own_version_is_in_its_currency(acme: Customer) -> None:
    with pytest.raises(InvalidInputError, match="pays in USD") as refused:
        next_version(publish_plan(), customer=acme, currency="EUR", prices=[FEE])
    assert refused.value.field == "currency"


def test_nobody_else_sees_a_customers_own_version(acme: Customer) -> None:
    public = publish_plan()
    own = own_version(public, acme)
    globex = factories.make_customer("globex")
    create_subscription(customer=globex, plan=public.plan, start_at=NOW)
    assert (seen_by(acme), seen_by(globex)) == ([own], [public])
    assert list(current_versions(STAFF)) == [public]


def test_customers_see_the_version_in_their_currency() -> None:
    version = publish_plan()
    next_version(version, currency="EUR", prices=[EURO_FEE])
    customer = factories.make_customer()
    create_subscription(customer=customer, plan=version.plan, start_at=NOW)
    assert seen_by(customer) == [version]
    assert [each.currency for each in current_versions(STAFF, currency="EUR")] == ["EUR"]


def test_an_addon_is_sold_beside_a_base_plan(acme: Customer) -> None:
    addon = publish_plan(FEE, key="support", is_addon=True)
    with pytest.raises(DomainError) as refused:
        create_subscription(customer=acme, plan=addon.plan, start_at=NOW)
    assert refused.value.code == "no_base_plan"
    create_subscription(customer=acme, plan=publish_plan().plan, start_at=NOW)
    assert create_subscription(customer=acme, plan=addon.plan, start_at=NOW).pk


def test_amounts_are_kept_to_the_digit() -> None:
    version = publish_plan(FEE)
    kept = PlanVersion(plan=version.plan, number=9, minimum_amount=Decimal("10.50"))
    kept.save()
    kept.refresh_from_db()
    assert str(kept.minimum_amount) == "10.50"
