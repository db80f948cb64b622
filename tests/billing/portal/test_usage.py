"""The usage explorer: exact numbers for a meter, by window and by group."""

import re
from typing import Any

import pytest
from django.test import Client

from customers.models import Customer
from metering.models import Meter
from metering.selectors import cardinality
from metering.services.folding import fold_pending
from tests import factories
from tests.billing.portal.events import report
from tests.billing.portal.pages import words

USAGE = "/portal/acme/usage/"


@pytest.fixture
def meters(acme: Customer) -> list[Meter]:
    """Return calls and distinct users, after 8 calls of 2 users in two days of March."""
    report(acme, "2026-03-10T09:00", 3, endpoint="/v1/search", method="GET", user="u1")
    report(acme, "2026-03-10T10:30", 1, endpoint="/v1/items", method="GET", user="u1")
    report(acme, "2026-03-11T09:00", 2, endpoint="/v1/search", method="POST", user="u2")
    report(acme, "2026-03-11T23:30", 2, user="u1")
    grouping: dict[str, Any] = {
        "event_type": "api.request",
        "group_by": ["endpoint", "method"],
        "filled_at": None,
    }
    return [
        factories.make_meter("calls", name="Calls", unit="calls", **grouping),
        factories.make_meter(
            "users",
            name="Users",
            unit="users",
            aggregation="unique_count",
            value_property="user",
            **grouping,
        ),
    ]


def ask(client: Client, **asked: str) -> str:
    return words(client.get(USAGE, asked))


def test_the_last_thirty_days_are_shown_by_day(client: Client, meters: list[Meter]) -> None:
    page = client.get(USAGE)

    assert "8 calls" in words(page)
    assert page.text.count('<g class="bar') == 30
    assert "Mar 10 4 Mar 11 4 Mar 12 0" in words(page)


def test_days_are_those_of_the_customers_zone(client: Client, meters: list[Meter]) -> None:
    Customer.objects.update(time_zone="Europe/Paris")

    assert "Mar 11 2 Mar 12 2" in ask(client)


@pytest.mark.parametrize(
    ("window", "row"),
    [
        ("hour", "Mar 10, 10:00 AM 1 Mar 10, 11:00 AM 0"),
        ("week", "Mar 9 8"),
        ("month", "March 2026 8"),
    ],
)
def test_other_windows_add_up_to_the_same(
    client: Client, meters: list[Meter], window: str, row: str
) -> None:
    text = ask(client, window=window, start="2026-03-09", end="2026-03-15")

    assert row in text
    assert "8 calls" in text


def test_groups_are_listed_greatest_first_and_stacked(client: Client, meters: list[Meter]) -> None:
    page = client.get(USAGE, {"group_by": "endpoint"})

    assert "Endpoint Calls /v1/search 5 (none) 2 /v1/items 1" in words(page)
    assert "Mar 10 3 0 1 4 Mar 11 2 2 0 4" in words(page)
    assert "Whole range 5 2 1 8" in words(page)
    assert page.text.count('class="legend"') == 1


def test_groups_that_overlap_are_not_stacked(
    client: Client, acme: Customer, meters: list[Meter]
) -> None:
    report(acme, "2026-03-10T11:00", method="POST", user="u1")

    page = client.get(USAGE, {"meter": "users", "group_by": "method"})

    assert "2 users" in words(page)
    assert "they overlap" in words(page)
    assert 'class="legend"' not in page.text
    assert "Method Users POST 2 (none) 1 GET 1" in words(page)


def test_one_group_can_be_looked_at_alone(client: Client, meters: list[Meter]) -> None:
    page = client.get(USAGE, {"group_by": "endpoint"})
    [link] = re.findall(r'href="([^"]*only=%2Fv1%2Fsearch[^"]*)"', page.text)

    alone = words(client.get(USAGE + link.replace("&amp;", "&")))

    assert "Only endpoint /v1/search" in alone
    assert "5 calls" in alone


