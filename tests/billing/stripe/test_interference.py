"""People meddle in the Dashboard, and Stripe refuses: nothing wrong is ever finalized."""

from datetime import datetime, timedelta

import pytest

from billing.gateways.stripe import StripeGateway
from billing.models import Invoice, StripePush
from billing.sandbox import actions, control
from billing.sandbox.faults import Fault, Kind
from billing.sandbox.lines import remove_line
from billing.sandbox.server import StripeSandbox
from billing.services.payments import follow_stripe
from billing.services.stripe_push import (
    push_due_invoices,
    push_invoice,
    retry_pushes,
)
from billing.services.stripe_queue import PushOutcome
from billing.services.stripe_steps import PushJob
from tests import factories
from tests.billing.stripe import cases


@pytest.fixture
def half_pushed(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime
) -> StripePush:
    """A push that stopped before it finalized its draft, which has all lines."""
    sandbox.api.faults.add(Fault(Kind.DROP_BEFORE, "POST /v1/invoices/{id}/finalize"))
    push_invoice(invoice=invoice, gateway=gateway, at=at)
    return StripePush.objects.get(invoice=invoice)


def dashboard(gateway: StripeGateway, invoice_id: str, amount: int) -> None:
    """Add a line as a person does."""
    line = {"lines": [{"amount": amount, "description": "By hand"}]}
    gateway.api.invoices.add_lines(invoice_id, line, {"idempotency_key": f"hand:{invoice_id}"})  # type: ignore[arg-type]


def test_s12_a_line_added_by_hand_stops_the_push_until_it_is_removed(
    sandbox: StripeSandbox, gateway: StripeGateway, half_pushed: StripePush, at: datetime
) -> None:
    dashboard(gateway, half_pushed.stripe_invoice_id, 500)
    invoice = half_pushed.invoice
    assert push_invoice(invoice=invoice, gateway=gateway, at=at) == PushOutcome.ATTENTION
    half_pushed.refresh_from_db()
    assert "1 not ours" in half_pushed.attention
    assert cases.events(sandbox)["invoice.finalized"] == 0
    (record,) = cases.records(sandbox, "invoice")
    (added,) = [item for item in cases.records(sandbox, "line_item") if not item["metadata"]]
    remove_line(sandbox.account, record, added["id"])
    assert push_due_invoices(gateway=gateway, at=at).pushed == 1
    cases.assert_one(sandbox, invoice)


def test_a_line_removed_by_hand_stops_the_push(
    sandbox: StripeSandbox, gateway: StripeGateway, half_pushed: StripePush, at: datetime
) -> None:
    line_id = cases.records(sandbox, "line_item")[0]["id"]
    actions.take_line_off(sandbox.account, half_pushed.stripe_invoice_id, line_id)
    outcome = push_invoice(invoice=half_pushed.invoice, gateway=gateway, at=at)
    assert outcome == PushOutcome.ATTENTION
    assert cases.events(sandbox)["invoice.finalized"] == 0


def test_s15_a_draft_deleted_by_hand_is_made_again(
    sandbox: StripeSandbox, gateway: StripeGateway, half_pushed: StripePush, at: datetime
) -> None:
    gateway.api.invoices.delete(half_pushed.stripe_invoice_id)
    invoice = half_pushed.invoice
    assert push_invoice(invoice=invoice, gateway=gateway, at=at) == PushOutcome.COMPLETED
    cases.assert_one(sandbox, invoice)


def test_a_draft_that_is_not_there_because_the_account_is_another_is_not_made_again(
    sandbox: StripeSandbox, gateway: StripeGateway, half_pushed: StripePush, at: datetime
) -> None:
    control.reset(sandbox.api)
    outcome = push_invoice(invoice=half_pushed.invoice, gateway=gateway, at=at)
    assert outcome == PushOutcome.ATTENTION
    half_pushed.refresh_from_db()
    assert "the secret key is another account's" in half_pushed.attention
    assert not cases.records(sandbox, "invoice")


def test_s13_a_discount_of_the_customer_is_not_inherited(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime
) -> None:
    push_invoice(invoice=invoice, gateway=gateway, at=at)
    (customer,) = cases.records(sandbox, "customer")
    actions.give_discount(sandbox.account, customer["id"], 10)
    second = cases.make_invoice(customer=invoice.customer, at=at)
    assert push_invoice(invoice=second, gateway=gateway, at=at) == PushOutcome.COMPLETED
    assert {item["total"] for item in cases.records(sandbox, "invoice")} == {30300}


