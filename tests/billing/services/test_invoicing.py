"""From an event to an issued invoice, with totals checked by hand."""

from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django_q.models import OrmQ
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from billing.models import Invoice, InvoiceLine
from billing.services.invoicing import (
    bill_customers,
    finalize_invoice,
    reissue_invoice,
    void_invoice,
)
from billing.services.issuing import Issue, issue_drafts
from billing.services.subscriptions import cancel_subscription
from config.errors import DomainError
from customers.models import Customer
from tests import factories
from tests.billing.plans import CALLS, FEE, drafts_until, publish_plan, subscribe
from tests.billing.usage import instant, report_calls

pytestmark = pytest.mark.django_db
FEBRUARY = instant("2026-02-01")


def january_draft(customer: Customer, *, calls: int = 15) -> Invoice:
    subscription = subscribe(customer, "2026-01-01")
    if calls:
        report_calls(customer, "2026-01-10", calls)
    [invoice] = drafts_until(subscription, "2026-02-01")
    return invoice


def january_invoice(customer: Customer, *, calls: int = 15) -> Invoice:
    return finalize_invoice(invoice=january_draft(customer, calls=calls), at=FEBRUARY)


def amounts(invoice: Invoice) -> dict[str, str]:
    return {line.price: str(line.amount) for line in invoice.lines.all()}


def test_usage_and_fee_become_a_draft(acme: Customer) -> None:
    """31.00 and 10 calls at 2 and 5 at 3: 66.00."""
    invoice = january_draft(acme)
    assert amounts(invoice) == {"base": "31.00", "calls": "35.00"}
    assert (str(invoice.subtotal), str(invoice.total)) == ("66.00", "66.00")
    assert (invoice.status, invoice.number, invoice.issued_at) == ("draft", None, None)
    assert (invoice.period_start, invoice.period_end) == (instant("2026-01-01"), FEBRUARY)
    assert invoice.finalize_at == instant("2026-02-02")


def test_a_line_says_what_it_is_and_how_it_came_about(acme: Customer) -> None:
    fee, usage = january_draft(acme).lines.all()
    assert (fee.kind, fee.description, fee.quantity, fee.meter) == ("fee", "Base fee", 1, "")
    assert (usage.kind, usage.description, usage.quantity) == ("usage", "API calls", 15)
    assert (usage.meter, usage.document["model"]) == ("calls", "graduated")
    assert sum(Decimal(step["amount"]) for step in usage.steps) == usage.amount
    assert [step["quantity"] for step in usage.steps] == ["10", "5"]


def test_issuing_gives_number_dates_and_addresses(acme: Customer, settings: Settings) -> None:
    settings.BRAND_NAME = "Weather Inc"
    invoice = january_invoice(acme)
    invoice.refresh_from_db()
    assert (invoice.number, invoice.status) == ("INV-000001", "open")
    assert (invoice.issued_at, invoice.due_at) == (FEBRUARY, instant("2026-02-15"))
    assert invoice.seller["name"] == "Weather Inc"
    assert (invoice.buyer["name"], invoice.buyer["key"]) == ("Acme", "acme")
    assert str(invoice.amount_due) == "66.00"


def test_unused_usage_is_a_line_that_customers_see(acme: Customer) -> None:
    assert amounts(january_draft(acme, calls=0)) == {"base": "31.00", "calls": "0.00"}


@pytest.mark.parametrize(
    ("currency", "amount", "total"), [("JPY", "100.5", "101"), ("KWD", "1.0005", "1.001")]
)
def test_amounts_have_the_places_of_their_currency(currency: str, amount: str, total: str) -> None:
    customer = factories.make_customer(currency=currency)
    version = publish_plan(FEE | {"amount": amount}, currency=currency)
    [invoice] = drafts_until(subscribe(customer, "2026-01-01", version), "2026-02-01")
    invoice.refresh_from_db()
    assert str(invoice.total) == str(invoice.lines.get().amount) == total


