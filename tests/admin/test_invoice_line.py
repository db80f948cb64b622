"""A line of an invoice, opened down to its days and events by staff."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from billing.models import Invoice
from billing.services.invoicing import bill_customers
from customers.models import Customer, User
from tests.billing.plans import subscribe
from tests.billing.usage import instant, report_calls

PAGE = reverse("admin:invoice_line")


@pytest.fixture
def issued(acme: Customer) -> Invoice:
    subscribe(acme, "2026-01-01")
    report_calls(acme, "2026-01-10", 3)
    report_calls(acme, "2026-01-11", 60)
    bill_customers(customer_ids=[acme.pk], at=instant("2026-02-02"))
    return Invoice.objects.get()


def ask(desk: Client, **query: Any) -> Any:
    return desk.get(PAGE, query)


def test_the_invoice_leads_to_what_is_behind_its_usage(desk: Client, issued: Invoice) -> None:
    text = desk.get(reverse("admin:billing_invoice_change", args=[issued.pk])).text
    assert f"{PAGE}?invoice={issued.pk}&amp;line=2" in text
    assert f"{PAGE}?invoice={issued.pk}&amp;line=1" not in text


def test_a_line_shows_its_days_and_events_page_by_page(desk: Client, issued: Invoice) -> None:
    first = ask(desk, invoice=issued.pk, line=2).context
    assert [day["value"] for day in first["days"]] == ["3", "60"]
    assert (len(first["rows"]), first["newer"]) == (50, None)
    second = desk.get(PAGE + first["older"]).context
    assert (len(second["rows"]), second["older"]) == (13, None)


def test_a_day_can_be_chosen(desk: Client, issued: Invoice) -> None:
    days = ask(desk, invoice=issued.pk, line=2).context["days"]
    assert len(desk.get(PAGE + days[0]["address"]).context["rows"]) == 3


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"line": "3"},
        {"line": "x"},
        {"line": "2", "invoice": "9" * 30},
        {"line": "2", "day": "0"},
    ],
)
def test_what_is_not_there_is_not_found(
    desk: Client, issued: Invoice, query: dict[str, str]
) -> None:
    assert ask(desk, **{"invoice": issued.pk} | query).status_code == 404


def test_a_draft_has_no_such_page(desk: Client, acme: Customer) -> None:
    subscribe(acme, "2026-01-01")
    bill_customers(customer_ids=[acme.pk], at=instant("2026-02-01"))
    assert ask(desk, invoice=Invoice.objects.get().pk, line=2).status_code == 404


def test_it_takes_the_permission_to_view_invoices(client: Client, issued: Invoice) -> None:
    clerk = User.objects.create_user("clerk@example.com", is_staff=True)
    client.force_login(clerk)
    assert ask(client, invoice=issued.pk, line=2).status_code == 403
    clerk.user_permissions.set(Permission.objects.filter(codename="view_invoice"))
    assert ask(client, invoice=issued.pk, line=2).status_code == 200
