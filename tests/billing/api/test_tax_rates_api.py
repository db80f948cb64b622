"""Tax rates over HTTP, and what they make of customers' documents."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from rest_framework.test import APIClient

from billing.models import Invoice
from customers.models import Customer, TaxRate
from tests import factories
from tests.billing.figures.outsider import Outsider

pytestmark = pytest.mark.django_db

VAT = {"key": "vat20", "name": "VAT", "percent": "20"}
FEE = {"key": "base", "name": "Base fee", "model": "flat", "amount": "10", "timing": "advance"}
type Api = Callable[[str], APIClient]


@pytest.fixture
def outsider(operator: APIClient) -> Outsider:
    return Outsider(operator)


def billed(outsider: Outsider, fee: str = "10", **customer: Any) -> dict[str, Any]:
    """Bill a customer a fee in advance for a whole month and return its invoice."""
    outsider.plan(FEE | {"amount": fee}, currency=customer.get("currency", "USD"))
    outsider.customer(**customer)
    outsider.subscribe("2026-03-01T00:00:00Z")
    outsider.night("2026-03-01T01:00:00Z")
    [invoice] = outsider.invoices()
    return invoice


def test_a_part_of_a_month_is_taxed_on_its_part_of_the_fee(outsider: Outsider) -> None:
    outsider.post("tax-rates", **VAT)
    outsider.plan(FEE)
    outsider.customer(tax_rates=["vat20"])
    outsider.subscribe("2026-12-27T00:00:00Z")
    outsider.night("2026-12-27T01:00:00Z")
    [invoice] = outsider.invoices()
    sums = [invoice[name] for name in ("subtotal", "tax", "total", "amount_due", "status")]
    assert sums == ["1.61", "0.32", "1.93", "1.93", "open"]
    [tax] = invoice["taxes"]
    shown = {"key": "vat20", "name": "VAT", "percent": "20", "base": "1.61", "amount": "0.32"}
    assert tax == shown


def test_rates_add_and_each_is_rounded_once(outsider: Outsider) -> None:
    for key, percent in (("state", "8.25"), ("city", "0.5")):
        outsider.post("tax-rates", key=key, name=key, percent=percent)
    invoice = billed(outsider, fee="70.06", tax_rates=["state", "city"])
    amounts = {tax["key"]: (tax["percent"], tax["amount"]) for tax in invoice["taxes"]}
    assert amounts == {"state": ("8.25", "5.78"), "city": ("0.5", "0.35")}
    assert (invoice["tax"], invoice["total"]) == ("6.13", "76.19")


@pytest.mark.parametrize(
    ("currency", "fee", "tax"), [("JPY", "1003", "201"), ("KWD", "1.003", "0.201")]
)
def test_tax_has_the_places_of_the_currency(
    outsider: Outsider, currency: str, fee: str, tax: str
) -> None:
    outsider.post("tax-rates", **VAT)
    invoice = billed(outsider, fee=fee, currency=currency, tax_rates=["vat20"])
    assert invoice["tax"] == tax


@pytest.mark.parametrize(
    ("status", "words"), [("exempt", "exempt"), ("reverse_charge", "Article 196")]
)
def test_without_tax_the_invoice_says_why(outsider: Outsider, status: str, words: str) -> None:
    outsider.post("tax-rates", **VAT)
    invoice = billed(
        outsider,
        tax_rates=["vat20"],
        tax_status=status,
        tax_id="DE 136 695 976",
        country="DE",
    )
    assert (invoice["tax"], invoice["total"], invoice["taxes"]) == ("0.00", "10.00", [])
    assert words in invoice["tax_note"]
    buyer = Invoice.objects.get().buyer
    assert (buyer["tax_id"], buyer["tax_status"]) == ("DE136695976", status)


def test_the_preview_is_taxed_like_the_invoice_to_come(
    outsider: Outsider, operator: APIClient
) -> None:
    outsider.post("tax-rates", **VAT)
    outsider.plan(FEE | {"timing": "arrears"})
    outsider.customer(tax_rates=["vat20"])
    outsider.subscribe("2026-03-01T00:00:00Z")
    preview = operator.get("/api/v1/invoices/preview?customer=acme").json()
    assert (preview["subtotal"], preview["tax"], preview["total"]) == ("10.00", "2.00", "12.00")
    assert [tax["base"] for tax in preview["taxes"]] == ["10.00"]


def test_a_draft_follows_the_rates_and_an_issued_invoice_keeps_them(
    outsider: Outsider, operator: APIClient
) -> None:
    outsider.post("tax-rates", **VAT)
    outsider.post("tax-rates", **VAT | {"key": "vat21", "percent": "21"})
    first = billed(outsider, tax_rates=["vat20"])
    changed = operator.patch("/api/v1/customers/acme", {"tax_rates": ["vat21"]}, format="json")
    assert changed.json()["tax_rates"] == ["vat21"]
    outsider.night("2026-04-02T01:00:00Z")
    taxes = [[(tax["key"], tax["amount"]) for tax in each["taxes"]] for each in outsider.invoices()]
    assert taxes == [[("vat20", "2.00")], [("vat21", "2.10")]]
    assert outsider.invoices()[0] == first


def test_a_draft_made_by_hand_is_taxed_as_the_customer_is_when_it_is_issued(
    outsider: Outsider, operator: APIClient
) -> None:
    outsider.post("tax-rates", **VAT)
    outsider.customer(tax_rates=["vat20"])
    lines = [{"description": "Training", "unit_amount": "9.99", "quantity": "3"}]
    draft = outsider.post("invoices", customer="acme", lines=lines)
    assert (draft["status"], draft["tax"]) == ("draft", "5.99")
    now = {"tax_status": "reverse_charge", "tax_id": "DE136695976", "country": "DE"}
    operator.patch("/api/v1/customers/acme", now, format="json")
    issued = outsider.post(f"invoices/{draft['id']}/finalize")
    assert (issued["tax"], issued["total"], issued["taxes"]) == ("0.00", "29.97", [])
    assert "Reverse charge" in issued["tax_note"]


def test_the_tax_on_an_issued_invoice_is_frozen(outsider: Outsider) -> None:
    outsider.post("tax-rates", **VAT)
    billed(outsider, tax_rates=["vat20"])
    for change in ("taxes = '[]'", "tax_note = 'None is due.'"):
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"UPDATE billing_invoice SET {change}")  # noqa: S608


def test_what_is_taken_back_is_taken_back_with_its_tax(
    outsider: Outsider, operator: APIClient
) -> None:
    """The credit note has the rates of the invoice, whatever the customer's are by now."""
    outsider.post("tax-rates", **VAT)
    invoice = billed(outsider, fee="31", tax_rates=["vat20"])
    operator.patch("/api/v1/customers/acme", {"tax_rates": []}, format="json")
    subscription = invoice["lines"][0]["subscription"]
    outsider.post(f"subscriptions/{subscription}/cancel", at="2026-03-11T00:00:00Z")
    outsider.night("2026-03-11T01:00:00Z")
    note = Customer.objects.get().credit_notes.get()
    assert (str(note.subtotal), str(note.tax), str(note.total)) == ("21.00", "4.20", "25.20")
    assert note.taxes == [invoice["taxes"][0] | note.taxes[0]]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"percent": "-1"}, "percent"),
        ({"percent": "100.1"}, "percent"),
        ({"percent": "NaN"}, "percent"),
        ({"percent": "1.12345"}, "percent"),
        ({"percent": None}, "percent"),
        ({"key": "no spaces"}, "key"),
        ({"name": ""}, "name"),
        ({"country": "XX"}, "country"),
        ({"inclusive": True}, "inclusive"),
    ],
)
def test_a_wrong_field_of_a_rate_is_named(
    operator: APIClient, wrong: dict[str, Any], field: str
) -> None:
    response = operator.post("/api/v1/tax-rates", VAT | wrong, format="json")
    assert response.status_code == 422
    assert field in response.json()["error"]["details"]
    assert not TaxRate.objects.exists()