@pytest.mark.parametrize(
    ("zone", "month_start", "month_end"),
    [
        ("Asia/Tokyo", "2026-01-01T00:00+09:00", "2026-02-01T00:00+09:00"),
        ("America/New_York", "2026-03-01T00:00-05:00", "2026-04-01T00:00-04:00"),
    ],
)
def test_months_begin_at_the_customers_midnight(
    zone: str, month_start: str, month_end: str
) -> None:
    """Of two calls around each midnight, the later one of the first and the earlier of the second."""
    customer = factories.make_customer(time_zone=zone)
    start, end = instant(month_start), instant(month_end)
    subscription = subscribe(customer, start)
    for bound in (start, end):
        report_calls(customer, (bound - (end - start) / 10**6).isoformat())
        report_calls(customer, bound.isoformat())
    [invoice] = drafts_until(subscription, end.isoformat())
    assert (invoice.period_start, invoice.period_end) == (start, end)
    assert invoice.lines.get(price="calls").quantity == 2
    assert amounts(invoice)["base"] == "31.00"


def test_part_of_a_month_pays_part_of_the_fee(acme: Customer) -> None:
    """Seventeen of 31 days of 31.00, and all that was used in them."""
    subscription = subscribe(acme, "2026-01-15T08:00")
    report_calls(acme, "2026-01-15T07:00", 3)
    report_calls(acme, "2026-01-20", 4)
    [invoice] = drafts_until(subscription, "2026-02-01")
    assert amounts(invoice) == {"base": "17.00", "calls": "8.00"}
    assert invoice.lines.get(price="base").description.startswith("Base fee, Jan 15")


def test_a_subscription_that_ends_pays_its_last_day(acme: Customer) -> None:
    """Ten started days of the 28 of February, of 28.00."""
    subscription = subscribe(acme, "2026-02-01", publish_plan(FEE | {"amount": "28"}))
    cancel_subscription(subscription=subscription, at=instant("2026-02-10T12:00"))
    subscription.refresh_from_db()
    [invoice] = drafts_until(subscription, "2026-03-01")
    assert (amounts(invoice), invoice.period_end) == (
        {"base": "10.00"},
        instant("2026-02-10T12:00"),
    )


