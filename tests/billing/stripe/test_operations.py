"""What is asked of an invoice that Stripe has: it becomes so there first, and then here."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pytest_django import Settings

from billing.gateways.stripe import StripeGateway
from billing.models import (
    CreditNote,
    CreditNoteLine,
    Invoice,
    PaymentReversal,
    StripeCustomer,
    StripeOperation,
    StripePush,
)
from billing.sandbox import actions, control, reversals
from billing.sandbox.faults import Fault, Kind
from billing.sandbox.server import StripeSandbox
from billing.services.invoicing import (
    charge_invoice,
    mark_paid,
    mark_uncollectible,
    void_invoice,
)
from billing.services.payments import follow_stripe
from billing.services.stripe_events import handle_stripe_event
from billing.services.stripe_operations import retry_operations, run_operation
from billing.services.stripe_push import push_invoice
from billing.services.stripe_queue import PushOutcome
from billing.services.stripe_reconcile import reconcile_stripe
from billing.services.stripe_requests import request_credit_note, request_due_credit_notes
from config.errors import DomainError
from tests.billing.stripe import cases

LATER = timedelta(hours=25)


@pytest.fixture(autouse=True)
def configured(settings: Settings) -> None:
    settings.STRIPE_SECRET_KEY = cases.KEY


def run(invoice: Invoice, gateway: StripeGateway, at: datetime) -> StripeOperation:
    """Run the one operation of an invoice, and bring the invoice up to date."""
    operation = invoice.stripe_operations.get()
    run_operation(operation=operation, gateway=gateway, at=at)
    invoice.refresh_from_db()
    operation.refresh_from_db()
    return operation


def test_an_invoice_is_void_here_once_it_is_void_at_stripe(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime
) -> None:
    push_invoice(invoice=invoice, gateway=gateway, at=at)
    assert void_invoice(invoice=invoice, at=at).status == "open"
    assert run(invoice, gateway, at).status == "completed"
    assert (invoice.status, invoice.voided_at) == ("void", at)
    cases.assert_one(sandbox, invoice, status="void")


def test_an_invoice_given_up_is_so_on_both_sides_and_can_still_be_voided(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime
) -> None:
    push_invoice(invoice=invoice, gateway=gateway, at=at)
    mark_uncollectible(invoice=invoice, at=at)
    run(invoice, gateway, at)
    cases.assert_one(sandbox, invoice, status="uncollectible")
    void_invoice(invoice=invoice, at=at)
    operation = invoice.stripe_operations.get(kind="void")
    assert run_operation(operation=operation, gateway=gateway, at=at) == PushOutcome.COMPLETED
    cases.assert_one(sandbox, invoice, status="void")


def test_an_invoice_paid_before_it_could_be_voided_is_paid_and_left_to_a_person(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime
) -> None:
    push_invoice(invoice=invoice, gateway=gateway, at=at)
    void_invoice(invoice=invoice, at=at)
    actions.pay(sandbox.account, StripePush.objects.get().stripe_invoice_id)
    operation = run(invoice, gateway, at)
    assert (invoice.status, invoice.amount_paid) == ("paid", invoice.total)
    assert operation.attention == "The invoice is paid at Stripe, so it does not become void."


def test_a_push_that_is_voided_halfway_leaves_nothing_at_stripe(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime
) -> None:
    sandbox.api.faults.add(Fault(Kind.DROP_AFTER, "POST /v1/invoices"))
    push_invoice(invoice=invoice, gateway=gateway, at=at)
    void_invoice(invoice=invoice, at=at)
    # The push keeps out of the way from the moment that voiding is asked for.
    assert push_invoice(invoice=invoice, gateway=gateway, at=at) == PushOutcome.WAITING
    run(invoice, gateway, at + LATER)
    assert invoice.status == "void"
    assert cases.records(sandbox, "invoice") == []
    assert StripePush.objects.get().status == "skipped"


def test_a_call_that_is_not_answered_is_taken_up_again_by_itself(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime
) -> None:
    push_invoice(invoice=invoice, gateway=gateway, at=at)
    void_invoice(invoice=invoice, at=at)
    sandbox.api.faults.add(Fault(Kind.DROP_AFTER, "POST /v1/invoices/{id}/void"))
    operation = run(invoice, gateway, at)
    assert (operation.status, invoice.status) == ("pending", "open")
    assert retry_operations(gateway=gateway, at=at).counts == {}
    assert retry_operations(gateway=gateway, at=at + timedelta(minutes=2)).pushed == 1
    cases.assert_one(sandbox, invoice, status="void")


def test_money_that_came_outside_stripe_is_marked_there_first(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime
) -> None:
    push_invoice(invoice=invoice, gateway=gateway, at=at)
    marked = mark_paid(invoice=invoice, reference="Transfer 9", paid_at=at, at=at)
    assert marked.status == "open"
    assert run(invoice, gateway, at).outcome == "The invoice is paid here and at Stripe."
    assert (invoice.status, invoice.payments.get().amount) == ("paid", invoice.total)
    assert cases.records(sandbox, "invoice_payment") == []
    assert cases.records(sandbox, "invoice")[0]["amount_paid_off_stripe"] == 30300


def test_money_for_what_stripe_does_not_have_is_recorded_at_once_and_once(
    gateway: StripeGateway, db: None, at: datetime
) -> None:
    invoice = cases.make_invoice(["0.30"], at=at)
    push_invoice(invoice=invoice, gateway=gateway, at=at)
    with pytest.raises(DomainError, match="not come yet"):
        mark_paid(invoice=invoice, reference="Cash", paid_at=at + LATER, at=at)
    assert mark_paid(invoice=invoice, reference="Cash", paid_at=at, at=at).status == "paid"
    with pytest.raises(DomainError, match="nothing is owed"):
        mark_paid(invoice=invoice, reference="Cash", paid_at=at, at=at)
    assert invoice.payments.get().external_id == f"{invoice.number}: Cash"


CREDIT: list[tuple[str, Decimal]] = [("API calls", Decimal("50.00")), ("VAT", Decimal("10.00"))]


def credit(invoice: Invoice, at: datetime, number: str = "CN-1", **given: Any) -> StripeOperation:
    return request_credit_note(
        invoice=invoice,
        reference=number,
        memo="Corrected usage",
        at=at,
        **{"lines": CREDIT} | given,
    )


def test_a_credit_note_of_ours_lowers_what_remains_at_stripe(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime
) -> None:
    push_invoice(invoice=invoice, gateway=gateway, at=at)
    credit(invoice, at)
    assert run(invoice, gateway, at).outcome == "Credited 60.00 USD."
    (note,) = cases.records(sandbox, "credit_note")
    (found,) = cases.records(sandbox, "invoice")
    assert (note["total"], found["amount_remaining"]) == (6000, 24300)
    assert note["metadata"] == {"credit_note": "CN-1", "env": "tests:test"}
    assert StripePush.objects.get().attention == ""


def test_a_credit_note_on_a_paid_invoice_moves_no_money_at_stripe(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime
) -> None:
    push_invoice(invoice=invoice, gateway=gateway, at=at)
    actions.pay(sandbox.account, StripePush.objects.get().stripe_invoice_id)
    credit(invoice, at)
    run(invoice, gateway, at)
    (note,) = cases.records(sandbox, "credit_note")
    assert (note["out_of_band_amount"], note["post_payment_amount"]) == (6000, 6000)
    assert cases.records(sandbox, "refund") == []


def paid(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime
) -> StripePush:
    """Push an invoice and have it paid by card, there and here."""
    push_invoice(invoice=invoice, gateway=gateway, at=at)
    push = StripePush.objects.get(invoice=invoice)
    actions.pay(sandbox.account, push.stripe_invoice_id)
    follow_stripe(invoice=invoice, stripe_invoice_id=push.stripe_invoice_id, gateway=gateway, at=at)
    invoice.refresh_from_db()
    return push


def refund_news(sandbox: StripeSandbox, gateway: StripeGateway, at: datetime) -> None:
    """Tell of the one refund there is, as it is now."""
    (made,) = cases.records(sandbox, "refund")
    event = {"event_id": f"evt_{made['status']}", "type": "refund.updated", "object_id": made["id"]}
    handle_stripe_event(event=cases.received(at, **event), gateway=gateway, at=at)


def test_a_credit_note_on_a_paid_invoice_refunds_what_was_paid_through_stripe(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime
) -> None:
    push = paid(sandbox, gateway, invoice, at)
    credit(invoice, at, refund=Decimal("45.00"))
    words = "Credited 60.00 USD: 45.00 refunded through Stripe, 15.00 to be given back outside "
    assert run(invoice, gateway, at).outcome == f"{words}Stripe."
    refund_news(sandbox, gateway, at)
    assert PaymentReversal.objects.get().amount == Decimal("45.00")
    push.refresh_from_db()
    assert push.attention == ""
    reversals.fail_refund(sandbox.account, cases.records(sandbox, "refund")[0]["id"])
    refund_news(sandbox, gateway, at)
    push.refresh_from_db()
    assert push.attention.startswith("A refund of 45.00 USD failed at Stripe, so the customer has")


def test_what_is_put_on_the_balance_at_stripe_pays_for_the_next_invoice(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime
) -> None:
    paid(sandbox, gateway, invoice, at)
    credit(invoice, at, balance=Decimal("60.00"))
    assert "60.00 put on the customer's balance" in run(invoice, gateway, at).outcome
    second = cases.make_invoice(customer=invoice.customer, at=at)
    push = paid(sandbox, gateway, second, at)
    amounts = second.payments.order_by("amount").values_list("amount", flat=True)
    assert list(amounts) == [Decimal("60.00"), Decimal("243.00")]
    assert (second.status, push.attention) == ("paid", "")
    assert reconcile_stripe(gateway=gateway, at=at).is_clean


def test_no_more_is_refunded_than_was_received_through_stripe_and_has_not_gone_back(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime
) -> None:
    push_invoice(invoice=invoice, gateway=gateway, at=at)
    with pytest.raises(DomainError, match="is open: money is given back of a paid one"):
        credit(invoice, at, refund=Decimal(60))
    push = paid(sandbox, gateway, invoice, at)
    with pytest.raises(DomainError, match="gives back no 61"):
        credit(invoice, at, refund=Decimal(61))
    reversals.refund(sandbox.account, push.stripe_invoice_id, 25000)
    refund_news(sandbox, gateway, at)
    with pytest.raises(DomainError, match=r"^53.00 USD of invoice .* not 60:"):
        credit(invoice, at, refund=Decimal(60))
    for _ in range(2):
        assert credit(invoice, at, refund=Decimal(53)).content["refund"] == "53"


def test_s29_a_credit_note_over_more_than_the_invoice_is_refused_before_it_is_sent(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime
) -> None:
    push_invoice(invoice=invoice, gateway=gateway, at=at)
    credit(invoice, at)
    requests = sandbox.api.faults.requests
    with pytest.raises(DomainError, match="credited already: 250"):
        credit(invoice, at, "CN-2", lines=[("All", Decimal("250.00"))])
    with pytest.raises(DomainError, match="more than nothing"):
        credit(invoice, at, "CN-3", lines=[])
    assert sandbox.api.faults.requests == requests


def automatic(gateway: StripeGateway, sandbox: StripeSandbox, first: Invoice, card: str) -> None:
    """Have a customer whose invoices are charged to a card."""
    push_invoice(invoice=first, gateway=gateway, at=first.issued_at)  # type: ignore[arg-type]
    row = StripeCustomer.objects.get()
    actions.use_card(sandbox.account, row.stripe_id, card)
    StripeCustomer.objects.update(collection_method="charge_automatically")


def test_a_customer_with_a_card_is_charged_and_gets_no_mail(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime
) -> None:
    automatic(gateway, sandbox, invoice, "pm_card_visa")
    second = cases.make_invoice(customer=invoice.customer, at=at)
    assert push_invoice(invoice=second, gateway=gateway, at=at) == PushOutcome.COMPLETED
    second.refresh_from_db()
    assert (second.status, second.amount_paid) == ("paid", second.total)
    assert cases.records(sandbox, "invoice")[1]["collection_method"] == "charge_automatically"
    assert cases.events(sandbox)["invoice.sent"] == 1


def test_a_customer_who_is_to_be_charged_and_has_no_card_gets_the_invoice(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime
) -> None:
    automatic(gateway, sandbox, invoice, "")
    second = cases.make_invoice(customer=invoice.customer, at=at)
    push_invoice(invoice=second, gateway=gateway, at=at)
    assert cases.records(sandbox, "invoice")[1]["collection_method"] == "send_invoice"
    assert cases.events(sandbox)["invoice.sent"] == 2


def test_s24_a_declined_charge_is_noted_and_charged_again_under_another_key(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime
) -> None:
    automatic(gateway, sandbox, invoice, "pm_card_chargeDeclined")
    second = cases.make_invoice(customer=invoice.customer, at=at)
    assert push_invoice(invoice=second, gateway=gateway, at=at) == PushOutcome.COMPLETED
    push = second.stripe_push
    assert push.collection_problem == "The payment method was declined: Your card was declined."
    for card, status in (("pm_card_chargeDeclined", "open"), ("pm_card_visa", "paid")):
        actions.use_card(sandbox.account, StripeCustomer.objects.get().stripe_id, card)
        charge_invoice(invoice=second, at=at)
        run(second, gateway, at)
        assert second.status == status
    assert second.payments.count() == 1
    push.refresh_from_db()
    assert push.collection_problem == ""


def test_s25_a_charge_whose_answer_is_lost_is_not_made_twice(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime
) -> None:
    automatic(gateway, sandbox, invoice, "pm_card_visa")
    second = cases.make_invoice(customer=invoice.customer, at=at)
    sandbox.api.faults.add(Fault(Kind.DROP_AFTER, "POST /v1/invoices/{id}/pay"))
    assert push_invoice(invoice=second, gateway=gateway, at=at) == PushOutcome.WAITING
    control.handle(sandbox.api, "POST", "/_sandbox/clock", {"advance": 25 * 3600})
    assert push_invoice(invoice=second, gateway=gateway, at=at + LATER) == PushOutcome.COMPLETED
    second.refresh_from_db()
    assert (second.status, second.payments.count()) == ("paid", 1)
    assert len(cases.records(sandbox, "invoice_payment")) == 1


def test_only_an_open_invoice_that_is_at_stripe_is_charged(invoice: Invoice, at: datetime) -> None:
    with pytest.raises(DomainError, match="only an open one that is at Stripe"):
        charge_invoice(invoice=invoice, at=at)


def issued_note(invoice: Invoice, amounts: list[str], at: datetime) -> CreditNote:
    note = CreditNote.objects.create(
        customer=invoice.customer, invoice=invoice, currency=invoice.currency
    )
    for position, amount in enumerate(amounts):
        CreditNoteLine.objects.create(
            credit_note=note, position=position, kind="adjustment", price="calls",
            description=f"Corrected {position}", quantity=1, amount=Decimal(amount),
            period_start=cases.START, period_end=cases.END, document={},
        )  # fmt: skip
    note.subtotal = note.total = sum(map(Decimal, amounts), start=Decimal(0))
    note.number, note.status, note.issued_at = f"CN-{note.pk}", CreditNote.Status.ISSUED, at
    note.save()
    return note


@pytest.mark.parametrize(
    ("amounts", "sent"), [(["1.00", "2.00"], [100, 200]), (["5.00", "-1.00"], [400])]
)
def test_an_issued_credit_note_goes_to_stripe_by_itself_and_once(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime,
    amounts: list[str], sent: list[int],
) -> None:  # fmt: skip
    push_invoice(invoice=invoice, gateway=gateway, at=at)
    note = issued_note(invoice, amounts, at)
    for minutes in (0, 20, 40):
        retry_operations(gateway=gateway, at=at + timedelta(minutes=minutes))
    (made,) = cases.records(sandbox, "credit_note")
    assert [line["amount"] for line in made["lines"]["data"]] == sent
    assert made["metadata"]["credit_note"] == note.number


def test_an_issued_credit_note_that_does_not_fit_its_invoice_is_left_to_a_person(
    gateway: StripeGateway, invoice: Invoice, at: datetime
) -> None:
    push_invoice(invoice=invoice, gateway=gateway, at=at)
    issued_note(invoice, ["999.00"], at)
    assert [request_due_credit_notes(at=at) for _ in range(2)] == [1, 0]
    assert "999.00 more cannot be" in invoice.stripe_operations.get().attention