def test_s13_another_total_at_stripe_is_never_finalized(
    sandbox: StripeSandbox, gateway: StripeGateway, half_pushed: StripePush, at: datetime
) -> None:
    (record,) = cases.records(sandbox, "invoice")
    record["total"] -= 1
    outcome = push_invoice(invoice=half_pushed.invoice, gateway=gateway, at=at)
    assert outcome == PushOutcome.ATTENTION
    half_pushed.refresh_from_db()
    assert "comes to 302.99 USD at Stripe, and to 303.00 USD here" in half_pushed.attention
    assert cases.events(sandbox)["invoice.finalized"] == 0


def test_a_customer_deleted_by_hand_is_not_made_again(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime
) -> None:
    push_invoice(invoice=invoice, gateway=gateway, at=at)
    gateway.api.customers.delete(cases.records(sandbox, "customer")[0]["id"])
    second = cases.make_invoice(customer=invoice.customer, at=at)
    assert push_invoice(invoice=second, gateway=gateway, at=at) == PushOutcome.ATTENTION
    assert "Somebody deleted it" in StripePush.objects.get(invoice=second).attention
    assert len(cases.records(sandbox, "customer")) == 1


@pytest.mark.parametrize("kind", [Kind.UNAUTHORIZED, Kind.FORBIDDEN])
def test_s31_refused_credentials_halt_everything_for_an_hour_and_leave_it_queued(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime, kind: Kind
) -> None:
    cases.make_invoice(at=at)
    sandbox.api.faults.add(Fault(kind))
    report = push_due_invoices(gateway=gateway, at=at)
    assert (report.pushed, len(report.failures)) == (0, 1)
    assert report.halted == report.failures[0]["error"]
    assert push_due_invoices(gateway=gateway, at=at).counts == {PushOutcome.HALTED: 1}
    assert sandbox.api.faults.requests == 1
    assert push_due_invoices(gateway=gateway, at=at + timedelta(hours=1)).pushed == 2


