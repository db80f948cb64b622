"""What was given back by hand, and the nights that look at usage again afterwards (I5)."""

from decimal import Decimal

import pytest
from django.db import DatabaseError, connection, transaction
from rest_framework.test import APIClient

from billing.models import CreditGrant, CreditNote, CreditNoteLine, Invoice, Subscription
from billing.services.proving import prove_document
from tests.billing.figures.outsider import Outsider
from tests.metering.history.corrected import void

pytestmark = pytest.mark.django_db
EACH = {"key": "calls", "name": "Calls", "meter": "calls", "model": "per_unit", "unit_amount": "2"}


@pytest.fixture
def outsider(operator: APIClient) -> Outsider:
    """Return somebody with a customer whose ten calls of January are billed at 2 each."""
    made = Outsider(operator)
    made.meter()
    made.plan(EACH)
    made.customer()
    made.subscribe("2026-01-01T00:00:00Z")
    made.use("2026-01-10T00:00:00Z", 10)
    made.night("2026-02-03T00:00:00Z")
    return made


def take_back(number: int) -> None:
    """Void so many of the calls that still count."""
    invoice = Invoice.objects.earliest("pk")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT event_id FROM metering_event WHERE customer_id = %s AND"
            " voided_batch_id IS NULL ORDER BY event_id LIMIT %s",
            [invoice.customer_id, number],
        )
        ids = [event_id for (event_id,) in cursor.fetchall()]
    for event_id in ids:
        void(invoice.customer, event_id)


def notes() -> list[tuple[str, str]]:
    found = CreditNote.objects.select_related("invoice").order_by("pk")
    return [(str(note.invoice), str(note.total)) for note in found]


def prove_all() -> None:
    for document in [*Invoice.objects.issued(), *CreditNote.objects.issued()]:
        assert prove_document(number=str(document.number)).differences == []


def test_the_next_night_bills_nothing_of_what_was_credited_as_goodwill(outsider: Outsider) -> None:
    outsider.post("credit-notes", invoice="INV-000001")
    outsider.use("2026-02-10T00:00:00Z", 1)
    outsider.night("2026-03-03T00:00:00Z")
    assert outsider.lines() == ["20.00", "2.00"]
    assert notes() == [("INV-000001", "20.00")]
    assert not CreditNoteLine.objects.exclude(billing_period=None).exists()


def test_usage_corrected_after_goodwill_gives_back_no_more_than_was_billed(
    outsider: Outsider,
) -> None:
    outsider.post("credit-notes", invoice="INV-000001", amount="15.00")
    take_back(5)
    outsider.night("2026-03-03T00:00:00Z")
    assert notes() == [("INV-000001", "15.00"), ("INV-000001", "5.00")]
    assert [str(line.amount) for line in CreditNote.objects.latest("pk").lines.all()] == [
        "10.00",
        "-5.00",
    ]
    outsider.night("2026-04-03T00:00:00Z")
    assert len(notes()) == 2
    prove_all()


def test_what_two_invoices_billed_is_given_back_on_both(outsider: Outsider) -> None:
    outsider.use("2026-01-11T00:00:00Z", 1)
    outsider.night("2026-03-03T00:00:00Z")
    assert outsider.totals() == ["20.00", "2.00"]
    take_back(6)
    outsider.night("2026-04-03T00:00:00Z")
    assert notes() == [("INV-000002", "2.00"), ("INV-000001", "10.00")]
    assert [each["amount_due"] for each in outsider.invoices()] == ["10.00", "0.00"]
    outsider.night("2026-05-03T00:00:00Z")
    assert len(notes()) == 2
    prove_all()


def test_an_invoice_that_is_void_corrected_and_billed_again_asks_for_what_was_used(
    outsider: Outsider, operator: APIClient
) -> None:
    """The correction moves no money, and does not count any more once all is billed again."""
    [number] = [each["number"] for each in outsider.invoices()]
    [subscription] = Subscription.objects.all()
    outsider.post(f"subscriptions/{subscription.pk}/cancel", at="2026-02-01T00:00:00Z")
    outsider.post(f"invoices/{number}/void")
    take_back(3)
    outsider.night("2026-02-04T00:00:00Z")
    outsider.post(f"invoices/{number}/reissue")
    outsider.night("2026-02-05T00:00:00Z")
    again = Invoice.objects.latest("pk")
    notes = [str(note) for note in CreditNote.objects.all()]
    assert (str(again.total), notes) == ("14.00", ["CN-000001"])
    assert prove_document(number=str(again)).differences == []
    assert prove_document(number="CN-000001").differences == []


def test_what_a_correction_takes_off_a_paid_invoice_pays_the_next_one(outsider: Outsider) -> None:
    Invoice.objects.update(status="paid", amount_paid=Decimal(20))
    take_back(5)
    outsider.night("2026-03-03T00:00:00Z")
    assert (notes(), str(CreditGrant.objects.get().amount)) == ([("INV-000001", "10.00")], "10.00")
    outsider.use("2026-03-10T00:00:00Z", 7)
    outsider.night("2026-04-03T00:00:00Z")
    last = outsider.invoices()[-1]
    assert (last["subtotal"], last["credits"], last["total"]) == ("14.00", "10.00", "4.00")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE billing_creditnote SET memo = 'x'",
        "UPDATE billing_creditnote SET granted = 1",
        "DELETE FROM billing_creditnote",
        "UPDATE billing_creditnoteline SET amount = 1",
        "DELETE FROM billing_creditnoteline",
    ],
)
def test_the_database_refuses_to_change_it(outsider: Outsider, change: str) -> None:
    outsider.post("credit-notes", invoice="INV-000001")
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(change)
