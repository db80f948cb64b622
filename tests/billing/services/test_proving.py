"""Issued documents are worked out once more from the raw events they had seen (I9)."""

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from billing.models import CreditNote, Invoice
from billing.selectors.proofs import lines_of
from billing.services.documents import digest_of
from billing.services.invoicing import bill_customers, reissue_invoice, void_invoice
from billing.services.late_usage import mark_late_usage
from billing.services.proving import Proof, prove_document
from billing.services.subscriptions import cancel_subscription, pause_subscription
from customers.models import Customer
from metering.models import Event
from metering.services.folding import fold_pending
from tests import factories
from tests.billing.plans import CALLS, FEE, publish_plan, subscribe
from tests.billing.usage import instant, report_calls
from tests.metering.history.corrected import store, void

pytestmark = pytest.mark.django_db


def bill(customer: Customer, at: str) -> None:
    fold_pending(at=instant(at))
    mark_late_usage(at=instant(at))
    bill_customers(customer_ids=[customer.pk], at=instant(at))


def january(customer: Customer) -> Invoice:
    """Issue January's invoice over 31 for the plan and 35 for fifteen calls."""
    subscribe(customer, "2026-01-01")
    report_calls(customer, "2026-01-10", 14)
    store(customer, "call-x", instant("2026-01-11"))
    bill(customer, "2026-02-02")
    return Invoice.objects.get()


def proof_of(number: str | None) -> Proof:
    assert number is not None
    return prove_document(number=number)


