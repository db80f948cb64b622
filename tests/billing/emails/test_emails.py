"""E-mails to customers: one for each document and kind, sent after the commit, at least once."""

from datetime import timedelta
from decimal import Decimal
from email.message import EmailMessage
from typing import Any

import pytest
from django.core import mail
from django.core.checks import run_checks
from django.core.mail import EmailMultiAlternatives
from django.core.management import call_command
from django.db import transaction
from django.test import Client
from pytest_django import Settings

from billing.models import Email, Invoice
from billing.services.crediting import CreditWish, create_credit_note
from billing.services.email_claims import claim_emails
from billing.services.emails import ATTEMPTS, send_due_emails
from billing.services.invoicing import void_invoice
from billing.services.nightly import run_nightly
from billing.services.payments import record_payment
from billing.tasks import send_emails
from customers.models import Customer
from tests import factories
from tests.billing.emails.conftest import Bill

pytestmark = pytest.mark.django_db
AT = factories.NOW


def pay(invoice: Invoice, amount: str = "100.00") -> None:
    record_payment(
        invoice=invoice,
        source="manual",
        external_id=f"{invoice}-{amount}",
        amount=Decimal(amount),
        paid_at=AT,
    )


def subjects() -> list[str]:
    send_due_emails(at=AT)
    return [str(message.subject) for message in mail.outbox]


def written(position: int = 0) -> EmailMessage:
    """Return a sent message as it goes over the wire."""
    message: Any = mail.outbox[position].message()
    return message  # type: ignore[no-any-return]


def html_of(message: Any) -> str:
    return str(message.alternatives[0][0])


def test_an_issued_invoice_is_sent_with_its_pdf_in_the_brands_name(bill: Bill) -> None:
    bill()
    assert mail.outbox == []
    assert subjects() == ["Invoice INV-000001 from Meterly"]
    message = mail.outbox[0]
    assert (message.to, message.from_email) == (
        ["acme@example.com"],
        '"Meterly" <billing@localhost>',
    )
    text, html = str(message.body), html_of(message)
    for words in ("$100.00", "Mar 29, 2026", "https://billing.example.com/portal/acme/invoices/"):
        assert (words in text, words in html) == (True, True)
    [attached] = [part for part in written().walk() if part.get_filename()]
    assert attached.get_filename() == "INV-000001.pdf"
    assert attached.get_payload(decode=True)[:5] == b"%PDF-"  # type: ignore[index]


def test_figures_and_days_are_in_the_customers_locale(acme: Customer, bill: Bill) -> None:
    acme.locale, acme.currency, acme.time_zone = "de", "JPY", "Asia/Tokyo"
    acme.save()
    bill("1234")
    subjects()
    assert "1.234\u00a0¥" in str(mail.outbox[0].body)
    assert "29.03.2026" in str(mail.outbox[0].body)


def test_each_document_has_one_of_a_kind_however_often_it_is_claimed(bill: Bill) -> None:
    invoice = bill()
    for _ in range(3):
        claim_emails(kind="issued", documents=[invoice], at=AT)
        send_due_emails(at=AT)
    assert len(mail.outbox) == 1


def test_a_payment_in_full_and_a_credit_note_are_told(bill: Bill) -> None:
    first, second = bill(), bill()
    pay(first, "40.00")
    pay(first, "60.00")
    create_credit_note(wish=CreditWish(second), at=AT)
    assert subjects() == [
        "Invoice INV-000001 from Meterly",
        "Invoice INV-000002 from Meterly",
        "Payment received for invoice INV-000001",
        "Credit note CN-000001 from Meterly",
    ]
    assert "Of it, $100.00 are taken off what is owed" in str(mail.outbox[3].body)
    assert "Please pay" not in str(mail.outbox[1].body)


def test_nothing_is_told_that_is_switched_off_or_has_no_address(
    acme: Customer, bill: Bill, settings: Settings
) -> None:
    Customer.objects.update(receives_emails=False)
    bill()
    Customer.objects.update(receives_emails=True, email="")
    bill()
    Customer.objects.update(email="acme@example.com")
    settings.CUSTOMER_EMAILS = ("paid",)
    pay(bill())
    assert subjects() == ["Payment received for invoice INV-000003"]


