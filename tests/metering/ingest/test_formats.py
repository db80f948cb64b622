"""The same events in other forms: one on each line, packed, and as CloudEvents."""

import gzip
import json
import secrets
from datetime import UTC, datetime
from typing import Any

import pytest
from rest_framework.test import APIClient

from customers.models import Customer
from metering.models import Event
from metering.services.event_rules import MOST_BYTES, MOST_EVENTS
from tests.metering.ingest.reports import counts, event, post, stored_ids

pytestmark = pytest.mark.django_db

LINES = {"content_type": "application/x-ndjson"}
CLOUD_EVENT = {"content_type": "application/cloudevents+json"}
CLOUD_BATCH = {"content_type": "application/cloudevents-batch+json; charset=UTF-8"}
GZIP = {"Content-Encoding": "gzip"}


def cloud_event(event_id: str, **attributes: Any) -> dict[str, Any]:
    named = {"id": event_id, "source": "/edge/1", "type": "api.request", "subject": "acme"}
    return {"specversion": "1.0"} | named | attributes


def lines(*documents: object) -> bytes:
    return b"\n".join(
        each if isinstance(each, bytes) else json.dumps(each).encode() for each in documents
    )


def codes(answer: Any) -> list[tuple[int, str]]:
    return [(error["index"], error["code"]) for error in answer.json()["errors"]]


def test_one_event_on_each_line_is_taken_with_or_without_a_last_line_end(
    operator: APIClient, acme: Customer
) -> None:
    body = lines(event("a", properties={"n": 0.1}), b"", event("b"), b"  \r")
    assert counts(post(operator, body, **LINES).json()) == (2, 0, 0, 0)
    assert counts(post(operator, body + b"\n", **LINES).json()) == (0, 2, 0, 0)
    assert counts(post(operator, b"", **LINES).json()) == (0, 0, 0, 0)


def test_a_line_that_breaks_off_spoils_no_other(operator: APIClient, acme: Customer) -> None:
    bad = [b'{"id": "x", "ty', b"[]", b'{"id": "y", "id": "z", "type": "t"}', b"\xff"]
    answer = post(operator, lines(event("a"), *bad, event("b")), **LINES)
    assert counts(answer.json()) == (2, 0, 0, 4)
    assert codes(answer) == [
        (1, "invalid_json"), (2, "invalid_event"), (3, "duplicate_key"), (4, "invalid_json"),
    ]  # fmt: skip
    assert stored_ids() == ["a", "b"]


def test_too_many_lines_are_refused_even_when_they_hold_nothing(operator: APIClient) -> None:
    answer = post(operator, b"{}\n" * (MOST_EVENTS + 1), **LINES)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


def test_a_packed_body_is_the_same_as_the_unpacked_one(operator: APIClient, acme: Customer) -> None:
    body = json.dumps([event("a")]).encode()
    assert counts(post(operator, gzip.compress(body), **GZIP).json()) == (1, 0, 0, 0)
    halves = gzip.compress(body[:9]) + gzip.compress(body[9:])
    answer = post(operator, halves, **{"Content-Encoding": "X-GZIP"})
    assert counts(answer.json()) == (0, 1, 0, 0)
    assert counts(post(operator, gzip.compress(lines(event("a"))), **LINES, **GZIP).json())[1] == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        gzip.compress(b"[]")[:-1],
        gzip.compress(b"[]") + b"more",
        gzip.compress(b"[]") * 101,
        gzip.compress(secrets.token_bytes(200_000))[:150_000],
    ],
    ids=["empty", "plain", "cut", "followed", "many", "cut-late"],
)
def test_what_is_no_whole_gzip_stream_is_refused_whole(operator: APIClient, body: bytes) -> None:
    answer = post(operator, body, **GZIP)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_gzip")


def test_a_gzip_bomb_never_unfolds(operator: APIClient, acme: Customer) -> None:
    body = json.dumps([event("a")]).encode()
    assert post(operator, gzip.compress(body.ljust(MOST_BYTES)), **GZIP).json()["accepted"] == 1
    answer = post(operator, gzip.compress(b" " * 40 * MOST_BYTES), **GZIP)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


def test_a_cloud_event_is_an_event(operator: APIClient, acme: Customer) -> None:
    sent = cloud_event(
        "1", time="2026-11-22T10:00:00+01:00", data={"n": 0.1}, traceparent="00-1",
        datacontenttype="application/json",
    )  # fmt: skip
    url = "/api/v1/events?backfill=true"
    assert counts(post(operator, sent, url, **CLOUD_EVENT).json()) == (1, 0, 0, 0)
    stored = Event.objects.get()
    assert (stored.event_id, stored.type, stored.customer) == ("/edge/1 1", "api.request", acme)
    assert stored.timestamp == datetime(2026, 11, 22, 9, tzinfo=UTC)
    again = sent | {"traceparent": "00-2"}
    assert counts(post(operator, [again], url, **CLOUD_BATCH).json()) == (0, 1, 0, 0)


def test_source_and_id_together_name_a_cloud_event(operator: APIClient, acme: Customer) -> None:
    batch = [
        cloud_event("1"), cloud_event("1", source="/edge/2"), cloud_event("2"), cloud_event("1"),
        cloud_event("1", data={"n": 1}),
    ]  # fmt: skip
    assert counts(post(operator, batch, **CLOUD_BATCH).json()) == (3, 1, 1, 0)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"specversion": "0.3"}, "invalid_specversion"),
        ({"id": ""}, "invalid_id"),
        ({"id": "x" * 250}, "invalid_id"),
        ({"source": "a b"}, "invalid_source"),
        ({"source": None}, "invalid_source"),
        ({"type": ""}, "invalid_type"),
        ({"subject": 5}, "invalid_customer"),
        ({"subject": None}, "missing_customer"),
        ({"time": "yesterday"}, "invalid_timestamp"),
        ({"data": "text"}, "invalid_properties"),
        ({"data_base64": "AA=="}, "invalid_properties"),
        ({"data": {"n": float("nan")}}, "invalid_number"),
    ],
)
def test_a_bad_cloud_event_is_rejected_between_good_ones(
    operator: APIClient, acme: Customer, change: dict[str, object], code: str
) -> None:
    bad = cloud_event("bad") | change
    answer = post(operator, [cloud_event("1"), bad, cloud_event("2")], **CLOUD_BATCH)
    assert counts(answer.json()) == (2, 0, 0, 1)
    assert codes(answer) == [(1, code)]
    assert codes(post(operator, bad, **CLOUD_EVENT)) == [(0, code)]


@pytest.mark.parametrize(
    ("document", "headers"),
    [([cloud_event("1")], CLOUD_EVENT), (cloud_event("1"), CLOUD_BATCH), (5, CLOUD_BATCH)],
)
def test_a_batch_is_no_event_and_an_event_no_batch(
    operator: APIClient, acme: Customer, document: object, headers: dict[str, str]
) -> None:
    answer = post(operator, document, **headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_body")


def test_json_in_another_character_set_is_refused(operator: APIClient, acme: Customer) -> None:
    answer = post(operator, event("é"), content_type="application/json; charset=latin-1")
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_media_type")
