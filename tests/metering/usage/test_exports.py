"""Usage and events as CSV files of any size."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from rest_framework.test import APIClient

from config.csv_files import csv_response, inert_cells
from config.errors import InvalidInputError
from customers.models import Customer
from metering.models import Meter
from metering.selectors import exports
from metering.selectors.events import EventFilters
from metering.selectors.exports import events_export, usage_export
from metering.selectors.usage import usage
from tests import factories
from tests.metering.ingest.reports import event, report
from tests.metering.usage.stored import Use, store_batch

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
APRIL = datetime(2026, 4, 1, tzinfo=UTC)
ASKED = {"meter": "calls", "start": "2026-03-01T00:00:00Z", "end": "2026-04-01T00:00:00Z"}


@pytest.fixture
def calls(acme: Customer) -> Meter:
    """Return a meter with forty calls of two endpoints, and one of none, an hour apart."""
    meter = factories.make_meter("calls", group_by=["endpoint"], filled_at=None)
    names = [("/a", "=1+1")[number % 2] for number in range(40)]
    uses = [
        Use(MARCH + timedelta(hours=number), {"endpoint": name})
        for number, name in enumerate(names)
    ]
    store_batch(acme, [*uses, Use(MARCH + timedelta(hours=40))])
    return meter


def rows_of(response: Any) -> list[list[str]]:
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    return list(csv.reader(io.StringIO(response.getvalue().decode(), newline="")))


@pytest.mark.parametrize("window", [None, "hour", "day"])
@pytest.mark.parametrize("group_by", [[], ["endpoint"]])
def test_a_file_says_what_the_selector_says_however_it_is_cut(
    acme: Customer, calls: Meter, window: str | None, group_by: list[str]
) -> None:
    question: Any = {
        "meter": calls,
        "customer": acme,
        "start": MARCH + timedelta(minutes=7),
        "end": APRIL,
        "window": window,
        "group_by": group_by,
    }
    with patch.object(exports, "MOST_WINDOWS", 10):
        assert list(usage_export(**question)) == usage(**question)


def test_more_windows_than_an_answer_holds_go_into_a_file(acme: Customer, calls: Meter) -> None:
    two_years = MARCH + timedelta(days=730)

    with pytest.raises(InvalidInputError, match="windows"):
        usage(meter=calls, customer=acme, start=MARCH, end=two_years, window="hour")
    rows = usage_export(meter=calls, customer=acme, start=MARCH, end=two_years, window="hour")

    assert sum(row.value for row in rows) == 41


def test_what_no_selector_answers_is_refused_before_the_file_begins(
    acme: Customer, calls: Meter
) -> None:
    with pytest.raises(InvalidInputError, match="no window"):
        usage_export(meter=calls, customer=acme, start=MARCH, end=APRIL, window="year")


def test_the_api_writes_a_file(acme: Customer, calls: Meter, operator: APIClient) -> None:
    query = ASKED | {"customer": "acme", "group_by": "endpoint", "format": "csv"}

    response = operator.get("/api/v1/usage", query)

    assert response["Content-Disposition"] == 'attachment; filename="usage-acme-calls.csv"'
    period = ["2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z"]
    assert rows_of(response) == [
        ["start", "end", "endpoint", "value"],
        [*period, "/a", "20"],
        [*period, "=1+1", "20"],
        [*period, "", "1"],
    ]


def test_an_error_is_json_also_where_a_file_was_asked_for(
    acme: Customer, calls: Meter, operator: APIClient
) -> None:
    response = operator.get("/api/v1/usage", ASKED | {"format": "csv"})
    unknown = operator.get("/api/v1/usage", ASKED | {"customer": "acme", "format": "xlsx"})

    assert (response.status_code, response.json()["error"]["code"]) == (422, "invalid")
    assert "format" in unknown.json()["error"]["details"]


def test_the_portal_writes_a_file_that_spreadsheets_do_not_run(
    calls: Meter, acme: Customer, client: Client
) -> None:
    client.force_login(factories.make_member(acme))
    query = {"meter": "calls", "start": "2026-01-01", "end": "2026-04-01", "group_by": "endpoint"}

    rows = rows_of(client.get("/portal/acme/usage.csv", query | {"window": "month"}))
    refused = client.get("/portal/acme/usage.csv", query | {"start": "2026-05-01"})

    assert [row[2] for row in rows[1:]] == ["/a", "'=1+1", ""]
    assert refused.status_code == 302


def test_staff_download_usage_and_events(acme: Customer, calls: Meter, client: Client) -> None:
    client.force_login(factories.make_staff())
    usage_rows = rows_of(
        client.get(
            reverse("admin:usage"),
            {
                "customer": str(acme.pk),
                "meter": str(calls.pk),
                "first_on": "2026-03-01",
                "format": "csv",
            },
        )
    )
    event_rows = rows_of(
        client.get(reverse("admin:events"), {"customer": str(acme.pk), "format": "csv"})
    )

    assert usage_rows[1] == ["2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z", "24"]
    assert event_rows[0] == ["id", "type", "timestamp", "properties"]
    assert event_rows[2][1:] == ["api.request", "2026-03-02T15:00:00Z", '{"endpoint":"=1+1"}']


def test_events_come_page_after_page_in_their_order(acme: Customer) -> None:
    at = MARCH + timedelta(days=1)
    report([event(f"e-{number}", timestamp=MARCH.isoformat()) for number in range(25)], at=at)

    with patch.object(exports, "LARGEST_PAGE", 10), CaptureQueriesContext(connection) as asked:
        found = [each.event_id for each in events_export(customer=acme, filters=EventFilters())]

    assert sorted(found) == sorted(f"e-{number}" for number in range(25))
    assert len(asked) == 3


def test_rows_are_taken_only_as_they_are_sent() -> None:
    taken: list[int] = []

    def numbers() -> Any:
        for number in range(5_000):
            taken.append(number)
            yield [number]

    pieces = iter(csv_response("n.csv", ["n"], numbers()))
    next(pieces)
    assert len(taken) < 1_000


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("=1+1", "'=1+1"),
        ("@x", "'@x"),
        ("-1", "-1"),
        ("+1.5", "+1.5"),
        ("-1+1", "'-1+1"),
        ("/a", "/a"),
    ],
)
def test_formulas_are_made_inert_and_numbers_stay(cell: str, shown: str) -> None:
    assert inert_cells([cell]) == [shown]


def test_the_api_lists_events_page_by_page_and_as_a_file(
    acme: Customer, calls: Meter, operator: APIClient
) -> None:
    query = {"customer": "acme", "meter": "calls", "filter[endpoint]": "/a", "limit": "15"}

    first = operator.get("/api/v1/events", query).json()
    second = operator.get(first["next"]).json()
    file = rows_of(operator.get("/api/v1/events", query | {"format": "csv"}))

    assert (len(first["results"]), len(second["results"]), second["next"]) == (15, 5, None)
    listed = [each["timestamp"] for each in first["results"] + second["results"]]
    assert listed == sorted(listed, reverse=True) == [row[2] for row in file[1:]]
    assert file[1][3] == '{"endpoint":"/a"}'


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"customer": "none"}, 404),
        ({"customer": "acme", "meter": "none"}, 404),
        ({"customer": "acme", "cursor": "x"}, 422),
        ({"customer": "acme", "limit": "0"}, 422),
        ({"customer": "acme", "filter[a]": "1", "filter[b]": "2"}, 422),
    ],
)
def test_questions_about_events_that_make_no_sense_are_refused(
    acme: Customer, operator: APIClient, query: dict[str, str], status: int
) -> None:
    assert operator.get("/api/v1/events", query).status_code == status


def test_the_portal_sends_events_as_a_file(acme: Customer, client: Client) -> None:
    report([event("=cmd", timestamp=MARCH.isoformat())], at=MARCH)
    client.force_login(factories.make_member(acme))

    rows = rows_of(client.get("/portal/acme/events.csv"))
    refused = client.get("/portal/acme/events.csv", {"start": "never"})

    assert rows[1][:2] == ["'=cmd", "api.request"]
    assert refused.status_code == 302
