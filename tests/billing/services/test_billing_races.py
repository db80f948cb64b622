"""Races for a customer's documents: shown to go wrong without their guard, and right with it."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from decimal import Decimal
from threading import Barrier, BrokenBarrierError, current_thread, main_thread
from typing import Any

import pytest
from django.db import DatabaseError, connection

from billing.models import Invoice, InvoiceLine, Subscription
from billing.selectors import accounts
from billing.selectors.usage import UsageReader
from billing.services import drafting, invoicing, nightly
from billing.services.invoicing import bill_customers
from billing.services.nightly import run_nightly
from billing.services.subscriptions import change_subscription
from config.errors import DomainError
from customers.models import Customer
from tests import factories
from tests.billing.plans import CALLS, FEE, publish_plan, subscribe
from tests.billing.usage import instant, report_calls

pytestmark = pytest.mark.django_db(transaction=True)
FEBRUARY_2 = instant("2026-02-02")


def let_them_meet(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let two that work out documents wait for each other after they have read."""
    barrier = Barrier(2)
    read_accounts = accounts.read_accounts

    def read_and_wait(customers: Sequence[Customer], **options: Any) -> Any:
        found = read_accounts(customers, **options)
        if current_thread() is not main_thread():
            with suppress(BrokenBarrierError):
                barrier.wait(seconds)
        return found

    monkeypatch.setattr(drafting, "read_accounts", read_and_wait)


@pytest.fixture
def guarded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the first wait in vain for the second, which the lock keeps away."""
    let_them_meet(monkeypatch, seconds=1)


@pytest.fixture
def unguarded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the lock on customers away; the two meet for sure, however long it takes."""
    let_them_meet(monkeypatch, seconds=120)

    def unlocked(ids: Sequence[int]) -> list[Customer]:
        return list(Customer.objects.filter(pk__in=ids))

    monkeypatch.setattr(invoicing, "lock_customers", unlocked)


def together(*works: Callable[[], object]) -> list[object]:
    """Return what each work gives, or the error it ends with, on connections of their own."""

    def begin(work: Callable[[], object]) -> object:
        try:
            return work()
        except (DatabaseError, DomainError) as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(works)) as threads:
        return list(threads.map(begin, works))


def bill(subscription: Subscription) -> Callable[[], object]:
    return lambda: bill_customers(customer_ids=[subscription.customer_id], at=FEBRUARY_2)


@pytest.fixture
def subscription() -> Subscription:
    return subscribe(factories.make_customer("acme"), "2026-01-01", publish_plan(FEE))


@pytest.mark.usefixtures("unguarded")
def test_without_the_lock_two_runs_collide_in_the_database(subscription: Subscription) -> None:
    outcomes = together(bill(subscription), bill(subscription))
    # Which of two it says depends on who looks first: that periods overlap, or a deadlock.
    assert len([each for each in outcomes if isinstance(each, DatabaseError)]) == 1
    assert Invoice.objects.count() == 1


@pytest.mark.usefixtures("guarded")
def test_with_the_lock_the_second_run_finds_the_work_done(subscription: Subscription) -> None:
    outcomes = together(bill(subscription), bill(subscription))
    assert not [each for each in outcomes if isinstance(each, Exception)]
    assert [str(each.total) for each in Invoice.objects.all()] == ["31.00"]


def upgrade(subscription: Subscription) -> Callable[[], object]:
    plan = publish_plan(FEE | {"amount": "62"}, key="team").plan
    return lambda: change_subscription(
        subscription=subscription, at=FEBRUARY_2, plan=plan, effective_at=instant("2026-01-11")
    )


def january() -> Decimal:
    """Return what was billed of January in the end: 10.00 and 42.00 are right."""
    run_nightly(at=instant("2026-03-02"))
    lines = InvoiceLine.objects.filter(period_start__lt=instant("2026-02-01"))
    return sum((line.amount for line in lines), Decimal(0))


@pytest.mark.usefixtures("unguarded")
def test_without_the_lock_a_change_during_the_night_is_lost(subscription: Subscription) -> None:
    together(bill(subscription), upgrade(subscription))
    assert january() != Decimal("52.00")


@pytest.mark.usefixtures("guarded")
def test_with_the_lock_a_change_during_the_night_is_billed(subscription: Subscription) -> None:
    together(bill(subscription), upgrade(subscription))
    assert january() == Decimal("52.00")


@pytest.fixture
def late_call(acme_calls: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a call come in just after a run has read the usage that it issues."""
    read_together = UsageReader.read_together

    def read_then_report(self: UsageReader, wants: Any) -> None:
        read_together(self, wants)
        monkeypatch.setattr(UsageReader, "read_together", read_together)
        together(lambda: report_calls(acme_calls, "2026-01-20"))

    monkeypatch.setattr(UsageReader, "read_together", read_then_report)


@pytest.fixture
def acme_calls() -> Customer:
    customer = factories.make_customer("acme")
    subscribe(customer, "2026-01-01", publish_plan(CALLS))
    report_calls(customer, "2026-01-10", 2)
    return customer


@pytest.mark.usefixtures("late_call")
def test_what_comes_in_while_an_invoice_is_issued_is_on_the_next(acme_calls: Customer) -> None:
    run_nightly(at=FEBRUARY_2)
    issued = Invoice.objects.get()
    run_nightly(at=instant("2026-03-02"))
    adjustment = InvoiceLine.objects.get(kind="adjustment")
    assert (str(issued.total), issued.cutoff and issued.cutoff["highest"] > 0) == ("4.00", True)
    assert (str(adjustment.amount), adjustment.billed_quantity, adjustment.quantity) == (
        "2.00",
        2,
        3,
    )


@pytest.mark.usefixtures("late_call")
def test_without_the_look_at_changed_days_it_is_lost(
    acme_calls: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nightly, "mark_late_usage", lambda *, at: 0)
    run_nightly(at=FEBRUARY_2)
    run_nightly(at=instant("2026-03-02"))
    assert not InvoiceLine.objects.filter(kind="adjustment").exists()
