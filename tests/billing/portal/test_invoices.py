"""Issued invoices: listed, and opened down to the steps of each line."""

import pytest
from django.test import Client

from billing.models import Invoice, StripePush
from billing.services.invoicing import bill_customers, void_invoice
from billing.services.payments import record_payment
from customers.models import Customer
from tests.billing.plans import subscribe
from tests.billing.portal.pages import words
from tests.billing.usage import instant

INVOICES = "/portal/acme/invoices/"
PAY = "https://invoice.stripe.com/i/acct_1/live_2"


def pushed(invoice: Invoice) -> StripePush:
    status = StripePush.Status.COMPLETED
    return StripePush.objects.create(invoice=invoice, status=status, hosted_invoice_url=PAY)


def test_the_list_shows_number_period_status_and_total(client: Client, invoice: Invoice) -> None:
    text = words(client.get(INVOICES))

    assert f"{invoice.number} Feb 1 – 28, 2026 Mar 3, 2026 Open $57.00" in text  # noqa: RUF001


def test_an_invoice_opens_down_to_its_steps(client: Client, invoice: Invoice) -> None:
    text = words(client.get(f"{INVOICES}{invoice.number}/"))

    assert "API calls 12 $26.00" in text
    assert "First 10 10 $2.00 $20.00" in text
    assert "Next 10 2 $3.00 $6.00" in text
    assert "Subtotal $57.00 Total $57.00" in text


def test_an_invoice_names_seller_buyer_and_dates(client: Client, acme: Customer) -> None:
    Customer.objects.update(city="Lyon", postal_code="69001", country="FR")
    acme.refresh_from_db()
    subscribe(acme, "2026-02-01")
    bill_customers(customer_ids=[acme.pk], at=instant("2026-03-03"))

    text = words(client.get(f"{INVOICES}{acme.invoices.get().number}/"))

    assert "From Tallyport" in text
    assert "To Acme 69001 Lyon France acme@example.com" in text
    assert "Issued Mar 3, 2026 Due Mar 17, 2026" in text


@pytest.mark.parametrize("status", ["paid", "void", "uncollectible"])
def test_only_an_open_invoice_can_be_paid(client: Client, invoice: Invoice, status: str) -> None:
    page = f"{INVOICES}{invoice.number}/"
    assert "pay/" not in client.get(page).text
    pushed(invoice)
    assert f'href="{page}pay/"' in client.get(page).text

    Invoice.objects.filter(pk=invoice.pk).update(status=status)

    assert "pay/" not in client.get(page).text
    assert status.capitalize() in words(client.get(page))


def test_an_invoice_past_its_due_date_says_so(
    client: Client, invoice: Invoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("django.utils.timezone.now", lambda: instant("2026-03-18"))

    assert "Past due" in words(client.get(INVOICES))


def test_a_part_payment_is_taken_off_what_is_due(client: Client, invoice: Invoice) -> None:
    Invoice.objects.filter(pk=invoice.pk).update(amount_paid="50")
    pushed(invoice)

    text = words(client.get(f"{INVOICES}{invoice.number}/"))

    assert "Paid $50.00 Still due $7.00" in text


@pytest.mark.parametrize(
    ("kind", "status", "shown"),
    [
        ("refund", "succeeded", "Refunded, Mar 10, 2026 $5.00"),
        ("refund", "pending", "Refund under way, Mar 10, 2026 $5.00"),
        ("refund", "failed", ""),
        ("dispute", "needs_response", "Disputed through your bank, Mar 10, 2026 $5.00"),
        ("dispute", "lost", "Returned by your bank after a dispute, Mar 10, 2026 $5.00"),
        ("dispute", "won", ""),
    ],
)
def test_money_that_went_back_is_told_beside_the_payment(
    client: Client, invoice: Invoice, kind: str, status: str, shown: str
) -> None:
    at = instant("2026-03-10")
    payment = record_payment(
        invoice=invoice, source="stripe", external_id="pay", amount=invoice.total, paid_at=at
    )
    payment.reversals.create(kind=kind, status=status, external_id="back", amount=5, created_at=at)

    text = words(client.get(f"{INVOICES}{invoice.number}/"))

    assert text.split("Still due $0.00")[1].strip().startswith(shown)
    assert bool(shown) == ("$5.00" in text)


def test_a_void_invoice_is_still_there(client: Client, invoice: Invoice) -> None:
    void_invoice(invoice=invoice, at=instant("2026-03-05"))

    assert "Voided Mar 5, 2026" in words(client.get(f"{INVOICES}{invoice.number}/"))


def test_drafts_are_not_listed_and_not_found(client: Client, acme: Customer) -> None:
    subscribe(acme, "2026-02-01")
    bill_customers(customer_ids=[acme.pk], at=instant("2026-03-01T12:00"))

    assert "No invoices yet" in words(client.get(INVOICES))
    assert client.get(f"{INVOICES}None/").status_code == 404
    assert client.get(f"{INVOICES}{acme.invoices.get().pk}/").status_code == 404


def test_a_later_change_of_address_or_zone_leaves_an_invoice_as_it_was(
    client: Client, invoice: Invoice
) -> None:
    Customer.objects.update(name="Renamed", time_zone="America/New_York")

    text = words(client.get(f"{INVOICES}{invoice.number}/"))

    assert "To Acme" in text
    assert "Period Feb 1 – 28, 2026 Issued Mar 3, 2026" in text  # noqa: RUF001


def test_older_invoices_are_on_further_pages(client: Client, acme: Customer) -> None:
    subscribe(acme, "2023-12-01")
    bill_customers(customer_ids=[acme.pk], at=instant("2026-03-03"))

    first, second = (words(client.get(f"{INVOICES}?page={page}")) for page in (1, 2))

    assert "Page 1 of 2 Older" in first
    assert "Newer Page 2 of 2" in second
    assert "INV-000001 Dec 1" in second
