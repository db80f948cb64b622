"""`POST /api/v1/events`: who may send, in what shape, how much, and how old."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import BytesIO

import pytest
from django.core.handlers.wsgi import WSGIRequest
from rest_framework.request import Request
from rest_framework.test import APIClient

from config.errors import TooLargeError
from customers.models import ApiKey, Customer
from customers.principals import Scope
from metering.api.bodies import IncompleteBody, read_body
from metering.models import Event, IngestBatch, RefusedEvent
from metering.services.event_rules import MOST_BYTES
from tests.factories import make_key
from tests.metering.ingest.reports import URL, counts, event, post, stored_ids

pytestmark = pytest.mark.django_db

type Api = Callable[[str], APIClient]


def ago(**duration: int) -> str:
    return (datetime.now(UTC) - timedelta(**duration)).isoformat()


@pytest.mark.parametrize(
    "shape",
    [lambda one: one, lambda one: [one], lambda one: {"events": [one]}],
    ids=["single", "list", "wrapped"],
)
def test_one_event_a_list_and_a_wrapped_list_are_taken(
    operator: APIClient, acme: Customer, shape: Callable[[object], object]
) -> None:
    answer = post(operator, shape(event("a")))
    assert (answer.status_code, counts(answer.json())) == (200, (1, 0, 0, 0))
    assert answer.json()["errors"] == []
    assert post(operator, shape({"id": ""})).json()["rejected"] == 1
    assert stored_ids() == ["a"]


def test_an_answer_names_what_was_not_counted(operator: APIClient, acme: Customer) -> None:
    post(operator, event("a"))
    answer = post(operator, [event("a", type="other"), event("b")]).json()
    (error,) = answer.pop("errors")
    assert answer == {"accepted": 1, "duplicate": 0, "conflict": 1, "rejected": 0}
    assert error.pop("message").startswith("This id belongs to an event that says something else.")
    assert error == {"index": 0, "id": "a", "code": "conflict"}


def test_a_customers_key_reports_for_its_customer_named_or_not(api: Api, acme: Customer) -> None:
    issued = make_key(acme)
    answer = post(api(issued.secret), [event("a", customer=None), event("b")])
    assert counts(answer.json()) == (2, 0, 0, 0)
    assert set(Event.objects.values_list("customer_id", flat=True)) == {acme.pk}
    assert IngestBatch.objects.get().api_key == ApiKey.objects.get(pk=issued.api_key.pk)


def test_what_a_customers_key_got_refused_is_kept_as_that_customers(
    api: Api, acme: Customer
) -> None:
    post(api(make_key(acme).secret), [{"id": 5}, event("b", customer="nobody")])
    assert set(RefusedEvent.objects.values_list("customer", "code")) == {
        (acme.pk, "invalid_id"),
        (None, "unknown_customer"),
    }


@pytest.mark.parametrize(
    ("scopes", "status"),
    [
        ([Scope.EVENTS_WRITE], 200),
        ([Scope.ADMIN], 200),
        ([Scope.USAGE_READ, Scope.BILLING_READ], 403),
    ],
)
def test_reporting_needs_the_scope_to_write_events(
    api: Api, acme: Customer, scopes: list[Scope], status: int
) -> None:
    assert post(api(make_key(None, *scopes).secret), event("a")).status_code == status


def test_without_a_key_or_with_a_wrong_one_nothing_is_taken(api: Api, acme: Customer) -> None:
    assert post(api(""), event("a")).status_code == 401
    assert post(api("tp_000000000000_wrong"), event("a")).status_code == 401
    assert stored_ids() == []


def test_replacing_is_not_offered_here(operator: APIClient) -> None:
    assert operator.put(URL).status_code == 405


@pytest.mark.parametrize(
    ("age", "is_taken"),
    [
        ({"days": 34}, True),
        ({"days": 36}, False),
        ({"minutes": -59}, True),
        ({"minutes": -61}, False),
    ],
)
def test_events_too_old_or_too_far_ahead_need_a_backfill(
    operator: APIClient, acme: Customer, age: dict[str, int], *, is_taken: bool
) -> None:
    at = ago(**age)
    answer = post(operator, event("a", timestamp=at)).json()
    assert counts(answer) == ((1, 0, 0, 0) if is_taken else (0, 0, 0, 1))
    assert [error["code"] for error in answer["errors"]] == (
        [] if is_taken else ["timestamp_out_of_range"]
    )
    assert counts(post(operator, event("b", timestamp=at), f"{URL}?backfill=true").json())[0] == 1


@pytest.mark.parametrize("at", ["1969-12-31T23:59:59Z", "2200-01-01T00:00:00Z"])
def test_a_backfill_has_bounds_too(operator: APIClient, acme: Customer, at: str) -> None:
    answer = post(operator, event("a", timestamp=at), f"{URL}?backfill=true").json()
    assert answer["errors"][0]["code"] == "timestamp_out_of_range"


def test_only_operators_with_admin_may_backfill(api: Api, acme: Customer) -> None:
    for issued in (make_key(acme), make_key(None, Scope.EVENTS_WRITE)):
        answer = post(api(issued.secret), event("a"), f"{URL}?backfill=true")
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
    answer = post(api(make_key(acme).secret), event("a"), f"{URL}?backfill=yes")
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid")


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"content_type": "text/plain"}, "unsupported_media_type"),
        ({"content_type": "application/x-www-form-urlencoded"}, "unsupported_media_type"),
        ({"Content-Encoding": "br"}, "unsupported_media_type"),
    ],
)
def test_bodies_in_other_forms_are_refused(
    operator: APIClient, acme: Customer, headers: dict[str, str], code: str
) -> None:
    answer = post(operator, event("a"), **headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, code)
    assert stored_ids() == []


def test_a_charset_or_no_content_type_at_all_is_json(operator: APIClient, acme: Customer) -> None:
    for number, content_type in enumerate(["application/json; charset=utf-8", ""]):
        body = json.dumps(event(str(number)))
        answer = operator.generic("POST", URL, body, content_type=content_type)
        assert answer.json()["accepted"] == 1


def test_ten_thousand_events_are_taken_and_one_more_is_not(
    operator: APIClient, acme: Customer
) -> None:
    batch = [event(str(number)) for number in range(10_001)]
    answer = post(operator, batch)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
    assert not Event.objects.exists()
    assert post(operator, batch[1:]).json()["accepted"] == 10_000


def test_a_body_of_ten_mebibytes_is_taken_and_one_byte_more_is_not(
    operator: APIClient, acme: Customer
) -> None:
    body = json.dumps([event("a")]).encode()
    assert post(operator, body.ljust(MOST_BYTES)).json()["accepted"] == 1
    answer = post(operator, body.ljust(MOST_BYTES + 1))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


def request_with(body: bytes, **environ: object) -> Request:
    """Return a request as a server hands it over, which may announce another length."""
    return Request(WSGIRequest({"REQUEST_METHOD": "POST", "wsgi.input": BytesIO(body)} | environ))


def test_a_body_that_breaks_off_is_refused() -> None:
    assert read_body(request_with(b"[1, 2]", CONTENT_LENGTH="6"), is_packed=False) == b"[1, 2]"
    with pytest.raises(IncompleteBody):
        read_body(request_with(b"[1, 2]", CONTENT_LENGTH="7"), is_packed=False)


def test_a_body_without_length_is_read_to_its_end_up_to_the_limit() -> None:
    chunked = {"wsgi.input_terminated": True}
    assert read_body(request_with(b"[1, 2]", **chunked), is_packed=False) == b"[1, 2]"
    assert read_body(request_with(b"[1, 2]"), is_packed=False) == b""
    with pytest.raises(TooLargeError):
        read_body(request_with(bytes(MOST_BYTES + 1), **chunked), is_packed=False)


def test_the_openapi_document_describes_the_event(client: APIClient) -> None:
    document = client.get("/api/v1/schema/", headers={"Accept": "application/json"}).json()
    operation = document["paths"]["/api/v1/events"]["post"]
    body = operation["requestBody"]["content"]["application/json"]["schema"]
    assert body["oneOf"][0]["required"] == ["id", "type"]
    result = document["components"]["schemas"]["IngestResult"]
    assert set(result["required"]) == {"accepted", "duplicate", "conflict", "rejected", "errors"}
