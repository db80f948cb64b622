"""Plans over HTTP."""

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from billing.models import Plan
from customers.models import Customer
from tests import factories
from tests.billing.plans import CALLS, FEE, publish_plan, subscribe

PLANS = "/api/v1/plans"
# As the contract writes it, with terms that ask for nothing.
PRO = {
    "key": "pro",
    "name": "Pro",
    "currency": "USD",
    "interval": "month",
    "interval_count": 1,
    "trial_days": 0,
    "grace_hours": 24,
    "invoice_threshold": None,
    "minimum_amount": None,
    "prices": [FEE, CALLS],
}
QUOTE = {
    "currency": "USD",
    "prices": [CALLS],
    "usage": {"calls": {"quantity": "22", "billed_quantity": "12"}},
}

type Api = Callable[[str], APIClient]


def post(client: APIClient, path: str, body: Any) -> Any:
    return client.post(path, body, format="json")


def test_a_plan_is_created_published_and_read_back(operator: APIClient) -> None:
    factories.make_meter("calls")
    created = post(operator, PLANS, PRO)
    read = operator.get(f"{PLANS}/pro").json()
    assert (created.status_code, created.json()) == (201, read)
    assert (read["version"], read["currency"], read["payment_days"]) == (1, "USD", 14)
    assert [price["key"] for price in read["prices"]] == ["base", "calls"]
    assert read["prices"][1]["tiers"][0]["unit_amount"] == "2"


def test_a_change_makes_the_next_version(operator: APIClient) -> None:
    publish_plan()
    changed = operator.patch(f"{PLANS}/pro", {"prices": [FEE | {"amount": "40"}]}, format="json")
    assert (changed.status_code, changed.json()["version"]) == (200, 2)
    assert operator.get(f"{PLANS}/pro").json() == changed.json()
    assert changed.json()["prices"][0]["amount"] == "40"


def test_the_list_holds_each_plan_once(operator: APIClient) -> None:
    publish_plan()
    publish_plan(key="team")
    operator.patch(f"{PLANS}/pro", {"grace_hours": 48}, format="json")
    rows = operator.get(PLANS).json()["results"]
    assert [(row["key"], row["version"]) for row in rows] == [("pro", 2), ("team", 1)]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"prices": [FEE, CALLS | {"tiers": []}]}, "prices.1.tiers"),
        ({"prices": [FEE | {"amount": 0.1}]}, "prices.0.amount"),
        ({"prices": []}, "prices"),
        ({"trial_days": -1}, "trial_days"),
        ({"intervall": "month"}, "intervall"),
        ({"interval": "fortnight"}, "interval"),
        ({"key": "no spaces"}, "key"),
    ],
)
def test_a_wrong_field_is_named(operator: APIClient, wrong: dict[str, Any], field: str) -> None:
    factories.make_meter("calls")
    response = post(operator, PLANS, PRO | wrong)
    assert response.status_code == 422
    assert field in response.json()["error"]["details"]
    assert not Plan.objects.exists()


def test_a_taken_key_is_a_conflict(operator: APIClient) -> None:
    publish_plan()
    assert post(operator, PLANS, PRO).json()["error"]["code"] == "already_exists"


def test_customers_read_the_plans_they_have_and_no_others(api: Api, acme: Customer) -> None:
    subscribe(acme, "2026-01-01", publish_plan())
    publish_plan(key="secret-deal")
    client = api(factories.make_key(acme).secret)
    assert [row["key"] for row in client.get(PLANS).json()["results"]] == ["pro"]
    assert client.get(f"{PLANS}/secret-deal").status_code == 404
    assert post(client, PLANS, PRO).status_code == 403


