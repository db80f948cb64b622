"""The overview: this period's usage and cost, the plan in words, and the latest invoices."""

from datetime import datetime
from decimal import Decimal

import pytest
from django.test import Client

from billing.models import Invoice
from billing.services.credits import grant_credit
from billing.services.invoicing import bill_customers
from billing.services.subscriptions import create_subscription
from customers.models import Customer
from tests import factories
from tests.billing.plans import FEE, publish_plan, subscribe
from tests.billing.portal.pages import words
from tests.billing.usage import instant, report_calls

OVERVIEW = "/portal/acme/"


def test_it_shows_what_the_period_has_come_to(client: Client, invoice: Invoice) -> None:
    text = words(client.get(OVERVIEW))

    assert "Mar 1 – 31, 2026" in text  # noqa: RUF001
    assert "Day 15 of 31" in text
    assert "5 so far" in text
    assert "Base fee $31.00" in text
    assert "API calls 5 $10.00" in text
    assert "Total so far $41.00" in text


def test_credits_are_shown_with_what_is_open_taken_off_them(
    client: Client, acme: Customer, invoice: Invoice
) -> None:
    for kind, amount in (("paid", 50), ("promotional", 15)):
        grant_credit(
            customer=acme, name="Gift", kind=kind, amount=Decimal(amount), at=factories.NOW
        )
    text = words(client.get(OVERVIEW))
    assert "Credits −$41.00 Total so far $0.00" in text  # noqa: RUF001
    taken = "Of it promotional $15.00 What is open takes −$41.00 Left then $24.00"  # noqa: RUF001
    assert f"Credits Balance $65.00 {taken}" in text
    client.force_login(factories.make_staff())
    page = client.get(f"/admin/customers/customer/{acme.pk}/change/").text
    assert "$41.00 taken by what is open" in page


def test_every_day_of_the_period_has_a_bar_and_a_row(client: Client, invoice: Invoice) -> None:
    page = client.get(OVERVIEW)

    assert page.text.count('<g class="bar') == 31
    assert page.text.count('<g class="bar is-current">') == 1
    assert "<title>Mar 14: 4</title>" in page.text
    assert "Mar 13 0 Mar 14 4 Mar 15 1 Mar 16 0" in words(page)


def test_usage_dated_ahead_of_the_clock_counts_for_neither_number_nor_cost(
    client: Client, acme: Customer, invoice: Invoice
) -> None:
    report_calls(acme, "2026-03-15T12:30", 7)

    text = words(client.get(OVERVIEW))

    assert "5 so far" in text
    assert "API calls 5 $10.00" in text


def test_the_plan_is_told_in_words(client: Client, invoice: Invoice) -> None:
    text = words(client.get(OVERVIEW))

    assert "Pro Billed every month, since Feb 1, 2026" in text
    assert "First 10 at $2.00 each, next 10 at $3.00 each, then $5.00 each" in text


def test_issued_invoices_are_listed_and_drafts_announced(
    client: Client, acme: Customer, invoice: Invoice
) -> None:
    Invoice.objects.filter(pk=invoice.pk).update(finalize_at=instant("2026-03-02"))
    text = words(client.get(OVERVIEW))
    assert f"{invoice.number} Feb 1" in text
    assert "is being prepared" not in text


def test_a_draft_is_announced_with_the_day_it_is_issued(
    client: Client, acme: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = instant("2026-03-01T12:00")
    subscribe(acme, "2026-02-01")
    bill_customers(customer_ids=[acme.pk], at=at)
    monkeypatch.setattr("django.utils.timezone.now", lambda: at)

    text = words(client.get(OVERVIEW))

    assert "is being prepared: $31.00 so far. It is issued after Mar 2, 2026" in text
    assert acme.invoices.get().is_draft


def test_everything_is_in_the_customers_locale_currency_and_zone(
    client: Client, acme: Customer
) -> None:
    Customer.objects.update(locale="fr", currency="EUR", time_zone="Europe/Paris")
    acme.refresh_from_db()
    subscribe(acme, "2026-02-28T23:00")
    report_calls(acme, "2026-02-28T23:30")

    page = client.get(OVERVIEW)

    assert "31,00 €" in words(page)
    assert "<title>1 mars: 1</title>" in page.text
    assert "Dates and times are in Europe/Paris. Amounts are in EUR." in page.text


def test_a_customer_without_usage_is_shown_how_to_send_the_first_event(
    client: Client, acme: Customer
) -> None:
    subscribe(acme, "2026-02-01")

    text = words(client.get(OVERVIEW))

    assert "curl http://127.0.0.1:8000/api/v1/events" in text
    assert '"customer": "acme"' in text
    assert "create one" in text


def test_a_customer_without_a_plan_is_told_so(client: Client) -> None:
    text = words(client.get(OVERVIEW))

    assert "No plan yet" in text
    assert "Mar 1" in text


def test_a_year_is_charted_by_month(client: Client, acme: Customer, now: datetime) -> None:
    version = publish_plan(key="yearly", interval="year")
    create_subscription(customer=acme, plan=version.plan, start_at=instant("2026-01-01"))
    report_calls(acme, "2026-02-10T09:00", 3)

    page = client.get(OVERVIEW)

    assert page.text.count('<g class="bar') == 12
    assert "February 2026: 3" in page.text
    assert "Day 74 of 365" in words(page)
    assert 'class="tally"' not in page.text


def test_the_very_first_instant_of_a_period_has_an_overview(
    client: Client, acme: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscribe(acme, "2026-03-01")
    monkeypatch.setattr("django.utils.timezone.now", lambda: instant("2026-03-01"))

    text = words(client.get(OVERVIEW))

    assert "Day 1 of 31" in text
    assert "0 so far" in text


def test_a_plan_says_how_often_it_is_billed(client: Client, acme: Customer) -> None:
    subscribe(acme, "2026-01-01", publish_plan(interval_count=2))

    assert "Billed every 2 months" in words(client.get(OVERVIEW))


def test_two_running_plans_in_one_currency_make_one_sum(client: Client, acme: Customer) -> None:
    subscribe(acme, "2026-02-01")
    subscribe(acme, "2026-02-01", publish_plan(FEE | {"amount": "9"}, key="addon"))

    text = words(client.get(OVERVIEW))

    assert "Total so far $40.00" in text
    assert "Addon Billed every month" in text


def test_names_from_outside_are_text(client: Client, acme: Customer) -> None:
    Customer.objects.update(name="<script>alert(1)</script>")
    factories.make_meter("calls", name="<img src=x onerror=alert(1)>")
    subscribe(acme, "2026-02-01")

    text = client.get(OVERVIEW).text

    assert "<script>alert" not in text
    assert "<img src=x" not in text
