"""GET /api/v1/usage."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest
from rest_framework.test import APIClient

from customers.models import Customer
from customers.principals import Scope
from metering.services.folding import fold_pending
from tests.factories import NOW, make_customer, make_key, make_meter
from tests.metering.usage.stored import Use, store_batch

URL = "/api/v1/usage"
MARCH = {"start": "2026-03-01T00:00:00Z", "end": "2026-04-01T00:00:00Z"}
ASKED = {"meter": "calls", "customer": "acme", **MARCH}


@pytest.fixture
def paris(db: None) -> Customer:
    """Return acme, with three calls: one folded, two not, one of these in the next day of Paris."""
    customer = make_customer("acme", time_zone="Europe/Paris")
    make_meter("calls", group_by=["endpoint"])
    for hour, endpoint in ((9, "/a"), (20, "/b"), (23, None)):
        at = datetime(2026, 3, 10, hour, tzinfo=UTC)
        store_batch(customer, [Use(at, {"endpoint": endpoint})])
        if hour == 9:
            fold_pending(at=NOW)
    return customer


def data_of(client: APIClient, **query: Any) -> list[dict[str, Any]]:
    response = client.get(URL, ASKED | query)
    assert response.status_code == 200, response.json()
    data: list[dict[str, Any]] = response.json()["data"]
    return data


def test_usage_of_a_period_is_one_row(paris: Customer, operator: APIClient) -> None:
    response = operator.get(URL, ASKED)
    assert response.json() == {
        "meter": "calls",
        "customer": "acme",
        **MARCH,
        "data": [{**MARCH, "group": {}, "value": "3"}],
    }


def test_windows_are_cut_in_the_customers_zone_or_the_one_asked_for(
    paris: Customer, operator: APIClient
) -> None:
    days = {"start": "2026-03-09T23:00:00Z", "end": "2026-03-11T23:00:00Z", "window": "day"}
    rows = data_of(operator, **days)
    assert [(row["start"], row["value"]) for row in rows] == [
        ("2026-03-09T23:00:00Z", "2"),
        ("2026-03-10T23:00:00Z", "1"),
    ]
    rows = data_of(operator, **days, timezone="UTC")
    assert [row["value"] for row in rows] == ["0", "3", "0"]


def test_groups_and_filters_are_texts_of_properties(paris: Customer, operator: APIClient) -> None:
    rows = data_of(operator, group_by="endpoint")
    assert [(row["group"], row["value"]) for row in rows] == [
        ({"endpoint": "/a"}, "1"),
        ({"endpoint": "/b"}, "1"),
        ({"endpoint": None}, "1"),
    ]
    [row] = data_of(operator, **{"filter[endpoint]": "/a"})
    assert row["value"] == "1"
    assert data_of(operator, group_by="endpoint,method", **{"filter[endpoint]": "/none"}) == []


def test_edges_of_a_period_may_be_any_instants(paris: Customer, operator: APIClient) -> None:
    narrow = {"start": "2026-03-10T10:00:00.000001+01:00", "end": "2026-03-10T20:00:00.000001Z"}
    [row] = data_of(operator, **narrow)
    assert (row["start"], row["value"]) == ("2026-03-10T09:00:00.000001Z", "1")


def test_without_a_period_it_is_the_month_in_the_customers_zone(
    paris: Customer, operator: APIClient
) -> None:
    at = datetime(2026, 2, 28, 23, 30, tzinfo=UTC)
    with patch("django.utils.timezone.now", return_value=at):
        response = operator.get(URL, {"meter": "calls", "customer": "acme"})
    document = response.json()
    assert (document["start"], document["end"]) == ("2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z")


def test_a_customers_key_may_leave_the_customer_out(
    paris: Customer, api: Callable[[str], APIClient]
) -> None:
    client = api(make_key(paris).secret)
    response = client.get(URL, {"meter": "calls", **MARCH})
    assert response.json()["data"][0]["value"] == "3"


@pytest.mark.parametrize(
    ("query", "field", "sentence"),
    [
        ({"meter": ""}, "meter", "may not be blank"),
        ({"start": "2026-03-01T00:00:00"}, "start", "Write the offset too"),
        ({"start": "2026-03-01"}, "start", "Write the offset too"),
        ({"start": "yesterday"}, "start", "Datetime has wrong format"),
        ({"end": "2026-03-01T00:00:00Z"}, "end", "The end must be later"),
        ({"window": "minute"}, "window", "is none of hour, day, week, month"),
        ({"window": "hour", "end": "2030-01-01T00:00:00Z"}, "window", "More than 10,000 windows"),
        ({"timezone": "Mars/Olympus"}, "timezone", "Mars/Olympus is no IANA time zone"),
        ({"timezone": "../../etc/passwd"}, "timezone", "no IANA time zone"),
        ({"timezone": "Europe"}, "timezone", "no IANA time zone"),
        ({"group_by": "a,,b"}, "group_by", "Name event properties"),
        ({"groupby": "a"}, "groupby", "There is no such field"),
        ({"filter[]": "a"}, "filter[]", "There is no such field"),
        ({"filter[a]": "\0"}, "filter", "zero character"),
        ({"filter[a]": ["x", "y"]}, "filter[a]", "once"),
        ({"customer": ["acme", "globex"]}, "customer", "once"),
    ],
)
def test_a_wrong_question_is_422_with_a_sentence(
    paris: Customer, operator: APIClient, query: dict[str, Any], field: str, sentence: str
) -> None:
    response = operator.get(URL, ASKED | query)
    error = response.json()["error"]
    assert response.status_code == 422
    assert sentence in error["message"]
    assert field in error["details"]


@pytest.mark.parametrize("missing", ["start", "end"])
def test_one_end_of_a_period_needs_the_other(
    paris: Customer, operator: APIClient, missing: str
) -> None:
    query = {name: value for name, value in ASKED.items() if name != missing}
    error = operator.get(URL, query).json()["error"]
    assert error["details"] == {
        missing: ["Give both start and end, or neither for the current month."]
    }


def test_an_operator_names_the_customer(paris: Customer, operator: APIClient) -> None:
    response = operator.get(URL, {"meter": "calls"})
    assert response.status_code == 422
    assert "customer" in response.json()["error"]["details"]


@pytest.mark.parametrize("query", [{"meter": "none"}, {"customer": "none"}])
def test_what_is_not_there_is_404(
    paris: Customer, operator: APIClient, query: dict[str, str]
) -> None:
    assert operator.get(URL, ASKED | query).status_code == 404


def test_a_strangers_usage_is_404_and_a_key_without_scope_403(
    paris: Customer, api: Callable[[str], APIClient]
) -> None:
    stranger = api(make_key(make_customer("globex")).secret)
    assert stranger.get(URL, ASKED).status_code == 404
    writer = api(make_key(paris, Scope.EVENTS_WRITE).secret)
    assert writer.get(URL, ASKED).status_code == 403
    assert api("").get(URL, ASKED).status_code == 401


def test_values_are_written_without_exponent_or_trailing_zeros(
    paris: Customer, operator: APIClient
) -> None:
    make_meter("money", aggregation="sum", value_property="amount")
    uses = [Use(NOW + timedelta(days=day), {"amount": "5e-10"}) for day in range(2)]
    store_batch(paris, [*uses, Use(NOW, {"amount": "100.00"})])
    [row] = data_of(operator, meter="money")
    assert row["value"] == "100.000000001"