def test_a_draft_is_written_changed_and_published(operator: APIClient) -> None:
    factories.make_meter("calls")
    drafted = post(operator, PLANS, PRO | {"prices": [], "publish": False})
    assert (drafted.status_code, drafted.json()["published_at"]) == (201, None)
    one = f"{PLANS}/pro/versions/1"
    assert post(operator, f"{one}/publish", {}).json()["error"]["details"].keys() == {"prices"}
    changed = operator.patch(one, {"prices": [FEE], "grace_hours": 1}, format="json")
    assert (changed.status_code, changed.json()["grace_hours"]) == (200, 1)
    published = post(operator, f"{one}/publish", {})
    assert published.json() == operator.get(f"{PLANS}/pro").json() == operator.get(one).json()
    assert operator.patch(one, {"grace_hours": 2}, format="json").status_code == 409
    assert operator.delete(one).status_code == 409


def test_a_next_version_may_be_a_draft_that_is_dropped(operator: APIClient) -> None:
    publish_plan()
    operator.patch(f"{PLANS}/pro", {"grace_hours": 1, "publish": False}, format="json")
    assert operator.get(f"{PLANS}/pro").json()["version"] == 1
    rows = operator.get(f"{PLANS}/pro/versions").json()["results"]
    assert [(row["version"], bool(row["published_at"])) for row in rows] == [(2, False), (1, True)]
    assert operator.delete(f"{PLANS}/pro/versions/2").status_code == 204
    assert operator.get(f"{PLANS}/pro/versions/2").status_code == 404


@pytest.mark.parametrize("path", ["versions/9", "versions/9/publish", "versions/x"])
def test_an_unknown_version_is_not_found(operator: APIClient, path: str) -> None:
    publish_plan()
    verb = operator.post if path.endswith("publish") else operator.get
    assert verb(f"{PLANS}/pro/{path}").status_code == 404
    assert operator.get(f"{PLANS}/nothing/versions").status_code == 404


def test_a_plan_is_read_as_it_is_sold_in_a_currency_or_to_a_customer(operator: APIClient) -> None:
    publish_plan()
    factories.make_customer("acme")
    euros = {"currency": "EUR", "prices": [FEE | {"amount": "29"}]}
    operator.patch(f"{PLANS}/pro", euros, format="json")
    own = {"customer": "acme", "prices": [FEE | {"amount": "10"}]}
    assert operator.patch(f"{PLANS}/pro", own, format="json").json()["currency"] == "USD"
    for query, version in (("", 2), ("?currency=USD", 1), ("?customer=acme", 3)):
        assert operator.get(f"{PLANS}/pro{query}").json()["version"] == version, query
    assert operator.get(f"{PLANS}/pro?currency=JPY").status_code == 404


def test_a_customers_own_version_is_nobody_elses_to_see(
    operator: APIClient, api: Api, acme: Customer
) -> None:
    globex = factories.make_customer("globex")
    subscribe(globex, "2026-01-01", publish_plan())
    own = {"customer": "acme", "minimum_amount": None, "prices": [FEE | {"amount": "10"}]}
    operator.patch(f"{PLANS}/pro", own, format="json")
    mine, other = (api(factories.make_key(each).secret) for each in (acme, globex))
    assert mine.get(f"{PLANS}/pro").json()["customer"] == "acme"
    assert other.get(f"{PLANS}/pro").json()["version"] == 1
    assert other.get(f"{PLANS}/pro/versions/2").status_code == 404
    assert other.get(f"{PLANS}/pro?customer=acme").status_code == 404
    assert len(other.get(f"{PLANS}/pro/versions").json()["results"]) == 1


def test_customers_see_no_drafts(operator: APIClient, api: Api, acme: Customer) -> None:
    subscribe(acme, "2026-01-01", publish_plan())
    operator.patch(f"{PLANS}/pro", {"grace_hours": 1, "publish": False}, format="json")
    client = api(factories.make_key(acme).secret)
    assert client.get(f"{PLANS}/pro/versions/2").status_code == 404
    assert len(client.get(f"{PLANS}/pro/versions").json()["results"]) == 1
