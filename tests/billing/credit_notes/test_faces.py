"""Crediting an invoice in the admin, and credit notes as customers see them."""

import pytest
from django.test import Client

from billing.models import CreditNote, Invoice
from tests import factories
from tests.billing.credit_notes.test_credit_notes_api import Bill, pay

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk() -> Client:
    client = Client()
    client.force_login(factories.make_staff())
    return client


def test_staff_look_at_a_credit_note_before_they_issue_it(bill: Bill, desk: Client) -> None:
    invoice = Invoice.objects.get(number=bill("100.00", "50.00"))
    page = f"/admin/billing/credit/?invoice={invoice.pk}"
    button = desk.get(f"/admin/billing/invoice/{invoice.pk}/credit/")
    assert button["Location"] == page
    assert "$180.00 are left" in desk.get(page).text
    wish = {"line_2": "33.33", "settlement": "credit", "reason": "goodwill", "memo": "Sorry"}
    seen = desk.post(page, wish | {"preview": "1"}).text
    assert ("$40.00" in seen, CreditNote.objects.exists()) == (True, False)
    done = desk.post(page, wish | {"issue": "1"}, follow=True).text
    assert "Credit note CN-000001 is issued" in done
    history = desk.get(f"/admin/billing/invoice/{invoice.pk}/history/").text
    assert "CN-000001 over 40.00 USD" in history


def test_staff_are_told_beside_the_field_what_is_too_much(bill: Bill, desk: Client) -> None:
    invoice = Invoice.objects.get(number=bill("100.00"))
    page = f"/admin/billing/credit/?invoice={invoice.pk}"
    wish = {"settlement": "credit", "reason": "goodwill", "issue": "1"}
    assert "100.00 before tax" in desk.post(page, wish | {"line_1": "100.01"}).text
    assert "120.00, tax included" in desk.post(page, wish | {"amount": "121"}).text
    assert not CreditNote.objects.exists()


def test_staff_mark_a_refund_that_they_sent(bill: Bill, desk: Client) -> None:
    number = bill("100.00")
    pay(number, "120.00")
    invoice = Invoice.objects.get()
    page = f"/admin/billing/credit/?invoice={invoice.pk}"
    desk.post(page, {"settlement": "refund", "reason": "duplicate", "issue": "1"})
    note = CreditNote.objects.get()
    address = f"/admin/billing/creditnote/{note.pk}"
    assert "to be sent by hand" in desk.get(f"{address}/change/").text
    desk.post(f"{address}/refunded/", {"reference": "SEPA 17"})
    note.refresh_from_db()
    assert (note.awaits_refund, note.refund_reference) == (False, "SEPA 17")


def test_customers_find_a_credit_note_on_its_invoice(bill: Bill, desk: Client) -> None:
    number = bill("100.00")
    page = f"/admin/billing/credit/?invoice={Invoice.objects.get().pk}"
    desk.post(page, {"amount": "60", "settlement": "credit", "reason": "goodwill", "issue": "1"})
    seen = desk.get(f"/portal/acme/invoices/{number}/").text
    assert "$60.00 off what you owed" in seen
    assert "/portal/acme/credit-notes/CN-000001/pdf/" in seen
    note = CreditNote.objects.get()
    ours = desk.get("/portal/acme/credit-notes/CN-000001/pdf/").content
    assert ours == desk.get(f"/admin/credit-note-pdf/?note={note.pk}").content
