"""Everything breaks, at every call and every commit: still one right invoice, never two, never none.

A walk breaks one place of a push after the other, with a new invoice each time, and takes the
push up again at once or 25 hours later, when Stripe has forgotten the keys.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from billing.gateways.stripe import StripeGateway
from billing.models import Invoice, StripePush
from billing.sandbox import control
from billing.sandbox.faults import Fault, Kind
from billing.sandbox.server import StripeSandbox
from billing.services.stripe_push import push_invoice
from billing.services.stripe_queue import PushOutcome
from tests.billing.stripe import cases

# Each walk takes the same way a dozen times.
pytestmark = pytest.mark.no_cover

AT_ONCE = timedelta(seconds=10)
NEXT_DAY = timedelta(hours=25)
# A customer, a draft, a look, its lines, what they come to, final, mailed: see services.
CALLS = 10
WRITES = 40

# Executed or not, saved under the key or not: a day later these four differ.
UNLIKE = (
    Kind.DROP_BEFORE,
    Kind.DROP_AFTER,
    Kind.SAVED_SERVER_ERROR_BEFORE,
    Kind.SAVED_SERVER_ERROR_AFTER,
)
# Each of these leaves at Stripe what one of the four does; only the answer is another.
ALIKE = (
    Kind.TRUNCATE,
    Kind.BAD_GATEWAY,
    Kind.SERVER_ERROR_BEFORE,
    Kind.SERVER_ERROR_AFTER,
    Kind.CONFLICT,
    Kind.RATE_LIMIT,
)
WALKS = [
    *((kind, pause) for kind in UNLIKE for pause in (AT_ONCE, NEXT_DAY)),
    *((kind, AT_ONCE) for kind in ALIKE),
]


class CrashError(BaseException):
    """The process is killed here."""


def pushed_in_the_end(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime, pause: timedelta
) -> None:
    """Take a push up again until it is through, then check that there is exactly one."""
    for _ in range(6):
        at += pause
        control.handle(
            sandbox.api, "POST", "/_sandbox/clock", {"advance": int(pause.total_seconds())}
        )
        if push_invoice(invoice=invoice, gateway=gateway, at=at) == PushOutcome.COMPLETED:
            break
    cases.assert_one(sandbox, invoice)
    is_unknown = StripePush.objects.get(invoice=invoice).is_delivery_unknown
    mails = cases.events(sandbox)["invoice.sent"]
    assert mails == 1 or (is_unknown and mails == 0)


@pytest.mark.parametrize(("kind", "pause"), WALKS)
def test_s1_s2_s4_s8_s39_any_broken_call_ends_with_one_invoice(
    sandbox: StripeSandbox, gateway: StripeGateway, db: None, at: datetime, kind: Kind,
    pause: timedelta,
) -> None:  # fmt: skip
    for call in range(CALLS):
        control.reset(sandbox.api)
        invoice = cases.make_invoice(at=at)
        sandbox.api.faults.add(Fault(kind, after=call))
        outcome = push_invoice(invoice=invoice, gateway=gateway, at=at)
        assert outcome == PushOutcome.WAITING
        pushed_in_the_end(sandbox, gateway, invoice, at, pause)


@pytest.mark.parametrize("pause", [AT_ONCE, NEXT_DAY], ids=["at-once", "next-day"])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Kind.DROP_AFTER, Kind.SAVED_SERVER_ERROR_BEFORE),
        (Kind.SAVED_SERVER_ERROR_AFTER, Kind.DROP_BEFORE),
    ],
)
def test_two_broken_calls_in_a_row_end_with_one_invoice(
    sandbox: StripeSandbox, gateway: StripeGateway, db: None, at: datetime, first: Kind,
    second: Kind, pause: timedelta,
) -> None:  # fmt: skip
    for call in range(CALLS):
        control.reset(sandbox.api)
        invoice = cases.make_invoice(at=at)
        sandbox.api.faults.add(Fault(first, after=call))
        sandbox.api.faults.add(Fault(second, after=call + 1))
        push_invoice(invoice=invoice, gateway=gateway, at=at)
        pushed_in_the_end(sandbox, gateway, invoice, at, pause)


def crash_at_write(number: int) -> Callable[..., Any]:
    """Return a wrapper that kills the process instead of its `number`-th write."""
    left = number

    def execute(run: Callable[..., Any], sql: str, *rest: Any) -> Any:
        nonlocal left
        if sql.startswith(("INSERT", "UPDATE")):
            left -= 1
            if left < 0:
                raise CrashError
        return run(sql, *rest)

    return execute


@pytest.mark.parametrize("pause", [AT_ONCE, NEXT_DAY], ids=["at-once", "next-day"])
def test_s3_a_process_killed_at_any_write_leaves_one_invoice(
    sandbox: StripeSandbox, gateway: StripeGateway, db: None, at: datetime, pause: timedelta
) -> None:
    for write in range(WRITES):
        control.reset(sandbox.api)
        invoice = cases.make_invoice(at=at)
        with connection.execute_wrapper(crash_at_write(write)):
            try:
                push_invoice(invoice=invoice, gateway=gateway, at=at)
            except CrashError:
                pass
            else:
                break
        pushed_in_the_end(sandbox, gateway, invoice, at, pause)
    assert CALLS < write < WRITES - 1


def crash_at_call(gateway: StripeGateway, number: int, *, is_answered: bool) -> Callable[..., Any]:
    """Return a `call` that kills the process right before or after its `number`-th request."""
    left, call = number, gateway.call

    def crashing[T](request: Callable[[], T]) -> T:
        nonlocal left
        left -= 1
        if left >= 0:
            return call(request)
        if is_answered:
            call(request)
        raise CrashError

    return crashing


@pytest.mark.parametrize("is_answered", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("pause", [AT_ONCE, NEXT_DAY], ids=["at-once", "next-day"])
def test_s3_a_process_killed_at_any_call_leaves_one_invoice(
    sandbox: StripeSandbox, gateway: StripeGateway, db: None, at: datetime, pause: timedelta,
    monkeypatch: pytest.MonkeyPatch, is_answered: bool,
) -> None:  # fmt: skip
    for call in range(CALLS):
        control.reset(sandbox.api)
        invoice = cases.make_invoice(at=at)
        with monkeypatch.context() as patch:
            patch.setattr(gateway, "call", crash_at_call(gateway, call, is_answered=is_answered))
            with pytest.raises(CrashError):
                push_invoice(invoice=invoice, gateway=gateway, at=at)
        pushed_in_the_end(sandbox, gateway, invoice, at, pause)
