"""Invoicing from several connections at once, on real transactions."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from billing.models import BillingRun, Invoice, Subscription
from billing.selectors.locks import only_one
from billing.services.invoicing import finalize_invoice
from billing.services.nightly import run_nightly
from billing.services.nightly_batches import NIGHTLY_LOCK
from billing.services.subscriptions import create_subscription
from config.errors import DomainError
from customers.models import Customer
from tests import factories
from tests.billing.plans import FEE, drafts_until, publish_plan, subscribe
from tests.billing.usage import instant

pytestmark = pytest.mark.django_db(transaction=True)
FEBRUARY = instant("2026-02-01")


def at_once[T](*works: Callable[[], T]) -> list[T | DomainError]:
    """Return what each work gives, all begun at one time on connections of their own."""
    barrier = Barrier(len(works))

    def begin(work: Callable[[], T]) -> T | DomainError:
        try:
            barrier.wait(120)
            return work()
        except DomainError as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(works)) as threads:
        return list(threads.map(begin, works))


def january_drafts(customers: int) -> list[Invoice]:
    version = publish_plan(FEE)
    subscriptions = [
        subscribe(factories.make_customer(), "2026-01-01", version) for _ in range(customers)
    ]
    return [draft(subscription) for subscription in subscriptions]


def draft(subscription: Subscription) -> Invoice:
    [invoice] = drafts_until(subscription, "2026-02-01")
    return invoice


def finalizer(invoice: Invoice) -> Callable[[], str | None]:
    return lambda: finalize_invoice(invoice=invoice, at=FEBRUARY).number


def test_finalizers_at_once_get_numbers_without_gaps() -> None:
    numbers = at_once(*[finalizer(invoice) for invoice in january_drafts(4)])
    assert sorted(map(str, numbers)) == [f"INV-{number:06}" for number in range(1, 5)]


def test_a_finalization_that_is_rolled_back_leaves_no_gap() -> None:
    first, second = january_drafts(2)
    with transaction.atomic():
        finalize_invoice(invoice=first, at=FEBRUARY)
        transaction.set_rollback(True)
    first.refresh_from_db()
    assert (first.status, first.number) == ("draft", None)
    assert finalize_invoice(invoice=second, at=FEBRUARY).number == "INV-000001"


def test_one_draft_finalized_twice_at_once_is_issued_once() -> None:
    [invoice] = january_drafts(1)
    outcomes = at_once(finalizer(invoice), finalizer(invoice))
    refused = [outcome.code for outcome in outcomes if isinstance(outcome, DomainError)]
    assert ("INV-000001" in outcomes, refused) == (True, ["not_a_draft"])
    assert Invoice.objects.get().lines.count() == 1


def test_one_period_drafted_by_many_at_once_is_one_invoice() -> None:
    subscription = subscribe(factories.make_customer(), "2026-01-01", publish_plan(FEE))
    invoices = at_once(*[lambda: draft(subscription)] * 4)
    assert len({invoice.pk for invoice in invoices if isinstance(invoice, Invoice)}) == 1
    assert Invoice.objects.get().lines.count() == 1


def test_one_plan_asked_for_twice_at_once_is_had_once() -> None:
    customer, plan = factories.make_customer(), publish_plan(FEE).plan

    def subscribe_now() -> Subscription:
        return create_subscription(customer=customer, plan=plan, start_at=FEBRUARY)

    at_once(subscribe_now, subscribe_now)
    assert Subscription.objects.count() == 1


def test_a_second_nightly_run_leaves_with_a_sentence() -> None:
    def hold_and_run() -> BillingRun:
        return run_nightly(at=FEBRUARY)

    with only_one(NIGHTLY_LOCK) as is_mine:
        [refused] = at_once(hold_and_run)
    assert is_mine
    assert isinstance(refused, DomainError)
    assert (refused.code, BillingRun.objects.count()) == ("already_running", 0)


def test_the_command_says_that_another_run_is_under_way() -> None:
    def run_command() -> str:
        with pytest.raises(CommandError) as refused:
            call_command("nightly")
        return str(refused.value)

    with only_one(NIGHTLY_LOCK):
        [sentence] = at_once(run_command)
    assert sentence == "Another nightly run is under way: wait for its end."


def test_the_place_of_a_broken_connection_is_free_again() -> None:
    def take_and_break() -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [NIGHTLY_LOCK])
        return True

    at_once(take_and_break)
    assert run_nightly(at=FEBRUARY).status == "completed"


def test_nightly_against_an_operator_issues_each_invoice_once(acme: Customer) -> None:
    invoices = january_drafts(3)
    at_once(
        lambda: str(run_nightly(at=instant("2026-02-03")).status),
        *[lambda invoice=invoice: str(finalizer(invoice)()) for invoice in invoices],
    )
    numbers = Invoice.objects.order_by("number").values_list("number", flat=True)
    assert list(numbers) == [f"INV-{number:06}" for number in range(1, 4)]