def test_s31_another_key_ends_a_halt_at_once_and_there_is_one_alert(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    sandbox.api.faults.add(Fault(Kind.UNAUTHORIZED, times=2))
    for minutes in (0, 5, 65, 70):
        push_due_invoices(gateway=gateway, at=at + timedelta(minutes=minutes))
    assert sandbox.api.faults.requests == 2
    assert [record.levelname for record in caplog.records].count("ERROR") == 1
    replaced = cases.gateway_to(sandbox, secret_key="sk_test_new")
    later = at + timedelta(minutes=71)
    assert retry_pushes(gateway=replaced, at=later).pushed == 1
    cases.assert_one(sandbox, invoice)


def test_s32_one_refused_invoice_of_twenty_leaves_the_other_nineteen_alone(
    sandbox: StripeSandbox, gateway: StripeGateway, db: None, at: datetime
) -> None:
    invoices = [cases.make_invoice(["1.00"], at=at) for _ in range(20)]
    sandbox.api.faults.add(Fault(Kind.INVALID, "POST /v1/invoices", after=7))
    report = push_due_invoices(gateway=gateway, at=at)
    assert (report.pushed, len(report.failures)) == (19, 1)
    held = StripePush.objects.get(status="attention")
    assert held.invoice == invoices[7]
    assert (held.attention, held.request_id[:4]) == (
        "Stripe refuses this: The request is invalid.",
        "req_",
    )


def test_a_refused_call_is_made_under_a_new_key_once_a_person_has_put_it_right(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime
) -> None:
    sandbox.api.faults.add(Fault(Kind.INVALID, "POST /v1/invoices"))
    assert push_invoice(invoice=invoice, gateway=gateway, at=at) == PushOutcome.ATTENTION
    push = StripePush.objects.get(invoice=invoice)
    assert push.attention == "Stripe refuses this: The request is invalid."
    assert push.request_id.startswith("req_")
    assert push.steps.get(name="draft").generation == 2
    assert push_invoice(invoice=invoice, gateway=gateway, at=at) == PushOutcome.COMPLETED
    cases.assert_one(sandbox, invoice)


def test_a_key_that_carried_another_request_is_kept_for_a_person(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime
) -> None:
    sandbox.api.faults.add(Fault(Kind.KEY_REUSED, "POST /v1/invoices"))
    assert push_invoice(invoice=invoice, gateway=gateway, at=at) == PushOutcome.ATTENTION
    push = StripePush.objects.get(invoice=invoice)
    assert "Keys for idempotent requests" in push.attention
    assert push.steps.get(name="draft").generation == 1


def test_s32_one_refused_invoice_stops_no_other(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime
) -> None:
    bad = cases.make_invoice(["1.234"], at=at, currency="KWD")
    last = cases.make_invoice(at=at)
    report = push_due_invoices(gateway=gateway, at=at)
    assert report.pushed == 2
    assert [item["invoice"] for item in report.failures] == [bad.number]
    assert StripePush.objects.get(invoice=last).status == "completed"


def test_an_unforeseen_error_of_one_invoice_stops_no_other(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    cases.make_invoice(at=at)
    retrieve = iter([ZeroDivisionError("odd")])

    def once(*_: object) -> None:
        if error := next(retrieve, None):
            raise error

    monkeypatch.setattr("billing.services.stripe_steps.refuse_foreign_lines", once)
    report = push_due_invoices(gateway=gateway, at=at)
    assert report.pushed == 1
    assert report.failures == [{"invoice": str(invoice), "error": "ZeroDivisionError: odd"}]


def test_a_stopped_push_waits_longer_each_time_and_says_why(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime
) -> None:
    sandbox.api.faults.add(Fault(Kind.DROP_BEFORE, times=2))
    push_invoice(invoice=invoice, gateway=gateway, at=at)
    push = StripePush.objects.get(invoice=invoice)
    assert push.retry_at is not None
    assert timedelta(minutes=1) <= push.retry_at - at < timedelta(minutes=2)
    assert "whether it did what was asked is not known" in push.last_error
    assert retry_pushes(gateway=gateway, at=at).counts == {}
    retry_pushes(gateway=gateway, at=at + timedelta(minutes=2))
    push.refresh_from_db()
    assert timedelta(minutes=7) <= push.retry_at - at < timedelta(minutes=8)
    assert retry_pushes(gateway=gateway, at=at + timedelta(minutes=9)).pushed == 1


def test_s7_too_many_requests_are_waited_out_within_the_call(
    sandbox: StripeSandbox, invoice: Invoice, at: datetime
) -> None:
    sandbox.api.faults.add(Fault(Kind.RATE_LIMIT, times=100, every=2))
    patient = cases.gateway_to(sandbox, busy_waits_ms=(1, 1))
    assert push_invoice(invoice=invoice, gateway=patient, at=at) == PushOutcome.COMPLETED
    cases.assert_one(sandbox, invoice)


def test_the_retries_of_the_sdk_go_under_the_same_key(
    sandbox: StripeSandbox, invoice: Invoice, at: datetime
) -> None:
    sandbox.api.faults.add(Fault(Kind.DROP_AFTER, "POST /v1/invoices"))
    persistent = cases.gateway_to(sandbox, network_retries=1)
    assert push_invoice(invoice=invoice, gateway=persistent, at=at) == PushOutcome.COMPLETED
    cases.assert_one(sandbox, invoice)


def test_a_mail_that_may_have_gone_out_is_not_sent_again_a_day_later(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime
) -> None:
    sandbox.api.faults.add(Fault(Kind.DROP_AFTER, "POST /v1/invoices/{id}/send"))
    push_invoice(invoice=invoice, gateway=gateway, at=at)
    control.handle(sandbox.api, "POST", "/_sandbox/clock", {"advance": 25 * 3600})
    push_invoice(invoice=invoice, gateway=gateway, at=at + timedelta(hours=25))
    assert StripePush.objects.get(invoice=invoice).is_delivery_unknown
    assert cases.events(sandbox)["invoice.sent"] == 1


def test_a_push_begun_as_another_installation_is_left_to_a_person(
    sandbox: StripeSandbox, gateway: StripeGateway, half_pushed: StripePush, at: datetime
) -> None:
    half_pushed.environment = "elsewhere:test"
    half_pushed.save()
    outcome = push_invoice(invoice=half_pushed.invoice, gateway=gateway, at=at)
    assert outcome == PushOutcome.ATTENTION
    half_pushed.refresh_from_db()
    assert "elsewhere:test" in half_pushed.attention


def copied(sandbox: StripeSandbox, kind: str) -> None:
    """Make a second object like the first one, as an import or a script may."""
    (record,) = cases.records(sandbox, kind)
    sandbox.account.store.put(kind, f"{record['id']}_copy", record | {"id": f"{record['id']}_copy"})


@pytest.mark.parametrize(
    ("kind", "call", "words"),
    [
        ("customer", "POST /v1/customers", "Stripe has 2 customers for this one"),
        ("invoice", "POST /v1/invoices", "Stripe has 2 invoices for this one"),
    ],
)
def test_two_objects_that_could_be_ours_are_left_to_a_person(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime,
    kind: str, call: str, words: str,
) -> None:  # fmt: skip
    sandbox.api.faults.add(Fault(Kind.DROP_AFTER, call))
    push_invoice(invoice=invoice, gateway=gateway, at=at)
    copied(sandbox, kind)
    later = at + timedelta(hours=25)
    assert push_invoice(invoice=invoice, gateway=gateway, at=later) == PushOutcome.ATTENTION
    assert words in StripePush.objects.get(invoice=invoice).attention


def test_a_customer_renamed_before_the_first_answer_came_is_not_made_twice(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime
) -> None:
    sandbox.api.faults.add(Fault(Kind.DROP_AFTER, "POST /v1/customers"))
    push_invoice(invoice=invoice, gateway=gateway, at=at)
    invoice.customer.name, invoice.customer.email = "Renamed", "renamed@example.com"
    invoice.customer.save()
    assert push_invoice(invoice=invoice, gateway=gateway, at=at) == PushOutcome.COMPLETED
    cases.assert_one(sandbox, invoice)
    assert cases.records(sandbox, "customer")[0]["name"] == "Renamed"


def test_a_customer_without_an_address_to_mail_to_is_not_mailed(
    sandbox: StripeSandbox, gateway: StripeGateway, db: None, at: datetime
) -> None:
    invoice = cases.make_invoice(customer=factories.make_customer(email=""), at=at)
    assert push_invoice(invoice=invoice, gateway=gateway, at=at) == PushOutcome.COMPLETED
    assert cases.events(sandbox)["invoice.sent"] == 0


def test_a_draft_finalized_by_hand_is_taken_as_it_is_when_it_is_right(
    sandbox: StripeSandbox, gateway: StripeGateway, half_pushed: StripePush, at: datetime
) -> None:
    gateway.finalize_invoice(half_pushed.stripe_invoice_id, key="tests:by-hand")
    invoice = half_pushed.invoice
    assert push_invoice(invoice=invoice, gateway=gateway, at=at) == PushOutcome.COMPLETED
    cases.assert_one(sandbox, invoice)


def test_a_payment_that_overtakes_the_push_is_no_contradiction(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def deliver_late(job: PushJob) -> None:
        stripe_id = job.push.stripe_invoice_id
        actions.pay(sandbox.account, stripe_id)
        follow_stripe(invoice=invoice, stripe_invoice_id=stripe_id, gateway=gateway, at=at)

    monkeypatch.setattr("billing.services.stripe_steps.deliver", deliver_late)
    assert push_invoice(invoice=invoice, gateway=gateway, at=at) == PushOutcome.COMPLETED
    push = StripePush.objects.get(invoice=invoice)
    assert (push.stripe_status, push.attention) == ("paid", "")


def test_s35_a_clock_ten_minutes_wrong_finds_what_was_made(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime
) -> None:
    control.handle(sandbox.api, "POST", "/_sandbox/clock", {"advance": -600})
    sandbox.api.faults.add(Fault(Kind.DROP_AFTER, "POST /v1/invoices"))
    push_invoice(invoice=invoice, gateway=gateway, at=at)
    later = at + timedelta(hours=25)
    control.handle(sandbox.api, "POST", "/_sandbox/clock", {"advance": 25 * 3600})
    assert push_invoice(invoice=invoice, gateway=gateway, at=later) == PushOutcome.COMPLETED
    cases.assert_one(sandbox, invoice)


def test_an_invoice_paid_while_its_push_had_stopped_completes_it(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime
) -> None:
    sandbox.api.faults.add(Fault(Kind.DROP_BEFORE, "POST /v1/invoices/{id}/send"))
    push_invoice(invoice=invoice, gateway=gateway, at=at)
    stripe_id = StripePush.objects.get().stripe_invoice_id
    actions.pay(sandbox.account, stripe_id)
    follow_stripe(invoice=invoice, stripe_invoice_id=stripe_id, gateway=gateway, at=at)
    retry_pushes(gateway=gateway, at=at + timedelta(minutes=2))
    cases.assert_one(sandbox, invoice, status="paid")
    assert cases.events(sandbox)["invoice.sent"] == 0