@pytest.mark.parametrize(
    ("key", "kinds", "is_told"),
    [
        ("sk_test_x", ("issued", "paid"), True),
        ("sk_test_x", ("paid",), False),
        ("", ("issued",), False),
    ],
)
def test_invoices_that_stripe_mails_too_are_told_at_deployment(
    settings: Settings, key: str, kinds: tuple[str, ...], is_told: bool
) -> None:
    settings.STRIPE_SECRET_KEY, settings.CUSTOMER_EMAILS = key, kinds
    told = {each.id: str(each.hint) for each in run_checks(include_deployment_checks=True)}
    assert ("CUSTOMER_EMAILS=paid," in told.get("billing.I002", "")) == is_told


def test_what_is_undone_before_it_is_committed_is_not_told(bill: Bill) -> None:
    with transaction.atomic():
        bill()
        transaction.set_rollback(True)
    assert subjects() == []


def test_one_that_is_not_needed_any_more_is_skipped(bill: Bill) -> None:
    invoice, other = bill(), bill()
    void_invoice(invoice=invoice, at=AT)
    claim_emails(kind="payment_failed", documents=[other], at=AT, occasion="1")
    pay(other)
    assert subjects() == [
        "Invoice INV-000002 from Meterly",
        "Payment received for invoice INV-000002",
    ]
    reasons = Email.objects.filter(status="skipped").order_by("pk")
    assert [each.last_error for each in reasons] == [
        "The invoice is void meanwhile.",
        "The invoice is paid meanwhile.",
    ]


@pytest.fixture
def dead_server(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let no mail to `acme` through; return the addresses that were tried."""
    tried: list[str] = []
    send = EmailMultiAlternatives.send

    def refuse(self: EmailMultiAlternatives, *args: Any, **options: Any) -> Any:
        tried.extend(self.to)
        if self.to == ["acme@example.com"]:
            raise ConnectionRefusedError(111, "Connection refused")
        return send(self, *args, **options)

    monkeypatch.setattr(EmailMultiAlternatives, "send", refuse)
    return tried


def test_one_that_fails_is_tried_again_later_and_stops_no_other(
    bill: Bill, dead_server: list[str]
) -> None:
    bill()
    other = Customer.objects.get()
    Customer.objects.update(email="other@example.com")
    other.refresh_from_db()
    Email.objects.update(customer=factories.make_customer("late", email="acme@example.com"))
    bill()
    assert send_due_emails(at=AT) == 1
    failed = Email.objects.get(status="pending")
    assert (failed.attempts, "Connection refused" in failed.last_error) == (1, True)
    assert send_due_emails(at=AT) == 0
    assert len(dead_server) == 2
    for hours in range(1, 48):
        send_due_emails(at=AT + timedelta(hours=hours))
    failed.refresh_from_db()
    assert (failed.status, failed.attempts) == ("failed", ATTEMPTS)


def test_a_crash_after_the_server_took_it_sends_the_same_message_once_more(
    bill: Bill, monkeypatch: pytest.MonkeyPatch
) -> None:
    bill()
    save = Email.save

    def crash(self: Email, *args: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Email, "save", crash)
    with pytest.raises(KeyboardInterrupt):
        send_due_emails(at=AT)
    monkeypatch.setattr(Email, "save", save)
    assert [send_due_emails(at=AT) for _ in range(2)] == [1, 0]
    assert written(0)["Message-ID"] == written(1)["Message-ID"]


def test_the_task_the_command_and_the_night_send_what_waits(bill: Bill) -> None:
    bill()
    assert send_emails() == 1
    bill()
    call_command("send_emails", stdout=None)
    bill()
    assert not run_nightly(at=AT).failures
    assert len(mail.outbox) == 3


def test_a_name_that_looks_like_markup_is_a_name(acme: Customer, bill: Bill) -> None:
    acme.name = '<img src="https://evil.example">'
    acme.save()
    bill()
    send_due_emails(at=AT)
    assert "<img" not in html_of(mail.outbox[0])


def test_staff_see_what_failed_preview_it_and_send_it_again(bill: Bill) -> None:
    bill()
    Email.objects.update(status="failed", last_error="No such mailbox")
    desk = Client()
    desk.force_login(factories.make_staff())
    email = Email.objects.get()
    assert "1 e-mail to customers could not be sent" in desk.get("/admin/").text
    assert "No such mailbox" in desk.get(f"/admin/billing/email/{email.pk}/change/").text
    page = desk.get("/admin/billing/email-preview/?number=INV-000001&kind=reminder&days=7").text
    assert "Invoice INV-000001 is overdue" in page
    desk.post(f"/admin/billing/email/{email.pk}/again/")
    assert subjects() == ["Invoice INV-000001 from Meterly"]
