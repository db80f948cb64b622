"""Subscriptions over HTTP."""

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from billing.models import Subscription
from customers.models import Customer
from tests import factories
from tests.billing.plans import publish_plan, subscribe
from tests.billing.usage import instant

SUBSCRIPTIONS = "/api/v1/subscriptions"
ACME = {
    "customer": "acme",
    "plan": "pro",
    "start_at": "2026-01-01T00:00:00Z",
    "anchor": "calendar",
    "quantities": {},
    "coupons": [],
}

type Api = Callable[[str], APIClient]


def post(client: APIClient, path: str, body: Any) -> Any:
    return client.post(path, body, format="json")


def test_a_customer_is_subscribed(operator: APIClient, acme: Customer) -> None:
    publish_plan()
    created = post(operator, SUBSCRIPTIONS, ACME)
    read = operator.get(f"{SUBSCRIPTIONS}/{created.json()['id']}").json()
    assert (created.status_code, created.json()) == (201, read)
    assert read == {
        "id": read["id"],
        "customer": "acme",
        "plan": "pro",
        "plan_version": 1,
        "start_at": "2026-01-01T00:00:00Z",
        "end_at": None,
        "canceled_at": None,
        "anchor": "calendar",
        "trial_end_at": None,
        "coupons": [],
        "phases": [
            {
                "plan": "pro",
                "plan_version": 1,
                "state": "active",
                "quantities": {},
                "start_at": "2026-01-01T00:00:00Z",
                "end_at": None,
            }
        ],
        "changes": [read["changes"][0] | {"kind": "start", "plan": "pro", "withdrawn_at": None}],
    }


def test_the_start_is_now_unless_it_is_named(operator: APIClient, acme: Customer) -> None:
    publish_plan()
    before = timezone.now()
    post(operator, SUBSCRIPTIONS, {"customer": "acme", "plan": "pro"})
    assert before <= Subscription.objects.get().start_at <= timezone.now()


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"customer": "nobody"}, "customer"),
        ({"plan": "nothing"}, "plan"),
        ({"start_at": "2026-01-01T00:00:00"}, "start_at"),
        ({"start_at": "9999-12-31T23:59:59Z", "trial_days": 30}, "start_at"),
        ({"anchor": "birthday"}, "anchor"),
        ({"quantities": {"seats": "5"}}, "quantities.seats"),
        ({"coupons": ["welcome"]}, "coupons"),
        ({"end_on": "2026-02-01"}, "end_on"),
    ],
)
def test_a_wrong_field_is_named(
    operator: APIClient, acme: Customer, wrong: dict[str, Any], field: str
) -> None:
    publish_plan()
    response = post(operator, SUBSCRIPTIONS, ACME | wrong)
    assert (response.status_code, list(response.json()["error"]["details"])) == (422, [field])
    assert not Subscription.objects.exists()


@pytest.mark.parametrize(
    ("body", "end_at"),
    [
        ({"at": "2026-01-20T10:00:00+01:00"}, "2026-01-20T09:00:00Z"),
        ({"at": "2098-07-01T00:00:00Z"}, "2098-07-01T00:00:00Z"),
    ],
)
def test_a_subscription_is_canceled_at_an_instant(
    operator: APIClient, acme: Customer, body: dict[str, str], end_at: str
) -> None:
    subscription = subscribe(acme, "2026-01-01")
    answer = post(operator, f"{SUBSCRIPTIONS}/{subscription.pk}/cancel", body)
    assert (answer.status_code, answer.json()["end_at"]) == (200, end_at)


def test_a_subscription_is_canceled_with_its_period_or_now(
    operator: APIClient, acme: Customer
) -> None:
    subscription = subscribe(acme, "2026-01-01")
    path = f"{SUBSCRIPTIONS}/{subscription.pk}/cancel"
    planned = instant(post(operator, path, {"at": "period_end"}).json()["end_at"])
    now = instant(post(operator, path, {}).json()["end_at"])
    assert (planned.day, planned.hour, planned > timezone.now()) == (1, 0, True)
    assert now <= timezone.now()
    assert post(operator, path, {}).json()["error"]["code"] == "already_ended"


def test_a_wrong_end_is_named(operator: APIClient, acme: Customer) -> None:
    subscription = subscribe(acme, "2026-01-01")
    path = f"{SUBSCRIPTIONS}/{subscription.pk}/cancel"
    for wrong in ("soon", "2025-01-01T00:00:00Z", "9999-12-31T23:59:59Z"):
        body = {"at": wrong}
        response = post(operator, path, body)
        assert (response.status_code, list(response.json()["error"]["details"])) == (422, ["at"])


def test_lists_narrow_down_by_customer_plan_and_end(operator: APIClient, acme: Customer) -> None:
    version = publish_plan()
    own = subscribe(acme, "2026-01-01", version)
    other = subscribe(factories.make_customer("globex"), "2026-01-01", version)
    Subscription.objects.filter(pk=other.pk).update(end_at=instant("2026-02-01"))
    queries = {
        "customer=acme": [own.pk],
        "plan=pro": [other.pk, own.pk],
        "has_end=true": [other.pk],
    }
    for query, expected in queries.items():
        rows = operator.get(f"{SUBSCRIPTIONS}?{query}").json()["results"]
        assert [row["id"] for row in rows] == expected


def test_customers_read_their_own(api: Api, acme: Customer) -> None:
    version = publish_plan()
    own = subscribe(acme, "2026-01-01", version)
    subscribe(factories.make_customer("globex"), "2026-01-01", version)
    client = api(factories.make_key(acme).secret)
    assert [row["id"] for row in client.get(SUBSCRIPTIONS).json()["results"]] == [own.pk]
    assert post(client, f"{SUBSCRIPTIONS}/{own.pk}/cancel", {}).status_code == 403