def tamper(table: str, assignment: str) -> None:
    """Change what is frozen, as nobody can whom triggers hold back."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(f"UPDATE {table} SET {assignment}")  # noqa: S608
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")


def told(number: str | None) -> list[str]:
    return [str(each) for each in proof_of(number).differences]


def test_an_issued_invoice_is_proved(acme: Customer) -> None:
    proof = proof_of(january(acme).number)
    assert (proof.lines, proof.metered, proof.differences) == (2, 1, [])


def test_late_events_and_corrections_after_issue_change_no_proof(acme: Customer) -> None:
    invoice = january(acme)
    report_calls(acme, "2026-01-20", 6)
    void(acme, "call-x", at=instant("2026-02-03"))
    fold_pending(at=instant("2026-02-03"))
    assert told(invoice.number) == []


def test_the_adjustment_is_proved_too_and_both_stay_proved(acme: Customer) -> None:
    invoice = january(acme)
    report_calls(acme, "2026-01-20", 6)
    bill(acme, "2026-03-02")
    later = Invoice.objects.exclude(pk=invoice.pk).get()
    assert later.lines.filter(kind="adjustment").count() == 1
    assert (told(invoice.number), told(later.number)) == ([], [])


def test_a_credit_note_for_voided_events_is_proved(acme: Customer) -> None:
    january(acme)
    cancel_subscription(
        subscription=acme.subscriptions.get(),
        end_at=instant("2026-02-01"),
        at=instant("2026-02-02"),
    )
    void(acme, "call-x", at=instant("2026-02-03"))
    bill(acme, "2026-02-04")
    note = CreditNote.objects.get()
    assert (str(note.total), told(note.number)) == ("3.00", [])


def test_a_credit_note_for_a_part_that_has_no_end_of_places_is_proved(acme: Customer) -> None:
    subscription = subscribe(acme, "2026-01-01", publish_plan(FEE | {"proration": "second"}))
    bill(acme, "2026-02-03")
    cancel_subscription(
        subscription=subscription, end_at=instant("2026-01-01T07:00"), at=instant("2026-02-03")
    )
    bill(acme, "2026-02-04")
    note = CreditNote.objects.get()
    assert (str(note.total), told(note.number)) == ("30.71", [])


def test_a_fee_that_one_day_more_would_round_to_the_same_is_proved(db: None) -> None:
    customer = factories.make_customer(currency="JPY")
    plan = publish_plan(FEE | {"amount": "4"}, currency="JPY")
    subscription = subscribe(customer, "2026-01-01", plan)
    ends = instant("2026-01-05T07:00")
    cancel_subscription(subscription=subscription, end_at=ends, at=ends)
    bill(customer, "2026-01-08")
    invoice = Invoice.objects.get()
    assert (str(invoice.total), told(invoice.number)) == ("1", [])


def test_usage_that_is_not_charged_after_all_is_proved_without_being_counted(
    acme: Customer,
) -> None:
    january(acme)
    subscription = acme.subscriptions.get()
    cancel_subscription(
        subscription=subscription, end_at=instant("2026-02-01"), at=instant("2026-02-02")
    )
    begin = {"at": instant("2026-02-03"), "effective_at": instant("2026-01-01")}
    pause_subscription(subscription=subscription, **begin)
    bill(acme, "2026-02-04")
    note = CreditNote.objects.get()
    assert (note.total, told(note.number)) == (Invoice.objects.get().total, [])


def test_a_threshold_invoice_and_what_follows_it_are_proved(acme: Customer) -> None:
    subscribe(acme, "2026-01-01", publish_plan(FEE, CALLS, invoice_threshold="20"))
    report_calls(acme, "2026-01-10", 15)
    bill(acme, "2026-01-11")
    report_calls(acme, "2026-01-12", 6)
    bill(acme, "2026-02-02")
    numbers = Invoice.objects.order_by("pk").values_list("number", flat=True)
    assert [told(number) for number in numbers] == [[], []]


@pytest.mark.parametrize("now", ["2026-02-03", "2026-11-03"])
def test_a_reissued_invoice_is_proved_and_so_is_the_void_one(acme: Customer, now: str) -> None:
    """Also where nights are run as of instants before it was billed again."""
    invoice = january(acme)
    void_invoice(invoice=invoice, at=instant(now))
    report_calls(acme, "2026-01-20", 6)
    reissue_invoice(invoice=invoice, at=instant(now))
    bill(acme, "2026-02-04")
    void(acme, "call-x", at=instant("2026-02-10"))
    bill(acme, "2026-03-04")
    numbers = Invoice.objects.order_by("pk").values_list("number", flat=True)
    assert [told(number) for number in numbers] == [[], [], []]


def test_steps_in_the_words_of_an_earlier_release_are_proved_by_their_figures(
    acme: Customer,
) -> None:
    invoice = january(acme)
    words = "replace(steps::text, 'First 10', 'Up to 10')::jsonb"
    tamper("billing_invoiceline", f"steps = {words}")
    invoice.refresh_from_db()
    tamper("billing_invoice", f"digest = '{digest_of(invoice, lines_of(invoice))}'")
    assert told(invoice.number) == []


@pytest.mark.parametrize("proration", ["day", "second", "none"])
def test_a_fee_for_part_of_a_period_is_proved_after_a_cancellation(
    acme: Customer, proration: str
) -> None:
    plan = publish_plan(FEE | {"proration": proration})
    subscription = subscribe(acme, "2026-01-12T15:00", plan)
    cancel_subscription(
        subscription=subscription, end_at=instant("2026-01-20T09:00"), at=instant("2026-01-13")
    )
    bill(acme, "2026-02-02")
    assert told(Invoice.objects.get().number) == []


@pytest.mark.parametrize(
    "price",
    [
        {"model": "percentage", "rate": "2", "fixed_amount": "0.3"},
        {"model": "package", "size": "100", "amount": "5"},
        {"model": "per_unit", "unit_amount": "0.5", "minimum_amount": "40"},
    ],
    ids=lambda price: price["model"],
)
def test_usage_is_proved_whatever_form_its_price_reads(
    acme: Customer, price: dict[str, Any]
) -> None:
    factories.make_meter("sizes", aggregation="sum", value_property="size")
    subscribe(acme, "2026-01-01", publish_plan({"key": "s", "name": "S", "meter": "sizes"} | price))
    for number in range(3):
        store(acme, f"size-{number}", instant("2026-01-05"), size=17 * (number + 1))
    bill(acme, "2026-02-02")
    store(acme, "size-late", instant("2026-01-06"), size=1000)
    assert told(Invoice.objects.get().number) == []


def test_an_event_that_disappeared_is_a_difference_of_quantity_and_amount(acme: Customer) -> None:
    invoice = january(acme)
    Event.objects.filter(event_id="call-x").delete()
    line = f"{invoice.number}, line 2 (API calls)"
    assert told(invoice.number) == [
        f"{line}: it says the quantity 15, but that would be 14.",
        f"{line}: it says the amount 35.00, but that would be 32.00.",
    ]


@pytest.mark.parametrize(
    ("table", "assignment", "what"),
    [
        ("billing_invoiceline", "amount = 36 WHERE meter <> ''", "the amount 36"),
        ("billing_invoiceline", "steps = '[]' WHERE meter <> ''", "the steps []"),
        ("billing_invoice", "total = 1", "the total 1"),
        ("billing_invoice", "buyer = '{}'", "the digest"),
        ("billing_invoice", "cutoff = NULL", "a cut-off of nothing"),
    ],
)
def test_a_document_that_was_tampered_with_is_named(
    acme: Customer, table: str, assignment: str, what: str
) -> None:
    number = january(acme).number
    tamper(table, assignment)
    assert any(f"it says {what}" in each for each in told(number))


def test_the_command_says_what_was_proved(acme: Customer) -> None:
    number, out = january(acme).number, StringIO()
    call_command("prove_invoice", number, stdout=out)
    assert out.getvalue() == (
        f"{number} is proved: 2 lines, 1 of them counted again from raw events.\n"
    )


def test_the_command_fails_naming_every_difference(acme: Customer) -> None:
    number, out = january(acme).number, StringIO()
    Event.objects.filter(event_id="call-x").delete()
    with pytest.raises(CommandError, match=f"{number} is not what it was made of"):
        call_command("prove_invoice", number, stdout=out)
    assert "it says the quantity 15, but that would be 14." in out.getvalue()


@pytest.mark.parametrize("number", ["INV-999999", "1", ""])
def test_a_number_that_was_never_issued_is_an_error(number: str, db: None) -> None:
    with pytest.raises(CommandError, match="There is no issued invoice or credit note"):
        call_command("prove_invoice", number)
