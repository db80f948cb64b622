"""Somebody is in the Dashboard while a push is under way: after one of its calls they act.

What they make of the invoice is followed if it is right, and otherwise left to a person; never are
there two. The push is taken up once more, and both sides are compared.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from billing.gateways.stripe import StripeGateway
from billing.models import Invoice, StripePush
from billing.sandbox import actions
from billing.sandbox.server import StripeSandbox
from billing.services.stripe_push import push_invoice
from billing.services.stripe_reconcile import reconcile_stripe
from tests.billing.stripe import cases

# What a push asks for, in this order; without an id stored it would look for one.
CALLS = (
    "make customer", "make draft", "read", "list lines", "add lines", "read again", "list again",
    "finalize", "read what is final", "mail",
)  # fmt: skip

type Deed = Callable[[StripeSandbox, StripeGateway, str], object]


def key(there: str) -> str:
    return f"tests:by-hand:{there}"


def by_hand(there: str) -> Any:
    return {"idempotency_key": key(there)}


def finalize(sandbox: StripeSandbox, gateway: StripeGateway, there: str) -> None:
    gateway.finalize_invoice(there, key=key(there))


def finalize_with_another_line(sandbox: StripeSandbox, gateway: StripeGateway, there: str) -> None:
    (first, *_) = cases.records(sandbox, "line_item")
    actions.take_line_off(sandbox.account, there, first["id"])
    line: Any = {"lines": [{"amount": first["amount"], "description": "By hand"}]}
    gateway.api.invoices.add_lines(there, line, by_hand(there))
    gateway.finalize_invoice(there, key=f"{key(there)}:2")


def void(sandbox: StripeSandbox, gateway: StripeGateway, there: str) -> None:
    gateway.void_invoice(there, key=key(there))


def give_up(sandbox: StripeSandbox, gateway: StripeGateway, there: str) -> None:
    gateway.mark_uncollectible(there, key=key(there))


def pay(sandbox: StripeSandbox, gateway: StripeGateway, there: str) -> None:
    gateway.api.invoices.pay(there, {"payment_method": "pm_card_visa"}, by_hand(there))


def pay_elsewhere(sandbox: StripeSandbox, gateway: StripeGateway, there: str) -> None:
    gateway.mark_paid(there, key=key(there))


def take_the_metadata_off(sandbox: StripeSandbox, gateway: StripeGateway, there: str) -> None:
    gateway.api.invoices.update(there, {"metadata": {"env": "", "invoice": ""}}, by_hand(there))


def delete_the_customer(sandbox: StripeSandbox, gateway: StripeGateway, there: str) -> None:
    gateway.api.customers.delete(cases.records(sandbox, "customer")[0]["id"])


def put_a_debt_on_the_balance(sandbox: StripeSandbox, gateway: StripeGateway, there: str) -> None:
    customer = cases.records(sandbox, "customer")[0]["id"]
    gateway.api.customers.update(customer, {"balance": 700}, by_hand(customer))


def meddling(gateway: StripeGateway, after: int, deed: Callable[[], object]) -> Callable[..., Any]:
    """Return a `call` after whose `after`-th request somebody does something."""
    left, call = after, gateway.call

    def calling[T](request: Callable[[], T]) -> T:
        nonlocal left
        answer = call(request)
        left -= 1
        if left == -1:
            deed()
        return answer

    return calling


@pytest.mark.parametrize(
    ("after", "deed", "ours", "told"),
    [
        ("add lines", finalize, "open", ""),
        ("add lines", finalize_with_another_line, "open", "3 lines that are not the 3 of this"),
        ("list again", finalize_with_another_line, "open", "3 lines that are not the 3 of this"),
        ("add lines", pay, "paid", ""),
        ("list again", pay_elsewhere, "paid", ""),
        ("finalize", void, "void", ""),
        ("read what is final", void, "void", ""),
        ("read what is final", give_up, "uncollectible", ""),
        ("read", take_the_metadata_off, "open", ""),
        ("make customer", delete_the_customer, "open", "is not in this Stripe account"),
        ("add lines", delete_the_customer, "open", "is not in this Stripe account"),
        ("make draft", put_a_debt_on_the_balance, "open", "owes 7.00 USD on balance at Stripe"),
        ("list again", put_a_debt_on_the_balance, "open", "asks for 7.00 USD more than invoice"),
    ],
)  # fmt: skip
def test_what_somebody_does_during_a_push_is_followed_or_left_to_a_person(
    sandbox: StripeSandbox, gateway: StripeGateway, invoice: Invoice, at: datetime,
    monkeypatch: pytest.MonkeyPatch, after: str, deed: Deed, ours: str, told: str,
) -> None:  # fmt: skip
    def act() -> None:
        monkeypatch.undo()
        found = cases.records(sandbox, "invoice")
        deed(sandbox, gateway, found[0]["id"] if found else "")

    monkeypatch.setattr(gateway, "call", meddling(gateway, CALLS.index(after), act))
    push_invoice(invoice=invoice, gateway=gateway, at=at)
    push_invoice(invoice=invoice, gateway=gateway, at=at + timedelta(minutes=1))
    report = reconcile_stripe(gateway=gateway, at=at + timedelta(minutes=2))
    invoice.refresh_from_db()
    push = StripePush.objects.get()
    assert (invoice.status, told in push.attention) == (ours, True)
    assert report.is_clean == (not told)
    assert len(cases.records(sandbox, "invoice")) <= 1
    assert cases.events(sandbox)["invoice.sent"] <= 1
