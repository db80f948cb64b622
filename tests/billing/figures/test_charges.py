"""Charges that wait for the next invoice, driven from outside."""

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from billing.models import Invoice
from billing.services.invoicing import reissue_invoice
from tests.billing.figures.outsider import Outsider
from tests.billing.figures.test_outside_figures import flat
from tests.billing.usage import instant

pytestmark = pytest.mark.django_db
type Clock = Callable[[str], None]


@pytest.fixture
def outsider(operator: APIClient) -> Outsider:
    made = Outsider(operator)
    made.customer()
    made.plan(flat("10"))
    return made


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Set what time it is."""

    def set_to(at: str) -> None:
        monkeypatch.setattr("django.utils.timezone.now", lambda: instant(at))

    return set_to


def charge(outsider: Outsider, price: str = "99.95", **fields: Any) -> Any:
    return outsider.post(
        "charges", customer="acme", description="Training", unit_amount=price, **fields
    )


def lines(outsider: Outsider) -> list[list[tuple[str, str]]]:
    return [
        [(line["kind"], line["amount"]) for line in each["lines"]] for each in outsider.invoices()
    ]


def test_a_charge_is_on_the_next_invoice_and_on_no_other(outsider: Outsider, clock: Clock) -> None:
    outsider.subscribe("2026-01-01T00:00:00Z")
    clock("2026-01-20")
    made = charge(outsider, quantity="1.5")
    assert (made["amount"], made["status"], made["invoice"]) == ("149.93", "waiting", None)
    assert (made["quantity"], made["unit_amount"]) == ("1.5", "99.95")
    assert outsider.client.get("/api/v1/invoices/preview?customer=acme").json()["total"] == "159.93"
    for night in ("2026-02-01T00:00:00Z", "2026-02-02T00:00:00Z", "2026-03-02T00:00:00Z"):
        outsider.night(night)
    assert lines(outsider) == [[("fee", "10.00"), ("one_off", "149.93")], [("fee", "10.00")]]
    shown = outsider.client.get(f"/api/v1/charges/{made['id']}").json()
    assert (shown["status"], shown["invoice"]["number"]) == ("billed", "INV-000001")
    refused = outsider.client.post(f"/api/v1/charges/{made['id']}/cancel")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "not_waiting")


@pytest.mark.parametrize(
    "nights",
    [("2026-02-02T00:00:00Z", "2026-02-03T00:00:00Z", "2026-03-02T00:00:00Z"), ("2026-03-02",)],
)
def test_nights_that_were_missed_make_no_difference_to_which_invoice_it_is(
    outsider: Outsider, clock: Clock, nights: tuple[str, ...]
) -> None:
    """The grace of January is over on 2 February at 00:00; what is asked for later is February's."""
    outsider.meter()
    usage = {"key": "calls", "meter": "calls", "model": "per_unit", "unit_amount": "1"}
    outsider.plan(flat("10"), usage, key="metered")
    outsider.subscribe("2026-01-01T00:00:00Z", "metered")
    for at, price in (("2026-02-01T12:00", "1"), ("2026-02-02T12:00", "2")):
        clock(at)
        charge(outsider, price)
    for night in nights:
        outsider.night(night.removesuffix("T00:00:00Z") + "T00:00:00Z")
    assert outsider.totals() == ["11.00", "12.00"]


def test_a_charge_has_an_invoice_of_its_own_where_none_will_come(
    outsider: Outsider, clock: Clock
) -> None:
    clock("2026-01-20")
    charge(outsider)
    charge(outsider, "0.05")
    outsider.night("2026-01-21T00:00:00Z")
    outsider.night("2026-01-22T00:00:00Z")
    [invoice] = outsider.invoices()
    assert (invoice["total"], invoice["status"], invoice["billing_reason"]) == (
        "100.00",
        "open",
        "manual",
    )
    assert invoice["period_start"] == invoice["period_end"]


def test_a_paused_subscription_is_no_reason_to_wait(outsider: Outsider, clock: Clock) -> None:
    subscription = outsider.subscribe("2026-01-01T00:00:00Z")
    outsider.post(f"subscriptions/{subscription}/pause", at="2026-01-11T00:00:00Z")
    clock("2026-01-20")
    charge(outsider)
    outsider.night("2026-01-21T00:00:00Z")
    assert lines(outsider) == []
    outsider.night("2026-02-02T00:00:00Z")
    clock("2026-02-10")
    charge(outsider, "5")
    outsider.night("2026-02-11T00:00:00Z")
    assert lines(outsider) == [[("fee", "3.23"), ("one_off", "99.95")], [("one_off", "5.00")]]


def test_a_charge_leaves_its_draft_when_it_is_canceled(outsider: Outsider, clock: Clock) -> None:
    outsider.subscribe("2026-01-01T00:00:00Z")
    outsider.night("2026-02-01T12:00:00Z")
    clock("2026-02-01T13:00")
    made = charge(outsider)
    assert (outsider.totals(), made["invoice"]["status"]) == (["109.95"], "draft")
    assert outsider.post(f"charges/{made['id']}/cancel")["status"] == "canceled"
    outsider.night("2026-02-03T00:00:00Z")
    assert outsider.totals() == ["10.00"]


def test_a_void_invoice_waives_its_charges_until_it_is_reissued(
    outsider: Outsider, clock: Clock
) -> None:
    outsider.subscribe("2026-01-01T00:00:00Z")
    clock("2026-01-20")
    charge(outsider)
    outsider.night("2026-02-03T00:00:00Z")
    outsider.post("invoices/INV-000001/void")
    outsider.night("2026-03-03T00:00:00Z")
    reissue_invoice(invoice=Invoice.objects.get(number="INV-000001"), at=instant("2026-03-04"))
    outsider.night("2026-03-05T00:00:00Z")
    assert outsider.totals() == ["109.95", "10.00", "109.95"]


@pytest.mark.parametrize("price", ["0", "-1", "0.004"])
def test_a_charge_of_nothing_or_less_is_refused(outsider: Outsider, price: str) -> None:
    body = {"customer": "acme", "description": "Training", "unit_amount": price}
    answer = outsider.client.post("/api/v1/charges", body, format="json")
    assert answer.status_code == 422, answer.json()
