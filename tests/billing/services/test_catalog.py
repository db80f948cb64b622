"""Plans: published once, replaced, never changed."""

from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from billing.models import Plan, PlanVersion, Price
from billing.services.catalog import create_plan, publish_new_version
from config.errors import DomainError, InvalidInputError
from tests import factories
from tests.factories import NOW

FEE = {"key": "base", "name": "Base fee", "model": "flat", "amount": "20"}
CALLS = {"key": "calls", "meter": "calls", "model": "per_unit", "unit_amount": "0.01"}

pytestmark = pytest.mark.django_db


def make_plan(*documents: dict[str, Any], **fields: Any) -> PlanVersion:
    factories.make_meter("calls")
    prices = list(documents) or [FEE, CALLS]
    return create_plan(key="pro", name="Pro", prices=prices, at=NOW, **fields)


def refusal(*documents: dict[str, Any], **fields: Any) -> InvalidInputError:
    with pytest.raises(InvalidInputError) as refused:
        make_plan(*documents, **fields)
    assert not Plan.objects.exists()
    return refused.value


def test_a_plan_begins_with_its_first_version_published() -> None:
    version = make_plan(currency="EUR", interval="quarter", grace_hours=48, payment_days=30)
    assert version.plan.current_version() == version
    assert (version.number, version.published_at) == (1, NOW)
    assert (version.currency, version.interval, version.payment_days) == ("EUR", "quarter", 30)
    assert [price.key for price in version.prices.all()] == ["base", "calls"]


def test_prices_are_kept_with_every_default_written_out() -> None:
    price = make_plan(CALLS).prices.get()
    assert (price.name, price.meter and price.meter.key) == ("calls", "calls")
    assert price.document["unit_amount"] == "0.01"
    assert price.document["proration"] == "day"
    assert price.document["charge_flat_on_zero"] is True


@pytest.mark.parametrize(
    ("document", "field"),
    [
        (FEE | {"amount": "-1"}, "prices.0.amount"),
        (FEE | {"amount": 0.1}, "prices.0.amount"),
        (FEE | {"amuont": "1"}, "prices.0.amuont"),
        (FEE | {"timing": "later"}, "prices.0.timing"),
        (CALLS | {"timing": "advance"}, "prices.0.timing"),
        (CALLS | {"meter": "nothing"}, "prices.0.meter"),
        ({"key": "cost", "model": "dynamic", "multiplier": "2"}, "prices.0.meter"),
        (CALLS | {"model": "volume"}, "prices.0.unit_amount"),
    ],
)
def test_a_wrong_price_is_named_and_nothing_is_kept(document: dict[str, Any], field: str) -> None:
    assert refusal(document).field == field


def test_two_prices_with_one_key_are_refused() -> None:
    assert refusal(FEE, FEE).field == "prices.1.key"


def test_a_plan_without_prices_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="at least one price"):
        create_plan(key="pro", name="Pro", prices=[], at=NOW)


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"trial_days": -1}, "trial_days"),
        ({"invoice_threshold": "0"}, "invoice_threshold"),
        ({"minimum_amount": "-10"}, "minimum_amount"),
        ({"interval_count": 0}, "interval_count"),
        ({"interval": "fortnight"}, "interval"),
        ({"currency": "XXY"}, "currency"),
        ({"grace_hours": -1}, "grace_hours"),
    ],
)
def test_a_wrong_term_is_named(terms: dict[str, Any], field: str) -> None:
    assert refusal(FEE, **terms).field == field


def test_terms_that_ask_for_nothing_are_taken() -> None:
    assert make_plan(FEE, trial_days=0, invoice_threshold=None, minimum_amount=None).pk


def test_a_taken_key_is_a_conflict() -> None:
    version = make_plan()
    with pytest.raises(DomainError) as refused:
        create_plan(key=version.plan.key, name="Other", prices=[FEE], at=NOW)
    assert refused.value.code == "already_exists"


def test_a_new_version_is_the_old_one_with_the_changes() -> None:
    first = make_plan(grace_hours=48)
    second = publish_new_version(plan=first.plan, at=NOW, name="Pro 2", prices=[FEE])
    first.plan.refresh_from_db()
    assert (second.number, second.grace_hours, first.plan.name) == (2, 48, "Pro 2")
    assert [price.key for price in second.prices.all()] == ["base"]
    assert [price.key for price in first.prices.all()] == ["base", "calls"]


def test_a_new_version_without_prices_keeps_the_old_ones() -> None:
    first = make_plan()
    second = publish_new_version(plan=first.plan, at=NOW, payment_days=30)
    documents = [[price.document for price in each.prices.all()] for each in (first, second)]
    assert documents[0] == documents[1]


def test_a_plan_that_was_never_published_has_no_next_version() -> None:
    plan = Plan.objects.create(key="draft", name="Draft")
    with pytest.raises(DomainError) as refused:
        publish_new_version(plan=plan, at=NOW, prices=[FEE])
    assert refused.value.code == "not_published"


@pytest.mark.parametrize("changes", [{}, {"key": "other"}, {"prices": []}, {"trial_days": -3}])
def test_a_version_that_changes_nothing_or_the_wrong_thing_is_refused(
    changes: dict[str, Any],
) -> None:
    version = make_plan()
    with pytest.raises(InvalidInputError):
        publish_new_version(plan=version.plan, at=NOW, **changes)
    assert version.plan.versions.count() == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing_price SET document = '{}'",
        "DELETE FROM billing_price",
        "INSERT INTO billing_price (version_id, position, key, name, document) "
        "SELECT id, 9, 'more', 'More', '{}' FROM billing_planversion",
        "UPDATE billing_planversion SET currency = 'EUR'",
        "UPDATE billing_planversion SET published_at = NULL",
        "DELETE FROM billing_planversion",
    ],
)
def test_the_database_refuses_to_change_a_published_version(statement: str) -> None:
    make_plan()
    with (
        pytest.raises(DatabaseError, match="pgtrigger"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)


def test_an_unpublished_version_may_change() -> None:
    plan = Plan.objects.create(key="draft", name="Draft")
    version = PlanVersion.objects.create(plan=plan, number=1)
    price = Price.objects.create(version=version, key="base", name="Base", document=FEE)
    price.name = "Fee"
    price.save()
    version.delete()
    assert not Price.objects.exists()