def test_finalizing_computes_the_draft_once_more(acme: Customer) -> None:
    """One late call in the second tier: 3.00 more."""
    draft = january_draft(acme)
    report_calls(acme, "2026-01-31T23:00")
    assert str(finalize_invoice(invoice=draft, at=FEBRUARY).total) == "69.00"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing_invoice SET total = 1",
        "UPDATE billing_invoice SET number = 'INV-9'",
        "UPDATE billing_invoice SET buyer = '{}'",
        "UPDATE billing_invoice SET status = 'draft'",
        "UPDATE billing_invoice SET created_at = '2020-01-01T00:00Z'",
        "DELETE FROM billing_invoice",
        "SET CONSTRAINTS ALL IMMEDIATE; TRUNCATE billing_invoice CASCADE",
        "SET CONSTRAINTS ALL IMMEDIATE; TRUNCATE billing_invoiceline CASCADE",
        "UPDATE billing_invoiceline SET amount = 1",
        "DELETE FROM billing_invoiceline",
        "INSERT INTO billing_invoiceline (invoice_id, position, kind, price, meter, description, "
        "quantity, amount, discount, period_start, period_end, document, steps, part) SELECT id, 9, "
        "'fee', 'x', '', 'x', 1, 1, 0, period_start, period_end, '{}', '[]', 0 FROM billing_invoice",
    ],
)
def test_the_database_refuses_to_change_an_issued_invoice(acme: Customer, statement: str) -> None:
    january_invoice(acme)
    with (
        pytest.raises(DatabaseError, match="pgtrigger"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)


def test_the_buyer_of_an_issued_invoice_stays_who_it_was(acme: Customer) -> None:
    invoice = january_invoice(acme)
    Customer.objects.update(name="Acme International")
    invoice.refresh_from_db()
    assert invoice.buyer["name"] == "Acme"


def test_an_invoice_over_nothing_is_paid_at_once(acme: Customer) -> None:
    subscription = subscribe(acme, "2026-01-01", publish_plan(CALLS))
    [draft] = drafts_until(subscription, "2026-02-01")
    invoice = finalize_invoice(invoice=draft, at=FEBRUARY)
    assert (invoice.status, invoice.paid_at, invoice.number) == ("paid", FEBRUARY, "INV-000001")


def test_a_negative_total_that_nothing_explains_takes_no_number(acme: Customer) -> None:
    draft = january_draft(acme)
    fee, usage = draft.lines.all()
    fee.amount, draft.total = Decimal("-100.00"), Decimal("-65.00")
    with pytest.raises(DomainError) as refused, transaction.atomic():
        issue_drafts([Issue(draft, [fee, usage])], at=FEBRUARY)
    draft.refresh_from_db()
    assert (refused.value.code, draft.status, draft.number) == ("negative_total", "draft", None)


def test_an_issued_invoice_is_not_issued_again(acme: Customer) -> None:
    invoice = january_invoice(acme)
    with pytest.raises(DomainError) as refused:
        finalize_invoice(invoice=invoice, at=FEBRUARY)
    assert refused.value.code == "not_a_draft"


def test_a_period_is_neither_drafted_nor_issued_before_its_end(acme: Customer) -> None:
    subscription = subscribe(acme, "2026-01-01")
    assert drafts_until(subscription, "2026-01-31T23:59:59") == []
    [draft] = drafts_until(subscription, "2026-02-01")
    with pytest.raises(DomainError, match="after that") as refused:
        finalize_invoice(invoice=draft, at=instant("2026-01-31T23:59:59"))
    assert refused.value.code == "period_not_over"


def test_drafting_again_leaves_an_issued_invoice_alone(acme: Customer) -> None:
    issued = january_invoice(acme)
    report_calls(acme, "2026-01-31T23:00")
    bill_customers(customer_ids=[acme.pk], at=FEBRUARY)
    [found] = Invoice.objects.all()
    assert (found.pk, found.total) == (issued.pk, issued.total)


def test_drafts_are_finalized_in_their_order(acme: Customer) -> None:
    [_, february] = drafts_until(subscribe(acme, "2026-01-01"), "2026-03-01")
    with pytest.raises(DomainError) as refused:
        finalize_invoice(invoice=february, at=instant("2026-03-01"))
    assert refused.value.code == "earlier_draft"


@pytest.mark.parametrize("secret_key", ["", "sk_test_1"])
def test_an_issued_invoice_is_queued_for_stripe_if_there_is_one(
    acme: Customer,
    settings: Settings,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
    secret_key: str,
) -> None:
    settings.STRIPE_SECRET_KEY = secret_key
    with django_capture_on_commit_callbacks(execute=True):
        invoice = january_invoice(acme)
    queued = [(each.task["func"], each.task["args"]) for each in OrmQ.objects.all()]
    assert queued == ([("billing.tasks.push_invoice", (invoice.pk,))] if secret_key else [])


def test_a_void_invoice_keeps_its_content_and_owes_nothing(acme: Customer) -> None:
    invoice = january_invoice(acme)
    void = void_invoice(invoice=invoice, at=FEBRUARY)
    void.refresh_from_db()
    assert (void.status, void.voided_at, str(void.total)) == ("void", FEBRUARY, "66.00")
    assert str(void.amount_due) == "0.00"
    bill_customers(customer_ids=[acme.pk], at=instant("2026-02-20"))
    assert Invoice.objects.count() == 1


@pytest.mark.parametrize("fields", [{"status": "paid"}, {"status": "void"}, {"amount_paid": 1}])
def test_what_is_settled_or_partly_paid_is_not_voided(
    acme: Customer, fields: dict[str, Any]
) -> None:
    invoice = january_invoice(acme)
    Invoice.objects.update(**fields)
    with pytest.raises(DomainError):
        void_invoice(invoice=invoice, at=FEBRUARY)


def test_a_draft_is_not_voided(acme: Customer) -> None:
    with pytest.raises(DomainError) as refused:
        void_invoice(invoice=january_draft(acme), at=FEBRUARY)
    assert refused.value.code == "not_voidable"


def test_lines_of_a_recomputed_draft_replace_the_old_ones(acme: Customer) -> None:
    draft = january_draft(acme)
    finalize_invoice(invoice=draft, at=FEBRUARY)
    assert InvoiceLine.objects.count() == 2


def test_what_was_void_is_billed_again_when_asked_for(acme: Customer) -> None:
    invoice = january_invoice(acme)
    void_invoice(invoice=invoice, at=FEBRUARY)
    report_calls(acme, "2026-01-31T23:00")
    draft = reissue_invoice(invoice=invoice, at=FEBRUARY)
    assert (amounts(draft), draft.status) == ({"base": "31.00", "calls": "38.00"}, "draft")
    assert {line.kind for line in draft.lines.all()} == {"fee", "usage"}
    with pytest.raises(DomainError) as refused:
        reissue_invoice(invoice=invoice, at=FEBRUARY)
    assert refused.value.code == "not_reissuable"
