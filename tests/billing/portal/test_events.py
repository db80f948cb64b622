"""The events log: what counts, and what became of one request."""

import pytest
from django.test import Client

from customers.models import Customer
from tests.billing.portal.pages import words
from tests.factories import make_customer
from tests.metering.ingest.reports import event, report

pytestmark = pytest.mark.django_db

URL = "/portal/acme/events/"


@pytest.fixture(autouse=True)
def events(acme: Customer) -> None:
    make_customer("globex")
    report([event("req-1", properties={"endpoint": "/search", "status": 200})])
    report([event("req-2", type="job", properties={"endpoint": "/export"})])
    report([event("req-other", customer="globex")])
    report([event("req-1", properties={"endpoint": "/other"})])


def test_the_customers_own_events_are_listed(client: Client) -> None:
    page = words(client.get(URL))
    assert "req-1" in page
    assert "req-2" in page
    assert '{"status": 200, "endpoint": "/search"}' in page
    assert "req-other" not in page


@pytest.mark.parametrize(
    "query",
    [
        {"event_id": "req-2"},
        {"event_type": "job"},
        {"property_name": "endpoint", "property_value": "/export"},
        {"event_id": "req-2", "start": "2026-03-15", "end": "2026-03-15"},
    ],
)
def test_filters_narrow(client: Client, query: dict[str, str]) -> None:
    page = words(client.get(URL, query))
    assert "/export" in page.replace('value="/export"', "")
    assert "/search" not in page


def test_a_refused_report_of_the_id_is_told_with_its_reason(client: Client) -> None:
    page = words(client.get(URL, {"event_id": "req-1"}))
    assert "was not counted" in page
    assert "conflict" in page
    assert "was not counted" not in words(client.get(URL, {"event_id": "req-2"}))
    assert "was not counted" not in words(client.get(URL, {"event_id": "req-other"}))


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"event_id": "no-such"}, "Nothing that counts matches"),
        ({"property_name": "status", "property_value": "404"}, "Nothing that counts matches"),
        ({"event_id": "\0"}, "Correct the marked field"),
        ({"start": "tomorrow"}, "Correct the marked field"),
        ({"before": "nonsense"}, "start again from the first page"),
    ],
)
def test_what_is_not_there_or_no_question_is_said(
    client: Client, query: dict[str, str], sentence: str
) -> None:
    answer = client.get(URL, query)
    assert answer.status_code == 200
    assert sentence in words(answer)


def test_pages_lead_to_older_events_and_back(client: Client, acme: Customer) -> None:
    report(event(f"many-{number:02}") for number in range(60))
    first = client.get(URL, {"event_type": "api.request"})
    older = client.get(URL + first.context["older"])
    assert len(first.context["rows"]) == 50
    assert len(older.context["rows"]) == 11
    newer = client.get(URL + older.context["newer"])
    assert newer.context["rows"] == first.context["rows"]
