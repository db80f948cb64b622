"""Issued invoices to push, and what is to be found at the sandbox afterwards."""

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from django.db import connection

from billing.gateways.stripe import StripeGateway
from billing.models import Invoice, InvoiceLine, StripeEvent, StripePush
from billing.sandbox.server import StripeSandbox
from billing.selectors.locks import only_one
from customers.models import Customer
from tests import factories

START = datetime(2026, 10, 1, tzinfo=UTC)
END = datetime(2026, 11, 1, tzinfo=UTC)
KEY = "sk_test_sandbox"

_numbers = count(1)


def gateway_to(sandbox: StripeSandbox, **options: Any) -> StripeGateway:
    """Return a gateway that shows every fault to the caller and waits for nothing."""
    settled: dict[str, Any] = {
        "secret_key": KEY,
        "network_retries": 0,
        "busy_waits_ms": (),
        "requests_per_second": 100_000,
    }
    return StripeGateway(environment="tests", api_base=sandbox.url, **settled | options)


def make_invoice(
    amounts: Sequence[str] = ("100.00", "200.50", "2.50"),
    *,
    customer: Customer | None = None,
    at: datetime,
    currency: str = "USD",
    totals: dict[str, str] | None = None,
    period: tuple[datetime, datetime] = (START, END),
    description: str = "",
    **fields: Any,
) -> Invoice:
    """Make an issued invoice with one line for each amount; `totals` has tax and the like."""
    customer = customer or factories.make_customer()
    plan = factories.make_plan(currency=currency)
    subscription = factories.make_subscription(customer, plan, START)
    invoice = Invoice.objects.create(
        customer=customer,
        subscription=subscription,
        currency=currency,
        period_start=period[0],
        period_end=period[1],
        finalize_at=period[1],
    )
    lines = [line(invoice, *item) for item in enumerate(amounts)]
    for made in lines:
        made.description = description or made.description
    InvoiceLine.objects.bulk_create(lines)
    invoice.subtotal = sum(map(Decimal, amounts), start=Decimal(0))
    for name, amount in (totals or {}).items():
        setattr(invoice, name, Decimal(amount))
    invoice.total = invoice.subtotal - invoice.discount + invoice.tax - invoice.credits
    issued = {"status": "open", "number": f"INV-{next(_numbers):06d}", "issued_at": at}
    for name, value in (issued | {"due_at": at + timedelta(days=14)} | fields).items():
        setattr(invoice, name, value)
    invoice.save()
    return invoice


def line(invoice: Invoice, position: int, amount: str) -> InvoiceLine:
    return InvoiceLine(
        invoice=invoice,
        position=position,
        kind=InvoiceLine.Kind.USAGE,
        price=f"price-{position}",
        description=f"Line {position}",
        quantity=Decimal(1),
        amount=Decimal(amount),
        period_start=invoice.period_start,
        period_end=invoice.period_end,
        document={},
    )


def received(at: datetime, **fields: Any) -> StripeEvent:
    """Return a stored event that nobody has handled."""
    made = {"event_id": "evt_1", "livemode": False, "type": "invoice.paid", "payload": {}}
    return StripeEvent.objects.create(**made | {"created_at": at, "received_at": at} | fields)


def records(sandbox: StripeSandbox, kind: str) -> list[dict[str, Any]]:
    return list(sandbox.account.store.table(kind).values())


def events(sandbox: StripeSandbox) -> Counter[str]:
    return Counter(event["type"] for event in records(sandbox, "event"))


def assert_one(sandbox: StripeSandbox, invoice: Invoice, *, status: str = "open") -> None:
    """Check that Stripe has exactly this invoice once, with each line once, and that it is ours."""
    assert len(records(sandbox, "customer")) == 1
    (found,) = records(sandbox, "invoice")
    push = StripePush.objects.get(invoice=invoice)
    assert (push.status, push.stripe_invoice_id) == ("completed", found["id"])
    assert (found["status"], found["number"]) == (status, invoice.number)
    assert Decimal(found["total"]).scaleb(-2) == invoice.total
    lines = Counter(item["metadata"]["line"] for item in records(sandbox, "line_item"))
    assert lines == Counter(str(pk) for pk in invoice.lines.values_list("pk", flat=True))


@contextmanager
def held_elsewhere(lock: int) -> Iterator[None]:
    """Hold an advisory lock in a connection of its own, as another process does."""

    def hold(taken: threading.Event, done: threading.Event) -> None:
        with only_one(lock):
            taken.set()
            done.wait()
        connection.close()

    taken, done = threading.Event(), threading.Event()
    holder = threading.Thread(target=hold, args=(taken, done))
    holder.start()
    taken.wait()
    try:
        yield
    finally:
        done.set()
        holder.join()
