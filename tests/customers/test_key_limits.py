"""Keys that may report only some events, and only so many requests a minute."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from customers.models import ApiKey, Customer
from customers.principals import Scope
from customers.services import create_api_key, take_turn
from tests.factories import NOW
from tests.metering.ingest.reports import counts, event, post

pytestmark = pytest.mark.django_db

type Api = Callable[[str], APIClient]


def make_limited(customer: Customer, **limits: Any) -> tuple[ApiKey, str]:
    issued = create_api_key(name="limited", at=NOW, customer=customer, **limits)
    return issued.api_key, issued.secret


def test_a_key_reports_only_its_own_types_of_events(api: Api, acme: Customer) -> None:
    _, secret = make_limited(acme, event_types=["api.request", "job"])
    answer = post(api(secret), [event("a"), event("b", type="other"), event("c", type="job")])
    assert counts(answer.json()) == (2, 0, 0, 1)
    (error,) = answer.json()["errors"]
    assert (error["index"], error["code"]) == (1, "event_type_not_allowed")


def test_a_minutes_worth_may_be_spent_at_once_and_comes_back_evenly(acme: Customer) -> None:
    key, _ = make_limited(acme, rate_limit=3)
    assert [take_turn(api_key=key, at=NOW) for _ in range(3)] == [None] * 3
    assert take_turn(api_key=key, at=NOW) == timedelta(seconds=20)
    assert take_turn(api_key=key, at=NOW + timedelta(seconds=19)) == timedelta(seconds=1)
    assert take_turn(api_key=key, at=NOW + timedelta(seconds=20)) is None
    assert take_turn(api_key=key, at=NOW + timedelta(seconds=20)) is not None
    later = NOW + timedelta(hours=1)
    assert [take_turn(api_key=key, at=later) for _ in range(4)].count(None) == 3


def test_requests_beyond_the_limit_get_429_and_when_to_come_back(api: Api, acme: Customer) -> None:
    _, secret = make_limited(acme, rate_limit=2)
    answers = [post(api(secret), event(str(number))) for number in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[-1].json()["error"]["code"] == "rate_limited"
    assert 25 <= int(answers[-1]["Retry-After"]) <= 31
    _, other = make_limited(acme, rate_limit=2)
    assert post(api(other), event("2")).json()["accepted"] == 1


def test_limits_are_set_and_shown_over_the_api(operator: APIClient, acme: Customer) -> None:
    asked = {
        "customer": "acme", "name": "edge", "scopes": [Scope.EVENTS_WRITE],
        "event_types": ["b", "a"], "rate_limit": 60,
    }  # fmt: skip
    answer = operator.post("/api/v1/api-keys", asked, format="json").json()
    assert (answer["event_types"], answer["rate_limit"]) == (["a", "b"], 60)
    for wrong in ({"rate_limit": 0}, {"event_types": [""]}, {"event_types": ["x" * 101]}):
        answer = operator.post("/api/v1/api-keys", asked | wrong, format="json")
        assert answer.status_code == 422
