"""What every endpoint of the API shares in reading what it is sent."""

import json
from base64 import b64encode

import pytest
from drf_spectacular.generators import SchemaGenerator
from rest_framework.test import APIClient

LISTS = ["api-keys", "customers", "invoices", "meters", "plans", "subscriptions"]
POSITIONS = ["abc", "", "NaN", "\0", "1e5", "9" * 5000]


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("position", POSITIONS)
def test_a_cursor_that_no_list_answered_is_refused(
    operator: APIClient, name: str, position: str
) -> None:
    cursor = b64encode(f"p={position}".encode()).decode()

    answer = operator.get(f"/api/v1/{name}", {"cursor": cursor})

    assert answer.status_code in {200, 404, 422}
    if position:
        assert "error" in answer.json()


def test_every_list_refuses_parameters_that_it_does_not_know(operator: APIClient) -> None:
    document = SchemaGenerator().get_schema(public=True)  # type: ignore[no-untyped-call]
    lists = []
    for path, methods in document["paths"].items():
        parameters = [each["name"] for each in methods.get("get", {}).get("parameters", ())]
        if "limit" in parameters and "{" not in path:
            lists.append(path)
            for name, wrong in (("bogus", "1"), ("limit", "abc"), ("limit", "501")):
                answer = operator.get(path, {name: wrong})
                assert answer.status_code == 422
                assert list(answer.json()["error"]["details"]) == [name], path
    assert len(lists) >= 10


def test_what_a_list_does_read_from_its_address_is_known(operator: APIClient) -> None:
    asked = {"currency": "EUR", "limit": "500"}
    assert operator.get("/api/v1/plans", asked).status_code == 200
    answer = operator.get("/api/v1/invoices", {"state": "open"})
    assert "Known: customer, status, subscription," in answer.json()["error"]["message"]


def test_what_is_named_by_an_unknown_key_is_told(operator: APIClient) -> None:
    fields = {"customer": "ghost", "plan": "gone", "coupons": ["never"]}

    answer = operator.post("/api/v1/subscriptions", fields, format="json")

    assert answer.status_code == 422
    assert answer.json()["error"]["details"] == {
        "customer": ["There is no customer with the key 'ghost'."],
        "plan": ["There is no plan with the key 'gone'."],
        "coupons": ["There is no coupon with the key 'never'."],
    }


@pytest.mark.parametrize("character", ["\0", "\ud800", "\udc00\ud800"])
@pytest.mark.parametrize("body", [{"name": "x{}"}, {"na{}me": 1}, [{"a": ["x{}"]}], "{}"])
@pytest.mark.parametrize("name", ["api-keys", "customers", "meters", "plans", "quotes"])
def test_a_text_that_cannot_be_stored_is_refused(
    operator: APIClient, name: str, body: object, character: str
) -> None:
    escaped = json.dumps(character)[1:-1]
    text = json.dumps(body).replace("{}", escaped)

    answer = operator.post(f"/api/v1/{name}", text, content_type="application/json")

    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "invalid_character"


def test_a_text_with_whole_surrogate_pairs_and_backslashes_is_read(operator: APIClient) -> None:
    text = '{"key": "smile", "name": "\\ud83d\\ude00 \\\\u0000", "currency": "USD"}'

    answer = operator.post("/api/v1/customers", text, content_type="application/json")

    assert answer.json()["name"] == "\U0001f600 \\u0000"


def test_a_body_that_is_nested_too_deeply_is_refused(operator: APIClient) -> None:
    for text in ("[" * 100_000, "[" * 100_000 + "]" * 100_000):
        answer = operator.post("/api/v1/customers", text, content_type="application/json")

        assert answer.status_code in {400, 422}
        assert "error" in answer.json()


@pytest.mark.parametrize(
    "path",
    [
        "customers/%00",
        "plans/a%00b",
        "meters/a%00b",
        "invoices/%00",
        "invoices/preview?customer=%00",
    ],
)
def test_nothing_is_found_by_a_key_that_cannot_be_stored(operator: APIClient, path: str) -> None:
    assert operator.get(f"/api/v1/{path}").status_code == 404


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
def test_an_instant_beyond_the_calendar_is_refused(operator: APIClient, at: str) -> None:
    answer = operator.post(
        "/api/v1/api-keys", {"customer": None, "name": "x", "expires_at": at}, format="json"
    )

    assert answer.status_code == 422
    assert "expires_at" in answer.json()["error"]["details"]
