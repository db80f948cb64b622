"""Everything breaks while an invoice is voided, given up, charged or credited: never twice, never not.

As in test_faults, a walk breaks one call or one write after the other and goes on at once, or 25
hours later when Stripe has forgotten the keys.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection

from billing.gateways.stripe import StripeGateway
from billing.models import Invoice, StripeCustomer, StripeOperation, StripePush
from billing.sandbox import actions, control
from billing.sandbox.faults import Fault, Kind
from billing.sandbox.server import StripeSandbox
from billing.services.payments import follow_stripe
from billing.services.stripe_operations import run_operation
from billing.services.stripe_push import push_invoice
from billing.services.stripe_queue import PushOutcome
from billing.services.stripe_requests import request_credit_note, request_operation
from tests import factories
from tests.billing.stripe import cases
from tests.billing.stripe.test_faults import AT_ONCE, NEXT_DAY, CrashError, crash_at_write

# Each walk takes the same way a dozen times.
pytestmark = pytest.mark.no_cover

# No operation takes more calls or writes than these; the walks prove it.
CALLS, WRITES, CHARGE_CALLS = 8, 25, 12
BREAKS = [Kind.DROP_AFTER, Kind.SAVED_SERVER_ERROR_BEFORE, Kind.SAVED_SERVER_ERROR_AFTER]
# What was not heard of is looked for a day later; at once, every break differs.
BROKEN = pytest.mark.parametrize(
    ("kind", "pause"), [*((kind, AT_ONCE) for kind in BREAKS), (Kind.DROP_AFTER, NEXT_DAY)]
)
PAUSES = pytest.mark.parametrize("pause", [AT_ONCE, NEXT_DAY], ids=["at-once", "next-day"])

type Ask = Callable[[StripeSandbox, StripeGateway, datetime], StripeOperation]


def pushed(sandbox: StripeSandbox, gateway: StripeGateway, at: datetime) -> Invoice:
    # Without an address there is no mail, and so one call less.
    invoice = cases.make_invoice(["100.00"], customer=factories.make_customer(email=""), at=at)
    push_invoice(invoice=invoice, gateway=gateway, at=at)
    return invoice


def ask_void(sandbox: StripeSandbox, gateway: StripeGateway, at: datetime) -> StripeOperation:
    return request_operation(invoice=pushed(sandbox, gateway, at), kind="void", at=at)


def ask_void_of_draft(
    sandbox: StripeSandbox, gateway: StripeGateway, at: datetime
) -> StripeOperation:
    sandbox.api.faults.add(Fault(Kind.DROP_AFTER, "POST /v1/invoices"))
    return request_operation(invoice=pushed(sandbox, gateway, at), kind="void", at=at)


def ask_give_up(sandbox: StripeSandbox, gateway: StripeGateway, at: datetime) -> StripeOperation:
    return request_operation(invoice=pushed(sandbox, gateway, at), kind="uncollectible", at=at)


def ask_charge(sandbox: StripeSandbox, gateway: StripeGateway, at: datetime) -> StripeOperation:
    invoice = pushed(sandbox, gateway, at)
    actions.use_card(sandbox.account, StripeCustomer.objects.get().stripe_id, "pm_card_visa")
    return request_operation(invoice=invoice, kind="pay", at=at)


def ask_refund(sandbox: StripeSandbox, gateway: StripeGateway, at: datetime) -> StripeOperation:
    invoice = pushed(sandbox, gateway, at)
    there = StripePush.objects.get(invoice=invoice).stripe_invoice_id
    actions.pay(sandbox.account, there)
    follow_stripe(invoice=invoice, stripe_invoice_id=there, gateway=gateway, at=at)
    invoice.refresh_from_db()
    return request_credit_note(
        invoice=invoice, reference="CN-1", memo="Less", lines=[("Less", Decimal("40.00"))],
        refund=Decimal("40.00"), at=at,
    )  # fmt: skip


# What becomes of the invoice here and there, and how many payments, credit notes and refunds of
# it there are.
ENDS: dict[Ask, tuple[str, str | None, int, int, int]] = {
    ask_void: ("void", "void", 0, 0, 0),
    ask_void_of_draft: ("void", None, 0, 0, 0),
    ask_give_up: ("uncollectible", "uncollectible", 0, 0, 0),
    ask_charge: ("paid", "paid", 1, 0, 0),
    ask_refund: ("paid", "paid", 1, 1, 1),
}
OPERATIONS = pytest.mark.parametrize("ask", ENDS, ids=[ask.__name__ for ask in ENDS])


def start(sandbox: StripeSandbox) -> None:
    control.reset(sandbox.api)
    StripeCustomer.objects.all().delete()


def done_in_the_end(
    ask: Ask, operation: StripeOperation, sandbox: StripeSandbox, gateway: StripeGateway,
    at: datetime, pause: timedelta,
) -> None:  # fmt: skip
    """Take an operation up until it is through; check that it happened once, here and there."""
    for _ in range(6):
        at += pause
        seconds = int(pause.total_seconds())
        control.handle(sandbox.api, "POST", "/_sandbox/clock", {"advance": seconds})
        if run_operation(operation=operation, gateway=gateway, at=at) == PushOutcome.COMPLETED:
            break
    invoice = Invoice.objects.get(pk=operation.invoice_id)
    push = StripePush.objects.get(invoice=invoice)
    if push.stripe_invoice_id:
        follow_stripe(
            invoice=invoice, stripe_invoice_id=push.stripe_invoice_id, gateway=gateway, at=at
        )
    invoice.refresh_from_db()
    there = [record["status"] for record in cases.records(sandbox, "invoice")]
    kinds = ("invoice_payment", "credit_note", "refund")
    here, at_stripe, *counts = ENDS[ask]
    assert (invoice.status, there) == (here, [at_stripe] if at_stripe else [])
    assert [len(cases.records(sandbox, kind)) for kind in kinds] == counts
    assert invoice.payments.count() == counts[0]


@BROKEN
@OPERATIONS
def test_any_broken_call_of_an_operation_ends_with_it_done_once(
    sandbox: StripeSandbox, gateway: StripeGateway, db: None, at: datetime, ask: Ask, kind: Kind,
    pause: timedelta,
) -> None:  # fmt: skip
    for call in range(CALLS):
        start(sandbox)
        operation = ask(sandbox, gateway, at)
        sandbox.api.faults.clear()
        sandbox.api.faults.add(Fault(kind, after=call))
        run_operation(operation=operation, gateway=gateway, at=at)
        if sandbox.api.faults.requests <= call:
            break
        done_in_the_end(ask, operation, sandbox, gateway, at, pause)
    assert 2 <= call < CALLS - 1


@PAUSES
@OPERATIONS
def test_a_process_killed_at_any_write_of_an_operation_ends_with_it_done_once(
    sandbox: StripeSandbox, gateway: StripeGateway, db: None, at: datetime, ask: Ask,
    pause: timedelta,
) -> None:  # fmt: skip
    for write in range(WRITES):
        start(sandbox)
        operation = ask(sandbox, gateway, at)
        sandbox.api.faults.clear()
        is_killed = False
        with connection.execute_wrapper(crash_at_write(write)):
            try:
                run_operation(operation=operation, gateway=gateway, at=at)
            except CrashError:
                is_killed = True
        done_in_the_end(ask, operation, sandbox, gateway, at, pause)
        if not is_killed:
            break
    assert 3 <= write < WRITES - 1


@BROKEN
def test_any_broken_call_of_a_charged_push_ends_with_one_payment(
    sandbox: StripeSandbox, gateway: StripeGateway, db: None, at: datetime, kind: Kind,
    pause: timedelta,
) -> None:  # fmt: skip
    for call in range(CHARGE_CALLS):
        start(sandbox)
        first = pushed(sandbox, gateway, at)
        actions.use_card(sandbox.account, StripeCustomer.objects.get().stripe_id, "pm_card_visa")
        StripeCustomer.objects.update(collection_method="charge_automatically")
        invoice = cases.make_invoice(["7.00"], customer=first.customer, at=at)
        sandbox.api.faults.clear()
        sandbox.api.faults.add(Fault(kind, after=call))
        later = at
        while push_invoice(invoice=invoice, gateway=gateway, at=later) != PushOutcome.COMPLETED:
            seconds = int(pause.total_seconds())
            control.handle(sandbox.api, "POST", "/_sandbox/clock", {"advance": seconds})
            later += pause
        invoice.refresh_from_db()
        assert (invoice.status, invoice.payments.count()) == ("paid", 1)
        assert len(cases.records(sandbox, "invoice_payment")) == 1
        assert len(cases.records(sandbox, "invoice")) == 2
