"""Tax rates of countries, charged to whoever there has none of its own."""

from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from customers.models import Customer
from tests import factories
from tests.billing.figures.outsider import Outsider

pytestmark = pytest.mark.django_db

FEE = {"key": "base", "name": "Base fee", "model": "flat", "amount": "10", "timing": "advance"}
RATES: list[dict[str, Any]] = [
    {"key": "vat10", "name": "VAT", "percent": "10"},
    {"key": "fr20", "name": "TVA", "percent": "20", "country": "fr"},
    {"key": "fr5", "name": "TVA", "percent": "5.5", "country": "FR"},
    {"key": "gst", "name": "GST", "percent": "5", "country": "CA"},
    {"key": "qst", "name": "QST", "percent": "9.975", "country": "CA", "region": "QC"},
    {"key": "old", "name": "MwSt", "percent": "16", "country": "DE", "is_active": False},
    {"key": "de19", "name": "MwSt", "percent": "19", "country": "DE"},
]
# What a customer says of itself, whether `tax_rates` reads as null, and what it is charged.
CUSTOMERS: dict[str, tuple[dict[str, Any], bool, dict[str, str]]] = {
    "paris": ({"country": "FR"}, True, {"fr20": "2.00"}),
    "null": ({"country": "FR", "tax_rates": None}, True, {"fr20": "2.00"}),
    "none": ({"country": "FR", "tax_rates": []}, False, {}),
    "own": ({"country": "FR", "tax_rates": ["vat10"]}, False, {"vat10": "1.00"}),
    "exempt": ({"country": "FR", "tax_status": "exempt"}, True, {}),
    "reverse": (
        {"country": "DE", "tax_status": "reverse_charge", "tax_id": "DE136695976"}, True, {},
    ),
    "toronto": ({"country": "CA", "state": "ON"}, True, {"gst": "0.50"}),
    "montreal": ({"country": "CA", "state": "qc"}, True, {"gst": "0.50", "qst": "1.00"}),
    "berlin": ({"country": "DE"}, True, {"de19": "1.90"}),
    "tokyo": ({"country": "JP"}, True, {}),
    "nowhere": ({}, True, {}),
}  # fmt: skip


@pytest.fixture
def outsider(operator: APIClient) -> Outsider:
    outsider = Outsider(operator)
    for rate in RATES:
        outsider.post("tax-rates", **rate)
    return outsider


def test_customers_are_charged_the_rates_of_their_country_unless_they_have_their_own(
    outsider: Outsider, operator: APIClient
) -> None:
    outsider.plan(FEE)
    for key, (fields, is_null, charged) in CUSTOMERS.items():
        outsider.customer(key, **fields)
        outsider.subscribe("2026-03-01T00:00:00Z", customer=key)
        said = operator.get(f"/api/v1/customers/{key}").json()
        assert (said["tax_rates"] is None, said["charged_tax_rates"]) == (is_null, [*charged]), key
    outsider.night("2026-03-01T01:00:00Z")
    for key, (_, _, charged) in CUSTOMERS.items():
        [invoice] = outsider.invoices(key)
        preview = operator.get(f"/api/v1/invoices/preview?customer={key}").json()
        assert {tax["key"]: tax["amount"] for tax in invoice["taxes"]} == charged, key
        assert [tax["key"] for tax in preview["taxes"]] == [*charged], key


def test_a_batch_reads_the_rates_of_all_countries_at_once(
    operator: APIClient, outsider: Outsider, django_assert_num_queries: Any
) -> None:
    for key, (fields, _, _) in CUSTOMERS.items():
        outsider.customer(key, **fields)
    path = "/api/v1/customers"
    operator.get(path)
    with django_assert_num_queries(4):
        results = operator.get(path).json()["results"]
    charged = {each["key"]: each["charged_tax_rates"] for each in results}
    assert charged == {key: [*rates] for key, (_, _, rates) in CUSTOMERS.items()}


def test_who_is_taxed_by_country_is_said_and_unsaid(
    outsider: Outsider, operator: APIClient
) -> None:
    outsider.customer("acme", country="FR")
    path = "/api/v1/customers/acme"
    told = []
    changes: list[dict[str, Any]] = [
        {"tax_rates": []}, {"name": "A"}, {"tax_rates": None}, {"country": "de"}, {"country": ""},
    ]  # fmt: skip
    for change in changes:
        answer = operator.patch(path, change, format="json").json()
        told.append((answer["tax_rates"], answer["charged_tax_rates"]))
    assert told == [([], []), ([], []), (None, ["fr20"]), (None, ["de19"]), (None, [])]
    refused = operator.patch(path, {"country": "XX"}, format="json")
    assert (refused.status_code, [*refused.json()["error"]["details"]]) == (422, ["country"])


def test_the_first_rate_of_a_place_is_its_default(outsider: Outsider, operator: APIClient) -> None:
    rates = operator.get("/api/v1/tax-rates").json()["results"]
    defaults = {rate["key"] for rate in rates if rate["is_default"]}
    assert defaults == {"fr20", "gst", "qst", "old", "de19"}
    path = "/api/v1/tax-rates/vat10"
    for change in ({"is_default": True}, {"is_default": True, "country": "XX"}):
        refused = operator.patch(path, change, format="json")
        assert (refused.status_code, [*refused.json()["error"]["details"]]) == (422, ["country"])
    moved = operator.patch("/api/v1/tax-rates/fr20", {"is_default": False}, format="json")
    assert moved.json()["is_default"] is False
    made = outsider.post("tax-rates", key="fr21", name="TVA", percent="21", country="FR")
    assert made["is_default"] is True


def test_a_customer_sees_the_rates_of_its_country(outsider: Outsider) -> None:
    outsider.customer("acme", country="CA", state="QC")
    key = factories.make_key(Customer.objects.get()).secret
    own = APIClient(headers={"Authorization": f"Bearer {key}"})
    assert [each["key"] for each in own.get("/api/v1/tax-rates").json()["results"]] == [
        "qst",
        "gst",
    ]


def test_staff_see_what_a_customer_is_charged_and_why(
    outsider: Outsider, admin_client: Client
) -> None:
    words = {
        "paris": "TVA 20 % (fr20): by default in FR.",
        "own": "VAT 10 % (vat10): its own.",
        "none": "None: it has no tax rates and is not taxed by country.",
        "tokyo": "None: no tax rate is charged by default in JP.",
        "nowhere": "None: its address names no country.",
        "reverse": "None: reverse charge, as its invoices say.",
    }
    for key, sentence in words.items():
        outsider.customer(key, **CUSTOMERS[key][0])
        customer = Customer.objects.get(key=key)
        page = admin_client.get(f"/admin/customers/customer/{customer.pk}/change/")
        assert sentence in page.content.decode(), key
