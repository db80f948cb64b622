"""Minimum commitments, driven from outside, with amounts checked by hand."""

import pytest
from django.core.management import call_command
from rest_framework.test import APIClient

from billing.models import CreditNote, Invoice, PlanVersion
from billing.selectors.price_lists import words_of
from billing.services.invoicing import reissue_invoice
from metering.models import Event
from tests.billing.figures.outsider import Outsider
from tests.billing.figures.test_outside_figures import CALLS, flat
from tests.billing.services.test_pdfs import read
from tests.billing.usage import instant

pytestmark = pytest.mark.django_db
EACH = CALLS | {"model": "per_unit", "unit_amount": "1"}
JANUARY = "2026-01-10T00:00:00Z"


@pytest.fixture
def outsider(operator: APIClient) -> Outsider:
    made = Outsider(operator)
    made.meter()
    made.customer()
    return made


def kinds(outsider: Outsider) -> list[list[tuple[str, str]]]:
    """Return the kinds and amounts of each document's lines."""
    return [
        [(line["kind"], line["amount"]) for line in each["lines"]] for each in outsider.invoices()
    ]


def prove_all(outsider: Outsider) -> None:
    numbers = [each["number"] for each in outsider.invoices() if each["number"]]
    notes = CreditNote.objects.values_list("number", flat=True)
    for number in [*numbers, *notes]:
        call_command("prove_invoice", number)


def test_what_a_period_is_short_of_its_minimum_is_billed_when_it_closes(
    outsider: Outsider,
) -> None:
    """Fees in advance count, the next period's do not."""
    outsider.plan(flat("10", timing="advance"), EACH, minimum_amount="100")
    outsider.subscribe("2026-01-01T00:00:00Z")
    outsider.use(JANUARY, 30)
    outsider.night("2026-02-02T00:00:00Z")
    assert kinds(outsider) == [
        [("fee", "10.00")],
        [("usage", "30.00"), ("minimum", "60.00"), ("fee", "10.00")],
    ]
    line = outsider.invoices()[1]["lines"][1]
    assert [step["amount"] for step in line["steps"]] == ["100", "-40.00"]
    assert line["description"] == (
        "Minimum, Jan 1\u2009\u2013\u200931, 2026: $100.00, of which fees and usage come to $40.00"
    )
    prove_all(outsider)


def test_usage_that_comes_late_costs_only_what_is_beyond_the_minimum(outsider: Outsider) -> None:
    outsider.plan(EACH, minimum_amount="100")
    outsider.subscribe("2026-01-01T00:00:00Z")
    outsider.use(JANUARY, 30)
    outsider.night("2026-02-02T00:00:00Z")
    outsider.use(JANUARY, 20)
    outsider.use("2026-02-10T00:00:00Z", 100)
    outsider.night("2026-03-02T00:00:00Z")
    outsider.use(JANUARY, 60)
    outsider.night("2026-04-02T00:00:00Z")
    assert kinds(outsider) == [
        [("usage", "30.00"), ("minimum", "70.00")],
        [("usage", "100.00"), ("adjustment", "20.00"), ("minimum", "-20.00")],
        [("usage", "0.00"), ("minimum", "100.00"), ("adjustment", "60.00"), ("minimum", "-50.00")],
    ]
    last = Invoice.objects.latest("pk")
    assert last.lines.latest("position").steps[-1]["description"] == "Already billed"
    pdf = " ".join(page.extract_text() for page in read(last).pages)
    assert "Already billed -$50.00" in pdf
    prove_all(outsider)


def test_usage_that_is_taken_back_leaves_the_minimum(outsider: Outsider) -> None:
    outsider.plan(EACH, minimum_amount="2")
    subscription = outsider.subscribe("2026-01-01T00:00:00Z")
    outsider.use(JANUARY, 3)
    outsider.post(f"subscriptions/{subscription}/cancel", at="2026-02-01T00:00:00Z")
    outsider.night("2026-02-02T00:00:00Z")
    for event in list(Event.objects.order_by("event_id"))[:2]:
        outsider.post(
            "corrections", customer="acme", event=event.event_id, action="void", reason="A test."
        )
    outsider.night("2026-02-03T00:00:00Z")
    notes = [str(note.total) for note in CreditNote.objects.all()]
    assert (kinds(outsider), notes) == ([[("usage", "3.00")], [("minimum", "1.00")]], ["2.00"])
    prove_all(outsider)


@pytest.mark.parametrize(
    ("proration", "amount"), [("day", "70.97"), ("second", "67.74"), ("none", "300.00")]
)
def test_a_minimum_is_prorated_as_the_flat_fee_is(
    outsider: Outsider, proration: str, amount: str
) -> None:
    """4 of 31 days at 100, 9 at 200 with the started last one; by seconds 3.5 and 8.75 days."""
    free = flat("0", proration=proration)
    outsider.plan(free, minimum_amount="100")
    outsider.plan(free, key="team", minimum_amount="200")
    subscription = outsider.subscribe("2026-01-07T12:00:00Z")
    outsider.change(subscription, "2026-01-11T00:00:00Z", plan="team")
    outsider.post(f"subscriptions/{subscription}/cancel", at="2026-01-19T18:00:00Z")
    outsider.night("2026-01-21T00:00:00Z")
    assert outsider.totals() == [amount]
    prove_all(outsider)


def test_a_void_invoice_waives_the_minimum_until_it_is_reissued(outsider: Outsider) -> None:
    outsider.plan(EACH, minimum_amount="100")
    subscription = outsider.subscribe("2026-01-01T00:00:00Z")
    outsider.use(JANUARY, 30)
    outsider.post(f"subscriptions/{subscription}/cancel", at="2026-02-01T00:00:00Z")
    outsider.night("2026-02-02T00:00:00Z")
    number = outsider.invoices()[0]["number"]
    outsider.post(f"invoices/{number}/void")
    outsider.use(JANUARY, 10)
    outsider.night("2026-02-03T00:00:00Z")
    assert kinds(outsider)[1:] == [[("adjustment", "10.00"), ("minimum", "-10.00")]]
    reissue_invoice(invoice=Invoice.objects.get(number=number), at=instant("2026-02-04"))
    outsider.night("2026-02-05T00:00:00Z")
    assert kinds(outsider)[2:] == [[("usage", "30.00"), ("minimum", "70.00")]]
    prove_all(outsider)


def test_previews_quotes_and_the_portal_say_the_minimum(outsider: Outsider) -> None:
    outsider.plan(EACH, minimum_amount="100")
    outsider.subscribe("2026-01-01T00:00:00Z")
    preview = outsider.client.get("/api/v1/invoices/preview?customer=acme").json()
    quote = outsider.post("quotes", currency="USD", prices=[EACH], minimum_amount="100")
    assert (preview["total"], quote["total"]) == ("100.00", "100.00")
    version = PlanVersion.objects.get()
    assert list(words_of(version))[-1] == (
        "Minimum",
        "at least $100.00 a period, fees and usage together",
    )
