"""Dunning by the nightly run: reminders, the flag, suspended keys, and their way back."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from pytest_django import Settings
from rest_framework.test import APIClient

from billing.models import DunningCase, Email, Invoice, StripePush
from billing.services.crediting import CreditWish, create_credit_note
from billing.services.invoicing import void_invoice
from billing.services.nightly import run_nightly
from billing.services.one_off import OneOffLine, create_one_off_invoice
from billing.services.payments import record_payment
from billing.tasks import settle_dunning as settle_task
from customers.models import Customer
from tests import factories

pytestmark = pytest.mark.django_db
ISSUED = factories.NOW
DUE = ISSUED + timedelta(days=14)
type Api = Callable[[str], APIClient]


@pytest.fixture(autouse=True)
def strict(settings: Settings) -> Settings:
    settings.CUSTOMER_EMAILS = ("reminder",)
    settings.DUNNING_FLAG_DAYS, settings.DUNNING_SUSPEND_DAYS = 10, 20
    return settings


@pytest.fixture(autouse=True)
def quick_pdfs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is attached is tested with the documents; making it takes long."""
    monkeypatch.setattr("billing.services.pdfs.pdf_of", lambda html, **said: b"%PDF-1.7")


@pytest.fixture
def invoice(acme: Customer) -> Invoice:
    line = OneOffLine("Work", Decimal(100))
    return create_one_off_invoice(customer=acme, lines=[line], at=ISSUED, finalizes=True)


def night(days: int) -> None:
    """Run the night so many days after the invoice was due."""
    assert not run_nightly(at=DUE + timedelta(days=days)).failures


def reminders() -> list[str]:
    return [each.occasion for each in Email.objects.filter(kind="reminder").order_by("pk")]


def pay(invoice: Invoice, at: datetime = DUE, amount: str = "100") -> None:
    record_payment(
        invoice=invoice,
        source="manual",
        external_id=f"{invoice}",
        amount=Decimal(amount),
        paid_at=at,
    )


def test_nobody_is_dunned_for_what_stripe_finds_too_little_to_collect(invoice: Invoice) -> None:
    push = StripePush.objects.create(invoice=invoice, status=StripePush.Status.BELOW_MINIMUM)
    night(40)
    assert (reminders(), DunningCase.objects.count()) == ([], 0)
    push.delete()
    night(41)
    assert (reminders(), DunningCase.objects.count()) == (["14"], 1)


def test_reminders_go_out_on_their_days_and_once(invoice: Invoice) -> None:
    for days in (-5, -3, -2, 0, 1, 2, 6, 7, 13, 14, 15, 40):
        night(days)
        night(days)
    assert reminders() == ["-3", "1", "7", "14"]
    assert [str(each.subject) for each in mail.outbox][::3] == [
        "Invoice INV-000001 is due on Mar 29, 2026",
        "Invoice INV-000001 is overdue",
    ]


def test_after_nights_that_did_not_run_only_the_latest_reminder_goes_out(invoice: Invoice) -> None:
    night(9)
    night(30)
    assert reminders() == ["7", "14"]


def test_days_that_were_changed_remind_nobody_of_an_earlier_one(
    invoice: Invoice, settings: Settings
) -> None:
    night(7)
    settings.DUNNING_REMINDERS = (2,)
    night(8)
    assert reminders() == ["7"]


def test_nobody_is_reminded_of_what_is_paid_void_or_not_dunned(
    acme: Customer, invoice: Invoice
) -> None:
    night(-3)
    pay(invoice)
    line = OneOffLine("Work", Decimal(1))
    other = create_one_off_invoice(customer=acme, lines=[line], at=ISSUED, finalizes=True)
    void_invoice(invoice=other, at=ISSUED)
    create_one_off_invoice(customer=acme, lines=[line], at=ISSUED, finalizes=True)
    Customer.objects.update(dunning=False)
    night(30)
    assert (reminders(), DunningCase.objects.exists()) == (["-3"], False)


def test_keys_are_suspended_and_come_back_when_the_invoice_is_paid(
    acme: Customer, invoice: Invoice, api: Api
) -> None:
    key = factories.make_key(acme)
    night(19)
    assert api(key.secret).get("/api/v1/invoices").status_code == 200
    assert DunningCase.objects.get().suspended_at is None
    night(20)
    refused = api(key.secret).get("/api/v1/invoices")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "suspended")
    assert "until its overdue invoices are paid" in refused.json()["error"]["message"]
    late = factories.make_key(acme)
    assert api(late.secret).get("/api/v1/invoices").status_code == 403
    pay(invoice)
    settle_task(acme.pk)
    for each in (key, late):
        assert api(each.secret).get("/api/v1/invoices").status_code == 200
    case = DunningCase.objects.get()
    assert (case.suspended_at, case.closed_at is None) == (DUE + timedelta(days=20), False)