def test_more_groups_than_colours_are_summed_up(client: Client, acme: Customer) -> None:
    factories.make_meter("calls", group_by=["endpoint"], filled_at=None)
    for number in range(9):
        report(acme, "2026-03-10T09:00", 9 - number, endpoint=f"/v1/{number}")

    page = client.get(USAGE, {"group_by": "endpoint"})

    legend = page.text.split('class="legend"')[1].split("</ul>")[0]
    assert legend.count("<li>") == 7
    assert "All others" in legend
    # 3 + 2 + 1 of 45, on an axis that ends at 50
    assert re.search(r'class="s6" x="[\d.]+" y="[\d.]+" width="8" height="12.00"', page.text)


def test_what_is_left_of_too_many_values_is_told_to_be_the_rest(
    client: Client, acme: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cardinality, "MOST_VALUES", 5)
    monkeypatch.setattr(cardinality, "KEPT_VALUES", 2)
    factories.make_meter("calls", unit="calls", group_by=["endpoint"])
    for number in range(6):
        report(acme, "2026-03-10T09:00", number + 1, endpoint=f"/v1/{number}")
    fold_pending(at=factories.NOW)

    page = client.get(USAGE, {"group_by": "endpoint"})

    assert "other 10 /v1/5 6 /v1/4 5 There are too many values" in words(page)
    assert "21 calls" in words(page)
    assert "only=%2Fv1%2F5" in page.text
    assert "only=other" not in page.text


def test_properties_of_events_are_text(client: Client, acme: Customer) -> None:
    factories.make_meter("calls", group_by=["endpoint"], filled_at=None)
    report(acme, "2026-03-10T09:00", endpoint='"><script>alert(1)</script>')

    text = client.get(USAGE, {"group_by": "endpoint"}).text

    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)" in text


@pytest.mark.parametrize(
    ("asked", "advice"),
    [
        ({"start": "2026-03-12", "end": "2026-03-10"}, "not after the last one"),
        ({"start": "2026-04-01"}, "nor after today"),
        ({"start": "0001-01-01"}, "Choose a day from 2000-01-01 on"),
        ({"start": "yesterday"}, "Enter a valid date"),
        ({"start": "2026-03-01", "end": "2026-03-15", "window": "hour"}, "at most 14 days fit"),
        ({"window": "second"}, "not one of the available choices"),
    ],
)
def test_a_question_without_an_answer_says_what_to_change(
    client: Client, meters: list[Meter], asked: dict[str, str], advice: str
) -> None:
    page = client.get(USAGE, asked)

    assert page.status_code == 200
    assert advice in words(page)
    assert '<g class="bar' not in page.text


def test_a_range_ends_today_at_the_latest(client: Client, meters: list[Meter]) -> None:
    page = client.get(USAGE, {"start": "2026-03-14", "end": "2027-01-01"})

    assert page.text.count('<g class="bar') == 2
    assert 'name="end" value="2027-01-01"' in page.text


def test_an_unknown_meter_or_grouping_falls_back(client: Client, meters: list[Meter]) -> None:
    assert "8 calls" in ask(client, meter="gone", group_by="planet", only="mars")


def test_too_many_groups_are_counted_but_not_cut_by_window(
    client: Client, meters: list[Meter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("billing.portal.usage_reports.MOST_GROUPS_BY_WINDOW", 2)
    monkeypatch.setattr("billing.portal.usage_reports.MOST_GROUPS_LISTED", 1)

    text = ask(client, group_by="endpoint")

    assert "there are too many of them" in text
    assert "These are the greatest 1 of 3" in text
    assert "Mar 10 4 Mar 11 4" in text


def test_an_answer_too_large_for_a_page_says_so(
    client: Client, meters: list[Meter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metering.selectors.usage.MOST_ROWS", 2)

    assert "ask for less time or fewer groups" in ask(client, group_by="endpoint")


def test_a_range_without_usage_says_what_to_do(client: Client, meters: list[Meter]) -> None:
    text = ask(client, start="2026-03-13", end="2026-03-14")

    assert "No usage in this range" in text
    assert "create a key" in text


def test_without_a_meter_the_page_says_what_is_missing(client: Client) -> None:
    assert "Nothing is measured yet" in ask(client)
