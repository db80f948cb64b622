"""Quotes over HTTP."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from billing.api.quotes import MOST_BYTES
from customers.models import Customer
from customers.principals import Scope
from tests import factories
from tests.billing.plans import CALLS
from tests.billing.rating.golden import GOLDEN_CASES

QUOTES = "/api/v1/quotes"
LINES = "application/x-ndjson"
QUOTE: dict[str, Any] = {
    "currency": "USD",
    "prices": [CALLS],
    "usage": {"calls": {"quantity": "22", "billed_quantity": "12"}},
}
WRONG = {"currency": "USD"}

type Api = Callable[[str], APIClient]


def post(client: APIClient, body: Any) -> Any:
    return client.post(QUOTES, body, format="json")


def post_lines(client: APIClient, body: str | bytes) -> Any:
    return client.post(QUOTES, body, content_type=LINES)


def answered(response: Any) -> list[Any]:
    return [json.loads(line) for line in b"".join(response.streaming_content).splitlines()]


def test_a_quote_is_the_invoice_it_would_make(operator: APIClient) -> None:
    """22 calls are 60.00, of which 12 were billed at 26.00."""
    quoted = post(operator, QUOTE).json()
    assert (quoted["currency"], quoted["total"]) == ("USD", "34.00")
    assert quoted["lines"][0]["quantity"] == "22"


@pytest.mark.parametrize(
    ("body", "field"), [(WRONG, "prices"), (QUOTE | {"usage": {"x": {}}}, "usage.x")]
)
def test_a_wrong_quote_names_its_field(
    operator: APIClient, body: dict[str, Any], field: str
) -> None:
    response = post(operator, body)
    assert (response.status_code, list(response.json()["error"]["details"])) == (422, [field])


def test_customers_may_ask_for_quotes(api: Api, acme: Customer) -> None:
    allowed = api(factories.make_key(acme, Scope.BILLING_READ).secret)
    other = api(factories.make_key(acme, Scope.EVENTS_WRITE).secret)
    assert post(allowed, QUOTE).status_code == 200
    assert post(other, QUOTE).status_code == 403


def test_each_quote_of_a_list_has_an_answer_in_its_place(operator: APIClient) -> None:
    response = post(operator, [QUOTE, WRONG, "none", QUOTE])
    first, wrong, none, last = response.json()
    assert response.status_code == 200
    assert first == last == post(operator, QUOTE).json()
    assert (wrong["error"]["field"], wrong["error"]["index"]) == ("prices", 1)
    assert none["error"]["message"].startswith("Write a quote as an object")


def test_a_list_has_its_limit(operator: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("billing.services.quotes.MOST_QUOTES", 1)
    assert post(operator, [QUOTE]).status_code == 200
    refused = post(operator, [QUOTE, QUOTE])
    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "too_large")


def test_golden_cases_are_answered_line_by_line(operator: APIClient) -> None:
    body = "\n".join(json.dumps(case["quote"]) for case in GOLDEN_CASES)
    response = post_lines(operator, body)
    assert (response.status_code, response.headers["Content-Type"]) == (200, LINES)
    amounts = [[line["amount"] for line in result["lines"]] for result in answered(response)]
    assert amounts == [case["expect"]["lines"] for case in GOLDEN_CASES]


def test_a_bad_line_spoils_itself_alone(operator: APIClient) -> None:
    literal = '{"currency": "USD", "prices": [{"key": "a", "model": "flat", "amount": 0.105}]}'
    results = answered(post_lines(operator, f'{literal}\n\n{{"currency": \n{json.dumps(WRONG)}\n'))
    assert results[0]["total"] == "0.11"
    assert [(row["error"]["code"], row["error"]["line"]) for row in results[1:]] == [
        ("invalid_json", 3),
        ("invalid", 4),
    ]


def test_lines_have_their_limit(operator: APIClient) -> None:
    refused = post_lines(operator, b" " * (MOST_BYTES + 1))
    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "too_large")
