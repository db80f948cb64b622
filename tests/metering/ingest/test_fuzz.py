"""Ten thousand broken requests to the events endpoint, and not one of them breaks it."""

import gzip
import json
import random
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from rest_framework.test import APIClient

from customers.models import Customer
from metering.api.bodies import DECODERS
from tests.factories import make_key
from tests.metering.ingest.reports import COUNTS, URL
from tests.metering.ingest.test_bad_input import BAD_BODIES, BAD_EVENTS, GOOD
from tests.metering.ingest.test_formats import cloud_event

pytestmark = [pytest.mark.django_db, pytest.mark.no_cover]

INPUTS = 10_000
SEEDS = 20
LONGEST = 2_000

SMALL = [body for body in [*BAD_EVENTS, *BAD_BODIES] if len(body) < LONGEST]
SOURCES = [
    GOOD,
    b"[%s, %s]" % (GOOD, GOOD.replace(b"good", b"better")),
    b'{"events": [%s]}' % GOOD,
    b"%s\n%s\n" % (GOOD, GOOD),
    json.dumps(cloud_event("1", data={"n": 1.5})).encode(),
    json.dumps([cloud_event("2"), cloud_event("3", time="2026-11-22T10:00:00Z")]).encode(),
    *SMALL,
]
TOKENS = [
    b"\\u0000", b"\\ud800", b"\\udfff", b"\xff", b"\x00", b"\xef\xbb\xbf", b"NaN", b"-Infinity",
    b"1e999999999", b"-0", b"9" * 5_000, b"1.%s" % (b"0" * 50), b"[" * 200, b"{" * 200, b'{"a":' * 300,
    b"]", b"}", b",", b":", b'"', b"\\", b"\n", b"\r\n", b"null", b"true", b"\x1f\x8b\x08",
    b'"timestamp": "9999-12-31T23:59:60Z",', b'"timestamp": "2026-02-29T25:00:00+99:99",',
    b'"customer": "acme",', b'"properties": {"": [{}]},', b'"id": "",', b"%s", b"' OR 1=1 --",
]  # fmt: skip
HEADERS = {
    "Content-Encoding": ["gzip", "x-gzip", "identity", "br", "gzip, gzip", "\x7f"],
    "Idempotency-Key": ["a", "x" * 300],
}
MEDIA_TYPES = [
    *DECODERS, "", "text/plain", "application/json; charset=utf-16", "multipart/form-data", ";", "x",
]  # fmt: skip
QUERIES = ["", "", "", "?backfill=true", "?backfill=", "?backfill=%00", "?%ff=%ff", "?format=xml"]

type Mutation = Callable[[random.Random, bytes], bytes]


def cut(dice: random.Random, body: bytes) -> bytes:
    begin, end = sorted(dice.randint(0, len(body)) for _ in range(2))
    return body[:begin] + body[end:]


def insert(dice: random.Random, body: bytes) -> bytes:
    place = dice.randint(0, len(body))
    return body[:place] + dice.choice(TOKENS) + body[place:]


def flip(dice: random.Random, body: bytes) -> bytes:
    changed = bytearray(body or b" ")
    changed[dice.randrange(len(changed))] = dice.randrange(256)
    return bytes(changed)


def join(dice: random.Random, body: bytes) -> bytes:
    other = dice.choice(SOURCES)
    return body[: dice.randint(0, len(body))] + other[dice.randint(0, len(other)) :]


def swap_strings(dice: random.Random, body: bytes) -> bytes:
    parts = body.split(b'"')
    parts[dice.randrange(len(parts))] = dice.choice(TOKENS)
    return b'"'.join(parts)


def pack(dice: random.Random, body: bytes) -> bytes:
    return gzip.compress(body)


MUTATIONS: list[Mutation] = [cut, insert, insert, flip, join, swap_strings, swap_strings, pack]


def make_request(dice: random.Random) -> tuple[str, bytes, str, dict[str, str]]:
    body = dice.choice(SOURCES)
    for _ in range(dice.randint(0, 4)):
        body = dice.choice(MUTATIONS)(dice, body)
    headers = {
        name: dice.choice(values) for name, values in HEADERS.items() if dice.random() < 0.15
    }
    if body[:2] == b"\x1f\x8b" and dice.random() < 0.8:
        headers["Content-Encoding"] = "gzip"
    media_type = dice.choice(MEDIA_TYPES) if dice.random() < 0.5 else "application/json"
    return URL + dice.choice(QUERIES), body, media_type, headers


def is_clear(answer: Any) -> bool:
    """Tell whether an answer says what became of each event, or why of none."""
    content = answer.json()
    if answer.status_code == 200:
        refused = content["conflict"] + content["rejected"]
        return set(COUNTS) < set(content) and len(content["errors"]) == refused
    error = content["error"]
    return 400 <= answer.status_code < 500 and bool(error["code"]) and bool(error["message"])


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_input_gets_a_500(acme: Customer, seed: int) -> None:
    key = make_key().api_key
    client = APIClient()
    # Who asks is not in question here, and asking each time would take a third of the time.
    client.force_authenticate(user=key.principal(), token=key)  # type: ignore[arg-type]
    dice = random.Random(seed)  # noqa: S311  # Anybody may guess it: a failure can be repeated.
    for _ in range(INPUTS // SEEDS):
        url, body, media_type, headers = made = make_request(dice)
        answer: Any = client.generic(
            "POST",
            url,
            body,  # type: ignore[arg-type]  # The stubs want text.
            content_type=media_type,
            headers=headers,
        )
        assert is_clear(answer), (answer.status_code, quote(answer.content), made)
