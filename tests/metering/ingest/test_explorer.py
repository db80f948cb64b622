"""Finding events: pages that neither skip nor repeat, filters, and one event by its id."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from config.errors import InvalidInputError
from customers.models import Customer
from metering.models import Event
from metering.selectors.events import EventFilters, event_by_id, events_page
from tests.factories import make_meter
from tests.metering.ingest.reports import event, report

pytestmark = pytest.mark.django_db


@pytest.fixture
def days(acme: Customer, globex: Customer) -> list[str]:
    """Store ten events on five days, two at each instant, and one of another customer."""
    names = [f"{day:02}-{half}" for day in range(1, 6) for half in "ab"]
    report(event(name, timestamp=f"2026-03-{name[:2]}T00:00:00Z") for name in names)
    report([event("other", customer="globex", timestamp="2026-03-03T00:00:00Z")])
    return names


def ids(customer: Customer, **filters: Any) -> list[str]:
    page = events_page(customer=customer, filters=EventFilters(**filters))
    return sorted(found.event_id for found in page.events)


def walk(customer: Customer, limit: int) -> Iterator[list[Event]]:
    page = events_page(customer=customer, limit=limit)
    yield list(page.events)
    while page.older:
        page = events_page(customer=customer, before=page.older, limit=limit)
        yield list(page.events)


@pytest.mark.parametrize("limit", [1, 3, 5, 10, 11])
def test_pages_hold_every_event_once_newest_first(
    acme: Customer, days: list[str], limit: int
) -> None:
    pages = list(walk(acme, limit))
    found = [each for page in pages for each in page]
    assert sorted(each.event_id for each in found) == days
    assert found == sorted(found, key=lambda each: (each.timestamp, each.digest), reverse=True)
    assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)


def test_the_way_back_leads_over_the_same_pages(acme: Customer, days: list[str]) -> None:
    first = events_page(customer=acme, limit=4)
    second = events_page(customer=acme, limit=4, before=first.older or "")
    third = events_page(customer=acme, limit=4, before=second.older or "")
    assert (first.newer, third.older) == (None, None)
    assert events_page(customer=acme, limit=4, after=third.newer or "") == second
    assert events_page(customer=acme, limit=4, after=second.newer or "") == first


def test_events_that_come_in_meanwhile_do_not_move_pages(acme: Customer, days: list[str]) -> None:
    first = events_page(customer=acme, limit=2)
    report([event("new", timestamp="2026-03-06T00:00:00Z")])
    second = events_page(customer=acme, limit=2, before=first.older or "")
    assert {each.event_id for each in second.events} == {"04-a", "04-b"}


def test_times_are_half_open(acme: Customer, days: list[str]) -> None:
    start, end = datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 4, tzinfo=UTC)
    assert ids(acme, start=start, end=end) == ["02-a", "02-b", "03-a", "03-b"]


def test_filters_narrow_by_type_meter_and_id(acme: Customer, days: list[str]) -> None:
    report([event("x", type="other"), event("y", type="other", properties={"status": 500})])
    filters = [{"property": "status", "op": "gte", "value": "500"}]
    errors = make_meter("errors", event_type="other", filters=filters)
    assert ids(acme, event_type="other") == ["x", "y"]
    assert ids(acme, meter=errors) == ["y"]
    assert ids(acme, event_id="01-a") == ["01-a"]
    assert ids(acme, event_id="x", meter=errors) == []
    assert ids(acme, property_name="status") == ["y"]
    assert ids(acme, property_name="status", property_value="500") == ["y"]
    assert ids(acme, property_name="status", property_value="200") == []
    assert ids(acme, event_type="\0") == ids(acme, property_name="\0") == []


def test_an_event_is_found_by_its_id_for_its_own_customer_only(
    acme: Customer, globex: Customer, days: list[str]
) -> None:
    report([event("x", properties={"cost": 0.1, "n": [1]})])
    found = event_by_id(customer=acme, event_id="x")
    assert found is not None
    assert found.properties == {"cost": Decimal("0.1"), "n": [1]}
    assert event_by_id(customer=globex, event_id="x") is None
    assert event_by_id(customer=acme, event_id="\ud800") is None
    assert event_by_id(customer=acme, event_id="no-such") is None


@pytest.mark.parametrize("edge", ["x", "é", "AAAA", "f" * 32, "A" * 33])
def test_a_broken_page_address_is_refused(acme: Customer, edge: str) -> None:
    with pytest.raises(InvalidInputError, match="start again"):
        events_page(customer=acme, before=edge)