def test_a_rate_is_read_back_and_only_its_percent_stays(operator: APIClient) -> None:
    made = operator.post("/api/v1/tax-rates", VAT | {"country": "FR"}, format="json").json()
    assert (made["percent"], made["country"], made["is_active"]) == ("20", "FR", True)
    path = "/api/v1/tax-rates/vat20"
    renamed = operator.patch(path, {"name": "TVA", "percent": "20.0"}, format="json")
    assert renamed.json() == made | {"name": "TVA"}
    refused = operator.patch(path, {"percent": "21"}, format="json")
    assert (refused.status_code, "percent" in refused.json()["error"]["details"]) == (422, True)
    again = operator.post("/api/v1/tax-rates", VAT, format="json")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "already_exists")


def test_a_rate_out_of_use_stays_with_those_who_have_it(operator: APIClient) -> None:
    rate = factories.make_tax_rate("old")
    acme = factories.make_customer("acme", tax_rates=[rate])
    operator.patch("/api/v1/tax-rates/old", {"is_active": False}, format="json")
    body = {"key": "globex", "name": "Globex", "tax_rates": ["old"]}
    refused = operator.post("/api/v1/customers", body, format="json")
    kept = operator.patch(f"/api/v1/customers/{acme.key}", {"tax_rates": ["old"]}, format="json")
    assert (refused.status_code, kept.status_code) == (422, 200)
    assert not Customer.objects.filter(key="globex").exists()


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"tax_rates": ["nowhere"]}, "tax_rates"),
        ({"tax_rates": "vat20"}, "tax_rates"),
        ({"tax_rates": {}}, "tax_rates"),
        ({"tax_status": "free"}, "tax_status"),
        ({"tax_status": "reverse_charge"}, "tax_id"),
        ({"tax_id": "DE136695977", "country": "DE"}, "tax_id"),
        ({"tax_id": "12", "country": "US"}, "tax_id"),
    ],
)
def test_a_customer_is_not_taxed_by_guess(
    operator: APIClient, fields: dict[str, Any], wrong: str
) -> None:
    body = {"key": "acme", "name": "Acme"} | fields
    response = operator.post("/api/v1/customers", body, format="json")
    assert response.status_code == 422
    assert wrong in response.json()["error"]["details"]


def test_reverse_charge_cannot_lose_its_tax_id(operator: APIClient) -> None:
    factories.make_customer("acme", tax_status="reverse_charge", tax_id="FR40303265045")
    refused = operator.patch("/api/v1/customers/acme", {"tax_id": ""}, format="json")
    assert (refused.status_code, list(refused.json()["error"]["details"])) == (422, ["tax_id"])


def test_customers_see_their_own_rates(api: Api, acme: Customer) -> None:
    acme.tax_rates.add(factories.make_tax_rate("vat20"))
    factories.make_tax_rate("vat25")
    answer = api(factories.make_key(acme).secret).get("/api/v1/tax-rates").json()
    assert [rate["key"] for rate in answer["results"]] == ["vat20"]


@pytest.mark.parametrize(
    "statement", ["UPDATE customers_taxrate SET percent = 1", "DELETE FROM customers_taxrate"]
)
def test_no_rate_changes_at_the_database_prompt(statement: str) -> None:
    factories.make_tax_rate()
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
