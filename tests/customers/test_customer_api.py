"""Customers over HTTP."""

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from customers.models import Customer
from tests import factories

CUSTOMERS = "/api/v1/customers"
GLOBEX = {
    "key": "globex",
    "name": "Globex",
    "email": "pay@globex.example",
    "currency": "EUR",
    "time_zone": "Europe/Paris",
    "locale": "fr",
}

type Api = Callable[[str], APIClient]


def post(client: APIClient, path: str, body: Any) -> Any:
    return client.post(path, body, format="json")


def test_a_customer_is_created_and_read_back_by_its_key(operator: APIClient) -> None:
    created = post(operator, CUSTOMERS, GLOBEX)
    read = operator.get(f"{CUSTOMERS}/globex").json()
    assert created.status_code == 201
    assert created.json() == read
    assert {name: read[name] for name in GLOBEX} == GLOBEX


def test_a_key_with_dots_and_colons_is_an_address(operator: APIClient) -> None:
    post(operator, CUSTOMERS, GLOBEX | {"key": "eu:globex.com"})
    assert operator.get(f"{CUSTOMERS}/eu:globex.com").json()["name"] == "Globex"


def test_details_change_and_the_key_does_not(operator: APIClient, acme: Customer) -> None:
    changed = operator.patch(f"{CUSTOMERS}/acme", {"locale": "de"}, format="json")
    refused = operator.patch(f"{CUSTOMERS}/acme", {"key": "acme2"}, format="json")
    acme.refresh_from_db()
    assert (changed.status_code, acme.locale) == (200, "de")
    assert (refused.status_code, acme.key) == (422, "acme")


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"key": "no spaces"}, "key"),
        ({"currency": "XXY"}, "currency"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"email": "nobody"}, "email"),
        ({"time_zome": "UTC"}, "time_zome"),
    ],
)
def test_a_wrong_field_is_named(operator: APIClient, wrong: dict[str, str], field: str) -> None:
    response = post(operator, CUSTOMERS, GLOBEX | wrong)
    assert response.status_code == 422
    assert field in response.json()["error"]["details"]
    assert not Customer.objects.exists()


def test_a_taken_key_is_a_conflict(operator: APIClient, acme: Customer) -> None:
    response = post(operator, CUSTOMERS, GLOBEX | {"key": "acme"})
    assert (response.status_code, response.json()["error"]["code"]) == (409, "already_exists")


def test_customers_read_themselves_alone_and_write_nothing(api: Api, acme: Customer) -> None:
    factories.make_customer("globex")
    client = api(factories.make_key(acme).secret)
    assert [row["key"] for row in client.get(CUSTOMERS).json()["results"]] == ["acme"]
    assert client.get(f"{CUSTOMERS}/globex").status_code == 404
    assert client.patch(f"{CUSTOMERS}/acme", {"name": "A"}, format="json").status_code == 403
    assert post(client, CUSTOMERS, GLOBEX).status_code == 403


def test_lists_go_on_where_the_page_ended(operator: APIClient) -> None:
    for number in range(3):
        factories.make_customer(f"c{number}")
    first = operator.get(f"{CUSTOMERS}?limit=2").json()
    second = operator.get(first["next"]).json()
    assert [row["key"] for row in first["results"] + second["results"]] == ["c2", "c1", "c0"]
    assert second["next"] is None


@pytest.mark.django_db
def test_without_a_key_nothing_is_shown(api: Api) -> None:
    response = api("").get(CUSTOMERS)
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Bearer"
