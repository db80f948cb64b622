"""API keys over HTTP and from the command line."""

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from rest_framework.test import APIClient

from customers.models import ApiKey, Customer
from customers.principals import Scope
from tests import factories

KEYS = "/api/v1/api-keys"

type Api = Callable[[str], APIClient]


def test_the_secret_is_in_the_answer_that_makes_the_key_and_nowhere_else(
    operator: APIClient, acme: Customer
) -> None:
    created = operator.post(KEYS, {"customer": "acme", "name": "web"}, format="json").json()
    read = operator.get(f"{KEYS}/{created['id']}").json()
    assert created["secret"].startswith(created["prefix"])
    assert created == read | {"secret": created["secret"]}
    assert read["scopes"] == ["billing:read", "events:write", "usage:read"]


def test_a_new_key_opens_the_api(operator: APIClient, api: Api, acme: Customer) -> None:
    created = operator.post(KEYS, {"customer": "acme", "name": "web"}, format="json").json()
    assert api(created["secret"]).get("/api/v1/customers/acme").status_code == 200


def test_a_forgotten_customer_does_not_make_an_operator_key(operator: APIClient) -> None:
    refused = operator.post(KEYS, {"name": "web"}, format="json")
    body = {"customer": None, "name": "cron", "scopes": ["usage:read"]}
    made = operator.post(KEYS, body, format="json")
    assert (refused.status_code, "customer" in refused.json()["error"]["details"]) == (422, True)
    assert (made.status_code, made.json()["customer"]) == (201, None)


def test_a_customers_key_never_gets_admin(operator: APIClient, acme: Customer) -> None:
    body = {"customer": "acme", "name": "web", "scopes": ["admin"]}
    response = operator.post(KEYS, body, format="json")
    assert (response.status_code, list(response.json()["error"]["details"])) == (422, ["scopes"])


def test_an_expiry_without_an_offset_is_refused(operator: APIClient, acme: Customer) -> None:
    body = {"customer": "acme", "name": "web", "expires_at": "2099-01-01T00:00:00"}
    response = operator.post(KEYS, body, format="json")
    assert "offset" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"), ({"scopes": []}, "scopes")],
)
def test_a_key_that_would_open_nothing_is_refused(
    operator: APIClient, acme: Customer, wrong: dict[str, Any], field: str
) -> None:
    response = operator.post(KEYS, {"customer": "acme", "name": "web"} | wrong, format="json")
    assert (response.status_code, list(response.json()["error"]["details"])) == (422, [field])


@pytest.mark.django_db
@pytest.mark.parametrize("header", ["Bearer", "Bearer one two", "Bearer tp_1_2", "Bearer é"])
def test_a_header_that_holds_no_key_is_refused(header: str) -> None:
    response = APIClient().get(KEYS, HTTP_AUTHORIZATION=header)
    assert (response.status_code, response.json()["error"]["code"]) == (401, "unauthenticated")


@pytest.mark.parametrize(
    ("method", "suffix", "status"), [("delete", "", 204), ("post", "/revoke", 200)]
)
def test_a_revoked_key_opens_nothing(
    operator: APIClient, api: Api, acme: Customer, method: str, suffix: str, status: int
) -> None:
    issued = factories.make_key(acme)
    path = f"{KEYS}/{issued.api_key.pk}{suffix}"
    assert getattr(operator, method)(path).status_code == status
    assert api(issued.secret).get(KEYS).status_code == 401
    assert getattr(operator, method)(path).status_code == 409


def test_customers_see_their_own_keys_alone(api: Api, acme: Customer) -> None:
    own = factories.make_key(acme)
    foreign = factories.make_key(factories.make_customer("globex")).api_key
    operators = factories.make_key().api_key
    client = api(own.secret)
    assert [row["id"] for row in client.get(KEYS).json()["results"]] == [own.api_key.pk]
    assert client.get(f"{KEYS}/{foreign.pk}").status_code == 404
    assert client.get(f"{KEYS}/{operators.pk}").status_code == 404


def test_keys_are_listed_by_customer(operator: APIClient, acme: Customer) -> None:
    issued = factories.make_key(acme)
    rows = operator.get(f"{KEYS}?customer=acme").json()["results"]
    assert [row["prefix"] for row in rows] == [issued.api_key.prefix]


def test_a_key_without_the_scope_is_told_which_one_it_lacks(api: Api, acme: Customer) -> None:
    client = api(factories.make_key(acme, Scope.EVENTS_WRITE).secret)
    response = client.get(KEYS)
    assert response.status_code == 403
    assert "billing:read" in response.json()["error"]["message"]


@pytest.mark.django_db
def test_the_command_prints_a_working_operator_key_once(api: Api) -> None:
    out, err = StringIO(), StringIO()
    call_command(
        "create_operator_key",
        "ops",
        "--scope",
        "admin",
        "--scope",
        "usage:read",
        stdout=out,
        stderr=err,
    )
    secret = out.getvalue().strip()
    assert api(secret).get("/api/v1/customers").status_code == 200
    assert ApiKey.objects.get().scopes == ["admin", "usage:read"]
    assert secret not in err.getvalue()


@pytest.mark.django_db
def test_the_command_wants_a_name() -> None:
    with pytest.raises(CommandError, match="blank"):
        call_command("create_operator_key", "", "--scope", "admin")


@pytest.mark.django_db
def test_the_command_refuses_an_unknown_scope_and_no_scope_at_all() -> None:
    with pytest.raises(CommandError, match="invalid choice"):
        call_command("create_operator_key", "ops", "--scope", "everything")
    with pytest.raises(CommandError, match="--scope"):
        call_command("create_operator_key", "ops")
    assert not ApiKey.objects.exists()
