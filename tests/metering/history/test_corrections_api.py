"""/api/v1/corrections."""

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from customers.models import Customer
from metering.models import Correction, Event
from tests.factories import NOW, make_customer, make_key, make_meter
from tests.metering.history.corrected import store, used, void

URL = "/api/v1/corrections"
VOID = {"customer": "acme", "event": "req-1", "action": "void", "reason": "A test call."}
AMEND = VOID | {"action": "amend", "properties": {"bytes": 7}}


def post(client: APIClient, document: object) -> Any:
    return client.post(URL, document, format="json")


@pytest.fixture
def stored(acme: Customer) -> None:
    store(acme, "req-1", bytes=5)


def test_a_void_is_made_and_read_back(operator: APIClient, acme: Customer, stored: None) -> None:
    meter = make_meter(aggregation="sum", value_property="bytes")
    response = post(operator, VOID)
    assert response.status_code == 201, response.content
    document = response.json()
    assert {name: document[name] for name in VOID} == VOID
    assert (document["properties"], document["timestamp"]) == (None, None)
    assert document["previous_properties"] == {"bytes": 5}
    assert used(meter, acme) == 0
    assert operator.get(f"{URL}/{document['id']}").json() == document
    assert operator.get(f"{URL}?customer=acme&event=req-1").json()["results"] == [document]
    assert operator.get(f"{URL}?event=other").json()["results"] == []


def test_who_corrected_is_on_record(operator: APIClient, stored: None) -> None:
    post(operator, VOID)
    correction = Correction.objects.get()
    assert correction.api_key is not None
    assert correction.batch.api_key == correction.api_key
    assert (correction.batch.source, correction.batch.accepted) == ("correction", 0)


def test_numbers_of_an_amendment_are_kept_and_told_to_the_last_digit(
    operator: APIClient, stored: None
) -> None:
    number = b"12345678901234567890.12345678901234567890"
    body = (
        b'{"customer": "acme", "event": "req-1", "action": "amend", "reason": "x",'
        b' "timestamp": "2026-03-15T13:00:00+01:00", "properties": {"n": ' + number + b"}}"
    )
    response = operator.post(URL, body, content_type="application/json")
    assert response.status_code == 201, response.content
    assert number in response.content
    assert number in operator.get(f"{URL}/{response.json()['id']}").content
    [version] = Event.objects.filter(voided_batch_id=None).extra(select={"n": "properties->>'n'"})
    assert version.n.encode() == number


def test_a_customer_reads_its_own_and_corrects_nothing(
    api: Callable[[str], APIClient], acme: Customer, stored: None
) -> None:
    stranger = make_customer("globex")
    store(stranger, "req-1")
    void(stranger, "req-1")
    own = void(acme, "req-1")
    client = api(make_key(acme).secret)
    assert [each["id"] for each in client.get(URL).json()["results"]] == [own.pk]
    assert post(client, VOID).status_code == 403


@pytest.mark.parametrize(
    ("document", "status", "sentence"),
    [
        (VOID | {"customer": "nobody"}, 404, "Nothing is here"),
        (VOID | {"customer": "a\0"}, 422, "U+0000"),
        (VOID | {"event": "req-2"}, 404, "Nothing is here"),
        (VOID | {"event": 5.5}, 422, "Not a valid string"),
        (VOID | {"action": "erase"}, 422, "is none of void, amend"),
        (VOID | {"reason": ""}, 422, "may not be blank"),
        (VOID | {"properties": {}}, 422, "A void takes no properties"),
        (VOID | {"timestamp": NOW.isoformat()}, 422, "A void takes no timestamp"),
        (VOID | {"colour": "red"}, 422, "There is no such field"),
        (AMEND | {"properties": [1]}, 422, "dictionary"),
        (AMEND | {"properties": None}, 422, "new properties, a new timestamp or both"),
        (AMEND | {"properties": {"bytes": 5}}, 409, "nothing was amended"),
        (AMEND | {"properties": {"n": 10**31}}, 422, "30 digits"),
        (AMEND | {"timestamp": "2026-03-15T12:00:00"}, 422, "Write the offset too"),
        (AMEND | {"timestamp": "1969-03-15T12:00:00Z"}, 422, "The timestamp lies before"),
        ([VOID], 422, "Expected a dictionary"),
        ("void", 422, "Expected a dictionary"),
    ],
)
def test_a_wrong_correction_is_refused_with_a_sentence(
    operator: APIClient, stored: None, document: Any, status: int, sentence: str
) -> None:
    response = post(operator, document)
    assert response.status_code == status, response.content
    assert sentence in response.json()["error"]["message"]
    assert not Correction.objects.exists()


@pytest.mark.parametrize("body", [b"{", b'{"a": 1e9999999999999999999}', b'{"a": NaN}', b"\xff"])
def test_a_body_that_is_no_json_is_400(operator: APIClient, body: bytes) -> None:
    response = operator.post(URL, body, content_type="application/json")
    assert response.status_code == 400, response.content


def test_a_void_event_is_409(operator: APIClient, acme: Customer, stored: None) -> None:
    void(acme, "req-1")
    response = post(operator, VOID)
    assert response.status_code == 409
    assert response.json()["error"]["code"] == "already_void"
