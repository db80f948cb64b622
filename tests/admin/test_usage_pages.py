"""The pages over events and roll-ups, which Django's admin has no lists for."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.http import urlencode

from customers.models import Customer
from metering.admin.usage import shown
from metering.models import Meter
from metering.services.folding import fold_pending
from tests.factories import make_customer, make_meter
from tests.metering.ingest.reports import event, report

EVENTS = reverse("admin:events")
USAGE = reverse("admin:usage")
MARCH = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def calls(acme: Customer) -> Meter:
    """Return a meter with 60 events of acme and one of somebody else in March."""
    meter = make_meter("calls", group_by=["endpoint"])
    make_customer("globex")
    rows = [
        event(
            f"e-{number}",
            timestamp=(MARCH + timedelta(hours=number)).isoformat(),
            properties={"endpoint": "/a" if number % 3 else "/b"},
        )
        for number in range(60)
    ]
    report([*rows, event("x", customer="globex")], at=MARCH + timedelta(days=10))
    fold_pending(at=MARCH + timedelta(days=10))
    return meter


def ask(desk: Client, address: str, **query: Any) -> Any:
    return desk.get(f"{address}?{urlencode(query)}").context


def ids(context: Any) -> list[str]:
    return [row["id"] for row in context["rows"]]


def test_events_want_a_customer_first(desk: Client, calls: Meter) -> None:
    response = desk.get(EVENTS)

    assert "Choose a customer" in response.content.decode()


def test_events_are_read_page_by_page(desk: Client, acme: Customer, calls: Meter) -> None:
    first = ask(desk, EVENTS, customer=acme.pk)
    second = desk.get(EVENTS + first["older"]).context
    back = desk.get(EVENTS + second["newer"]).context

    assert ids(first) + ids(second) == [f"e-{number}" for number in reversed(range(60))]
    assert ids(back) == ids(first)
    assert second["older"] is None


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"event_id": "e-7"}, 1),
        ({"event_id": "x"}, 0),
        ({"event_type": "api.request", "first_on": "2026-03-03"}, 12),
        ({"last_on": "2026-03-01"}, 24),
        ({"event_type": "other"}, 0),
    ],
)
def test_events_are_narrowed(
    desk: Client, acme: Customer, calls: Meter, query: dict[str, str], found: int
) -> None:
    assert len(ids(ask(desk, EVENTS, customer=acme.pk, **query))) == found


def test_days_are_the_customers_own(desk: Client, acme: Customer, calls: Meter) -> None:
    Customer.objects.filter(pk=acme.pk).update(time_zone="Asia/Tokyo")

    # The first of March begins nine hours earlier in Tokyo.
    assert len(ids(ask(desk, EVENTS, customer=acme.pk, last_on="2026-03-01"))) == 15


def test_a_broken_page_address_is_told(desk: Client, acme: Customer, calls: Meter) -> None:
    context = ask(desk, EVENTS, customer=acme.pk, before="nonsense")

    assert "not complete" in str(context["form"].errors)


def test_an_unknown_customer_is_told(desk: Client, calls: Meter) -> None:
    for page in (EVENTS, USAGE):
        for customer in (0, "acme", "9" * 5000, "a\0b"):
            assert "customer" in ask(desk, page, customer=customer)["form"].errors


def test_usage_is_cut_into_days_and_added_up(desk: Client, acme: Customer, calls: Meter) -> None:
    query = {"first_on": "2026-03-01", "last_on": "2026-03-04", "group_by": "endpoint"}

    found = ask(desk, USAGE, customer=acme.pk, meter=calls.pk, **query)["report"]

    assert found["total"] == "60"
    assert [value for _, value in found["windows"]] == ["24", "24", "12", "0"]
    assert found["groups"] == [("/a", "40"), ("/b", "20")]
    assert [bar.percent for bar in found["bars"]] == [100, 100, 50, 0]


def test_values_that_cannot_be_read_are_told(desk: Client, acme: Customer, calls: Meter) -> None:
    sizes = make_meter(aggregation="sum", value_property="bytes", group_by=["endpoint"])
    values = ["5", "many", None]
    report([event(f"v-{v}", properties={"bytes": v}) for v in values], at=MARCH)
    fold_pending(at=MARCH)
    query: dict[str, Any] = {"customer": acme.pk, "first_on": "2026-02-01", "last_on": "2026-03-31"}

    page = " ".join(desk.get(f"{USAGE}?{urlencode(query | {'meter': sizes.pk})}").text.split())

    assert "62 events had no value that can be read in <code>bytes</code> and are left out." in page
    assert ask(desk, USAGE, **query, meter=calls.pk)["report"]["unparsed"] == 0


def test_usage_of_the_last_month_is_the_default(desk: Client, acme: Customer, calls: Meter) -> None:
    found = ask(desk, USAGE, customer=acme.pk)["report"]

    assert len(found["windows"]) == 30


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"first_on": "2026-03-02", "last_on": "2026-03-01"}, "comes before the first"),
        ({"first_on": "1800-01-01"}, "between the years"),
        ({"window": "century"}, "Select a valid choice"),
    ],
)
def test_a_wrong_question_is_told(
    desk: Client, acme: Customer, calls: Meter, query: dict[str, str], message: str
) -> None:
    context = ask(desk, USAGE, customer=acme.pk, **query)

    assert message in str(context["form"].errors)
    assert "report" not in context


def test_without_a_meter_the_page_says_what_to_do(desk: Client, db: None) -> None:
    assert "There is no meter yet" in desk.get(USAGE).content.decode()


def test_the_customer_page_leads_to_both(desk: Client, acme: Customer, calls: Meter) -> None:
    page = desk.get(reverse("admin:customers_customer_change", args=[acme.pk])).content.decode()

    assert f'href="{USAGE}?customer={acme.pk}"' in page
    assert f'href="{EVENTS}?customer={acme.pk}"' in page


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (
            "1234567890123456789012345678901234.50",
            "1,234,567,890,123,456,789,012,345,678,901,234.5",
        ),
        ("1E+3", "1,000"),
        ("0.00", "0"),
    ],
)
def test_a_quantity_is_written_with_every_digit(value: str, text: str) -> None:
    assert shown(Decimal(value)) == text
