"""A night that ends at any of its statements, and is run again, leaves the same documents."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction

from billing.models import CreditNote, Invoice, InvoiceLine
from billing.services.nightly import run_nightly
from billing.services.subscriptions import change_subscription
from customers.models import Customer
from tests import factories
from tests.billing.killing import abandoned_cursors as abandoned_cursors
from tests.billing.killing import ending_at, kills
from tests.billing.plans import CALLS, FEE, publish_plan, subscribe
from tests.billing.usage import instant, report_calls

pytestmark = [pytest.mark.django_db, *kills]
AT = instant("2026-02-02")
# Every statement would take minutes; a step that shares no factor with batches meets them all.
STRIDE = 7


class Undone(Exception):  # noqa: N818  # Rolls a trial back.
    pass


def documents() -> list[Any]:
    """Return what all documents say."""
    lines = InvoiceLine.objects.order_by("invoice__number", "position")
    return [
        *Invoice.objects.order_by("number").values_list("number", "total", "status", "digest"),
        *lines.values_list("invoice__number", "price", "kind", "amount", "quantity", "part"),
        *CreditNote.objects.order_by("number").values_list("number", "total"),
    ]


def rolled_back(work: Callable[[], list[Any]]) -> list[Any]:
    """Do the work, return what it gives, and leave the database as it was."""
    found: list[Any] = []
    try:
        with transaction.atomic():
            found = work()
            raise Undone
    except Undone:
        return found


@pytest.fixture
def company() -> None:
    """Let three customers owe something: usage, an upgrade within the month, a fee given back."""
    advance = FEE | {"timing": "advance"}
    pro = publish_plan(advance, CALLS)
    lite = publish_plan(advance | {"amount": "3.10"}, CALLS, key="lite")
    for number, customer in enumerate(map(factories.make_customer, ("a", "b", "c"))):
        subscription = subscribe(customer, "2026-01-01", pro)
        report_calls(customer, "2026-01-10", 5 + number)
        if number:
            change_subscription(
                subscription=subscription,
                at=AT,
                plan=lite.plan,
                effective_at=instant(f"2026-01-{10 * number}"),
            )
    assert Customer.objects.count() == 3


def die_and_run_again(number: int) -> list[Any]:
    with ending_at(number):
        run_nightly(at=AT)
    run_nightly(at=AT)
    return documents()


@pytest.mark.usefixtures("company")
def test_a_night_killed_at_any_statement_is_made_good_by_the_next() -> None:
    statements = 0

    def count_them(execute: Any, *arguments: Any) -> Any:
        nonlocal statements
        statements += 1
        return execute(*arguments)

    def whole_night() -> list[Any]:
        with connection.execute_wrapper(count_them):
            run_nightly(at=AT)
        return documents()

    expected = rolled_back(whole_night)
    assert len(expected) > 10
    for number in range(0, statements, STRIDE):
        assert rolled_back(lambda number=number: die_and_run_again(number)) == expected  # type: ignore[misc]
