"""Several processes at once: one pushes, one payment counts."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
from django.db import connection

from billing.gateways.stripe import StripeGateway
from billing.models import Invoice, Payment, StripeEvent, StripePush
from billing.sandbox import actions, control
from billing.sandbox.faults import Fault, Kind
from billing.sandbox.server import StripeSandbox
from billing.services.stripe_events import handle_stripe_event
from billing.services.stripe_push import push_invoice
from billing.services.stripe_queue import PushOutcome
from tests.billing.stripe import cases


def at_once(count: int, work: Callable[[], object], slow: Fault | None = None) -> list[object]:
    """Run `work` in threads that start together and return what each returned.

    The answer that is slow comes when all but one have returned.
    """
    barrier = threading.Barrier(count)
    running = list(range(count))

    def run(number: int) -> object:
        barrier.wait()
        try:
            return work()
        finally:
            connection.close()
            running.remove(number)
            if slow and len(running) == 1:
                slow.over.set()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


@pytest.mark.django_db(transaction=True)
def test_s40_of_several_workers_one_pushes_and_the_others_leave(
    sandbox: StripeSandbox, gateway: StripeGateway, at: datetime
) -> None:
    invoice = cases.make_invoice(at=at)
    sandbox.api.faults.add(slow := Fault(Kind.SLOW, seconds=25))
    outcomes = at_once(4, lambda: push_invoice(invoice=invoice, gateway=gateway, at=at), slow)
    assert sorted(map(str, outcomes)) == ["busy", "busy", "busy", "completed"]
    cases.assert_one(sandbox, invoice)


@pytest.mark.django_db(transaction=True)
def test_two_invoices_of_a_new_customer_at_once_make_one_customer(
    sandbox: StripeSandbox, gateway: StripeGateway, at: datetime
) -> None:
    first = cases.make_invoice(at=at)
    invoices = [first, cases.make_invoice(customer=first.customer, at=at)]
    sandbox.api.faults.add(slow := Fault(Kind.SLOW, seconds=25))
    left = iter(invoices)
    outcomes = at_once(2, lambda: push_invoice(invoice=next(left), gateway=gateway, at=at), slow)
    assert sorted(map(str, outcomes)) == ["completed", "waiting"]
    assert [push_invoice(invoice=item, gateway=gateway, at=at) for item in invoices] == [
        PushOutcome.COMPLETED
    ] * 2
    assert len(cases.records(sandbox, "customer")) == 1


@pytest.mark.django_db(transaction=True)
def test_s18_one_event_handled_by_many_workers_is_one_payment(
    sandbox: StripeSandbox, gateway: StripeGateway, at: datetime
) -> None:
    invoice = cases.make_invoice(at=at)
    push_invoice(invoice=invoice, gateway=gateway, at=at)
    paid_id = StripePush.objects.get(invoice=invoice).stripe_invoice_id
    control.change(sandbox.api, lambda: actions.pay(sandbox.account, paid_id))
    event = StripeEvent.objects.create(
        event_id="evt_1", livemode=False, type="invoice.paid", object_id=paid_id,
        created_at=at, payload={},
    )  # fmt: skip
    assert (
        at_once(5, lambda: handle_stripe_event(event=event, gateway=gateway, at=at)) == [None] * 5
    )
    assert Payment.objects.get().amount == invoice.total
    assert Invoice.objects.get(pk=invoice.pk).status == "paid"
