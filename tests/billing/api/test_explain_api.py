"""An issued invoice explained over HTTP, down to the raw events it had seen."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from billing.models import Invoice
from billing.services.invoicing import bill_customers
from customers.models import Customer
from metering.services.folding import fold_pending
from tests import factories
from tests.billing.plans import publish_plan, subscribe
from tests.billing.usage import instant, report_calls
from tests.metering.history.corrected import store, void

CALLS = {"key": "c", "name": "C", "meter": "calls", "model": "per_unit", "unit_amount": "2"}


@pytest.fixture
def address(acme: Customer) -> str:
    """Return where January's invoice is: 31 for the plan, five calls on two days."""
    subscribe(acme, "2026-01-01")
    report_calls(acme, "2026-01-10T09:00", 3)
    store(acme, "x-1", instant("2026-01-11T23:30"))
    store(acme, "x-2", instant("2026-01-11T23:40"), endpoint="/a", size=1.5)
    fold_pending(at=instant("2026-02-02"))
    bill_customers(customer_ids=[acme.pk], at=instant("2026-02-02"))
    return f"/api/v1/invoices/{Invoice.objects.get().number}/explain"


def used(line: dict[str, Any]) -> dict[str, str]:
    return {day["start"][:10]: day["value"] for day in line["days"] if day["value"] != "0"}


def ids(page: dict[str, Any]) -> list[str]:
    return [event["id"] for event in page["results"]]


def test_a_line_opens_down_to_its_days(operator: APIClient, address: str) -> None:
    fee, calls = operator.get(address).json()["lines"]
    assert (fee["position"], fee["days"], fee["events"]) == (1, [], None)
    assert (calls["position"], calls["line"]["quantity"], calls["adds_up"]) == (2, "5", True)
    assert used(calls) == {"2026-01-10": "3", "2026-01-11": "2"}
    assert calls["line"]["steps"][0]["quantity"] == "5"


def test_its_events_come_page_by_page_by_key(operator: APIClient, address: str) -> None:
    events = operator.get(address).json()["lines"][1]["events"]
    first = operator.get(f"{events}&limit=2").json()
    assert ids(first) == ["x-2", "x-1"]
    second = operator.get(first["next"]).json()
    third = operator.get(second["next"]).json()
    assert (len(ids(second)), len(ids(third)), third["next"]) == (2, 1, None)
    assert first["results"][0]["properties"] == {"endpoint": "/a", "size": 1.5}


def test_events_can_be_narrowed_to_a_day(operator: APIClient, address: str) -> None:
    query = "line=2&start=2026-01-11T00:00:00Z&end=2026-01-12T00:00:00Z"
    assert ids(operator.get(f"{address}/events?{query}").json()) == ["x-2", "x-1"]


def test_no_event_outside_of_the_lines_period_is_shown(operator: APIClient, address: str) -> None:
    report_calls(Customer.objects.get(key="acme"), "2026-02-01T09:00")
    query = "line=2&start=2025-01-01T00:00:00Z&end=2027-01-01T00:00:00Z"
    assert len(ids(operator.get(f"{address}/events?{query}").json())) == 5


def test_what_came_or_was_voided_after_issue_changes_nothing(
    operator: APIClient, address: str, acme: Customer
) -> None:
    before = operator.get(address).json()
    report_calls(acme, "2026-01-10T10:00", 4)
    void(acme, "x-1", at=instant("2026-02-03"))
    assert operator.get(address).json() == before
    assert len(ids(operator.get(f"{address}/events?line=2").json())) == 5


def test_days_are_those_of_the_zone_the_period_was_cut_in(
    operator: APIClient, acme: Customer
) -> None:
    Customer.objects.update(time_zone="Asia/Tokyo")
    acme.refresh_from_db()
    subscribe(acme, "2025-12-31T15:00", publish_plan(CALLS))
    store(acme, "late-evening", instant("2026-01-10T16:00"))
    bill_customers(customer_ids=[acme.pk], at=instant("2026-02-02"))
    Customer.objects.update(time_zone="UTC")
    explained = operator.get(f"/api/v1/invoices/{Invoice.objects.get().number}/explain").json()
    [day] = [day for day in explained["lines"][0]["days"] if day["value"] == "1"]
    assert (day["start"], day["end"]) == ("2026-01-10T15:00:00Z", "2026-01-11T15:00:00Z")


def test_days_of_a_unique_count_say_that_they_do_not_add_up(
    operator: APIClient, acme: Customer
) -> None:
    factories.make_meter("users", aggregation="unique_count", value_property="user")
    subscribe(acme, "2026-01-01", publish_plan(CALLS | {"meter": "users"}))
    for day in ("2026-01-05", "2026-01-06"):
        store(acme, f"e-{day}", instant(day), user="u")
    bill_customers(customer_ids=[acme.pk], at=instant("2026-02-02"))
    explained = operator.get(f"/api/v1/invoices/{Invoice.objects.get().number}/explain").json()
    assert (used(explained["lines"][0]), explained["lines"][0]["adds_up"]) == (
        {"2026-01-05": "1", "2026-01-06": "1"},
        False,
    )


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 422),
        ("?line=0", 422),
        ("?line=x", 422),
        ("?line=3", 404),
        ("?line=99999999999999999999", 404),
        ("?line=1", 422),
        ("?line=2&cursor=nonsense", 422),
        ("?line=2&limit=501", 422),
        ("?line=2&start=yesterday", 422),
        ("?line=2&colour=red", 422),
        ("?line=2&start=2026-03-01T00:00:00Z", 200),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused(
    operator: APIClient, address: str, query: str, status: int
) -> None:
    assert operator.get(f"{address}/events{query}").status_code == status


def test_a_draft_is_not_explained(operator: APIClient, acme: Customer) -> None:
    subscribe(acme, "2026-01-01")
    bill_customers(customer_ids=[acme.pk], at=instant("2026-02-01"))
    address = f"/api/v1/invoices/{Invoice.objects.get().pk}"
    assert operator.get(address).status_code == 200
    assert operator.get(f"{address}/explain").status_code == 404


def test_a_customer_explains_its_own(api: Any, acme: Customer, address: str) -> None:
    client = api(factories.make_key(acme).secret)
    assert client.get(address).status_code == 200
    assert client.get(f"{address}/events?line=2").status_code == 200
