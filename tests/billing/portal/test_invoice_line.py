"""A line of an invoice, opened down to its days and events."""

import pytest
from django.test import Client

from billing.models import Invoice
from customers.models import Customer
from tests.billing.portal.pages import words
from tests.billing.usage import report_calls


def page_of(invoice: Invoice, line: int = 2) -> str:
    return f"/portal/acme/invoices/{invoice.number}/lines/{line}/"


def test_the_invoice_leads_to_what_is_behind_its_usage(client: Client, invoice: Invoice) -> None:
    text = client.get(f"/portal/acme/invoices/{invoice.number}/").text
    assert f'href="{page_of(invoice)}"' in text
    assert page_of(invoice, 1) not in text


def test_a_line_shows_its_days_and_events(client: Client, invoice: Invoice) -> None:
    response = client.get(page_of(invoice))
    text = words(response)
    assert "12 for $26.00" in text
    assert "Day Usage Feb 10, 2026 12 Together 12" in text
    assert len(response.context["rows"]) == 12


def test_a_day_can_be_chosen(client: Client, invoice: Invoice) -> None:
    assert "Events of Feb 10, 2026" in words(client.get(f"{page_of(invoice)}?day=10"))
    assert "Nothing was used in this time." in words(client.get(f"{page_of(invoice)}?day=11"))


def test_events_come_page_by_page(client: Client, acme: Customer, invoice: Invoice) -> None:
    first = client.get(page_of(invoice))
    assert (first.context["older"], first.context["newer"]) == (None, None)


def test_late_events_are_not_shown(client: Client, acme: Customer, invoice: Invoice) -> None:
    report_calls(acme, "2026-02-11T09:00", 5)
    assert "12 Together 12" in words(client.get(page_of(invoice)))


def test_a_fee_says_that_it_depends_on_no_usage(client: Client, invoice: Invoice) -> None:
    assert "This line does not depend on usage." in words(client.get(page_of(invoice, 1)))


@pytest.mark.parametrize(
    "query", ["?day=0", "?day=29", "?day=x", "?day=99999999", "?before=x", "?after=%00"]
)
def test_what_is_not_there_is_not_found(client: Client, invoice: Invoice, query: str) -> None:
    assert client.get(page_of(invoice) + query).status_code == 404


@pytest.mark.parametrize("line", [0, 3, 99999999999999999999])
def test_a_line_that_is_not_there_is_not_found(client: Client, invoice: Invoice, line: int) -> None:
    assert client.get(page_of(invoice, line)).status_code == 404
