"""Pages ask the database a fixed number of times, however much there is to show."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from billing.models import Invoice
from billing.services.invoicing import bill_customers
from customers.models import ApiKey, Customer, User
from customers.services import add_member, create_api_key
from metering.models import Meter
from tests import factories
from tests.billing.portal.events import report
from tests.billing.usage import instant

MOST_QUERIES: dict[str, int] = json.loads(
    Path(__file__).with_name("query_budgets.json").read_text()
)


def count_queries(client: Client, page: str) -> int:
    client.get(page)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert client.get(page).status_code == 200
    return len(queries)


def grow(acme: Customer) -> None:
    """Add keys, members, months of invoices, and events of many endpoints."""
    for number in range(5):
        member = factories.make_member(acme)
        add_member(customer=factories.make_customer(), user=member)
        create_api_key(name="more", at=factories.NOW, customer=acme, created_by=member)
        report(acme, f"2026-03-0{number + 1}T09:00", 3, endpoint=f"/v1/{number}")
    bill_customers(customer_ids=[acme.pk], at=instant("2026-03-14"))


@pytest.mark.parametrize("page", MOST_QUERIES)
def test_a_page_asks_no_more_when_there_is_more(
    client: Client, acme: Customer, key: ApiKey, invoice: Invoice, page: str
) -> None:
    Meter.objects.update(group_by=["endpoint"], filled_at=None)
    address = f"/portal/acme/{page}".format(number=invoice.number)
    before = count_queries(client, address)
    grow(acme)

    assert count_queries(client, address) == before <= MOST_QUERIES[page]


def test_the_list_of_customers_asks_no_more_when_there_are_more(
    acme: Customer, log_in: Callable[[User], Client]
) -> None:
    staff = log_in(factories.make_staff())
    before = count_queries(staff, "/portal/")
    for _ in range(20):
        factories.make_customer()

    assert count_queries(staff, "/portal/") == before