@pytest.mark.parametrize("way", ["pay", "void", "credit"])
def test_a_settled_invoice_has_its_customer_looked_at_again(
    acme: Customer,
    invoice: Invoice,
    way: str,
    django_capture_on_commit_callbacks: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    night(20)
    queued: list[tuple[Any, ...]] = []
    monkeypatch.setattr("config.queue.async_task", lambda *task: queued.append(task))
    ways: dict[str, Callable[[], object]] = {
        "pay": lambda: pay(invoice),
        "void": lambda: void_invoice(invoice=invoice, at=DUE),
        "credit": lambda: create_credit_note(wish=CreditWish(invoice), at=DUE),
    }
    with django_capture_on_commit_callbacks(execute=True):
        ways[way]()
    assert ("billing.tasks.settle_dunning", acme.pk) in queued


def test_what_is_switched_off_happens_to_nobody(invoice: Invoice, settings: Settings) -> None:
    settings.DUNNING_FLAG_DAYS = settings.DUNNING_SUSPEND_DAYS = None
    settings.DUNNING_REMINDERS = ()
    night(100)
    assert (reminders(), DunningCase.objects.exists()) == ([], False)


def test_switching_suspension_off_lets_everybody_back_in(
    acme: Customer, invoice: Invoice, settings: Settings
) -> None:
    night(20)
    settings.DUNNING_SUSPEND_DAYS = None
    night(21)
    acme.refresh_from_db()
    assert acme.suspended_at is None
    assert DunningCase.objects.get().closed_at is None


def test_a_partial_payment_and_one_of_two_invoices_do_not_end_it(
    acme: Customer, invoice: Invoice
) -> None:
    line = OneOffLine("Work", Decimal(100))
    second = create_one_off_invoice(customer=acme, lines=[line], at=ISSUED, finalizes=True)
    night(20)
    pay(invoice)
    record_payment(
        invoice=second, source="manual", external_id="half", amount=Decimal(50), paid_at=DUE
    )
    night(21)
    acme.refresh_from_db()
    assert acme.suspended_at is not None
    assert DunningCase.objects.get().closed_at is None


def test_days_to_pay_are_the_customers_own_where_it_has_some(acme: Customer) -> None:
    acme.payment_days = 30
    acme.save()
    line = OneOffLine("Work", Decimal(1))
    made = create_one_off_invoice(customer=acme, lines=[line], at=ISSUED, finalizes=True)
    assert made.due_at == ISSUED + timedelta(days=30)


def test_customers_and_staff_see_what_is_overdue_and_what_to_do(
    acme: Customer, invoice: Invoice
) -> None:
    factories.make_key(acme)
    night(20)
    desk = Client()
    desk.force_login(factories.make_staff())
    for page in ("/portal/acme/", "/portal/acme/invoices/", "/portal/acme/keys/"):
        seen = desk.get(page).text
        assert "Your API keys are suspended" in seen
        assert "$100.00" in seen
    case = DunningCase.objects.get()
    page = desk.get(f"/admin/billing/dunningcase/{case.pk}/change/").text
    assert ("keys suspended" in page, "INV-000001: $100.00" in page) == (True, True)
    assert "1 customer flagged" in desk.get("/admin/").text
    pay(invoice)
    desk.post(f"/admin/billing/dunningcase/{case.pk}/look/")
    assert "Your API keys are suspended" not in desk.get("/portal/acme/").text


def test_a_customer_that_cannot_be_dunned_stops_nobody_else(
    invoice: Invoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = factories.make_customer("other")
    line = OneOffLine("Work", Decimal(100))
    create_one_off_invoice(customer=other, lines=[line], at=ISSUED, finalizes=True)

    def suspend(*, customer: Customer, at: datetime) -> None:
        if customer.key == "acme":
            raise RuntimeError("no")

    monkeypatch.setattr("billing.services.dunning.suspend_keys", suspend)
    failures = run_nightly(at=DUE + timedelta(days=20)).failures
    assert failures == [{"customer": "acme", "message": "RuntimeError('no')"}]
    assert DunningCase.objects.get().customer == other
