"""Two that give the same invoice back at once: wrong without the lock, right with it."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from decimal import Decimal
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest
from django.db import connection, transaction

from billing.models import CreditNote, Invoice
from billing.selectors import credit_notes as selectors
from billing.services import crediting
from billing.services.crediting import CreditWish, create_credit_note
from billing.services.one_off import OneOffLine, create_one_off_invoice
from billing.services.payments import record_payment
from config.errors import DomainError
from customers.models import Customer
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)
# Long enough for the other to come, where nothing keeps it away; where a lock does, nobody comes.
MEETING_SECONDS = 30
VAIN_SECONDS = 1


@pytest.fixture
def paid(acme: Customer) -> Invoice:
    line = OneOffLine("Work", Decimal(100))
    invoice = create_one_off_invoice(customer=acme, lines=[line], at=factories.NOW, finalizes=True)
    record_payment(
        invoice=invoice,
        source="manual",
        external_id="cash",
        amount=invoice.total,
        paid_at=factories.NOW,
    )
    return invoice


@pytest.fixture
def meeting(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Let two that have read what is left wait for each other before they write."""
    barrier = Barrier(2)
    seconds = MEETING_SECONDS if "unguarded" in request.fixturenames else VAIN_SECONDS

    def read_and_wait(invoice: Invoice) -> Any:
        found = selectors.creditable(invoice)
        with suppress(BrokenBarrierError):
            barrier.wait(seconds)
        return found

    monkeypatch.setattr(crediting, "creditable", read_and_wait)


@pytest.fixture
def unguarded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the locks on the customer and on the invoice away."""

    def unlocked(ids: Sequence[int]) -> list[Customer]:
        return list(Customer.objects.filter(pk__in=ids))

    monkeypatch.setattr(crediting, "lock_customers", unlocked)
    monkeypatch.setattr(crediting, "lock_invoice", lambda pk: Invoice.objects.get(pk=pk))


def both(work: Callable[[], object]) -> list[object]:
    """Return what the work gives twice at once, or the refusal it ends with."""

    def begin(_: int) -> object:
        try:
            with transaction.atomic():
                return work()
        except DomainError as refusal:
            return refusal.code
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        return list(threads.map(begin, range(2)))


def given_back() -> Decimal:
    return sum((note.total for note in CreditNote.objects.all()), Decimal(0))


@pytest.mark.usefixtures("meeting", "unguarded")
def test_without_the_locks_more_is_given_back_than_was_billed(paid: Invoice) -> None:
    both(lambda: create_credit_note(wish=CreditWish(paid), at=factories.NOW))
    assert given_back() == 2 * paid.total


@pytest.mark.usefixtures("meeting")
def test_with_the_locks_the_second_finds_nothing_left(paid: Invoice) -> None:
    outcomes = both(lambda: create_credit_note(wish=CreditWish(paid), at=factories.NOW))
    assert "nothing_to_credit" in outcomes
    assert given_back() == paid.total
    assert list(CreditNote.objects.values_list("number", flat=True)) == ["CN-000001"]
