"""Input that is wrong gets a code and a sentence, never a 500, and spoils nothing beside it."""

from collections.abc import Callable

import pytest
from rest_framework.test import APIClient

from customers.models import Customer
from metering.models import RefusedEvent
from metering.services import event_rules as rules
from tests.metering.ingest.reports import counts, event, post, stored_ids

pytestmark = pytest.mark.django_db

GOOD = b'{"id": "good", "type": "t", "customer": "acme"}'

# What stands in an event's place, and the code it is rejected with.
BAD_EVENTS = {
    b"5": "invalid_event",
    b"null": "invalid_event",
    b"[]": "invalid_event",
    b'"id"': "invalid_event",
    b"NaN": "invalid_event",
    b"{}": "invalid_id",
    b'{"id": "x"}': "invalid_type",
    b'{"id": "", "type": "t"}': "invalid_id",
    b'{"id": 5, "type": "t"}': "invalid_id",
    b'{"id": null, "type": "t"}': "invalid_id",
    b'{"id": "%s", "type": "t"}' % (b"x" * 256): "invalid_id",
    b'{"id": "x", "type": "%s"}' % (b"t" * 101): "invalid_type",
    b'{"id": "x", "type": ["t"]}': "invalid_type",
    b'{"id": "x", "type": "t", "customer": 5}': "invalid_customer",
    b'{"id": "x", "type": "t", "propertys": {}}': "unknown_field",
    b'{"id": "x", "type": "t", "\\ud800": {}}': "invalid_character",
    b'{"id": "x", "type": "t"}': "missing_customer",
    b'{"id": "x", "type": "t", "customer": null}': "missing_customer",
}
# The same for single fields of an event that is right otherwise.
BAD_FIELDS = {
    b'"customer": "nobody"': "unknown_customer",
    b'"customer": ""': "unknown_customer",
    b'"customer": "\\u0000"': "unknown_customer",
    b'"customer": "\\udfff"': "unknown_customer",
    b'"id": "a\\u0000b"': "invalid_character",
    b'"id": "\\ud800"': "invalid_character",
    b'"id": "\xff"': "invalid_character",
    b'"type": "\\u0000"': "invalid_character",
    b'"type": "\\udc00\\ud800"': "invalid_character",
    b'"timestamp": ""': "invalid_timestamp",
    b'"timestamp": 1773568800': "invalid_timestamp",
    b'"timestamp": "yesterday"': "invalid_timestamp",
    b'"timestamp": "2026-03-15"': "invalid_timestamp",
    b'"timestamp": "2026-03-15T10:00:00"': "invalid_timestamp",
    b'"timestamp": "2026-02-30T10:00:00Z"': "invalid_timestamp",
    b'"timestamp": "0001-01-01T00:00:00+14:00"': "timestamp_out_of_range",
    b'"timestamp": "9999-12-31T23:59:59-14:00"': "timestamp_out_of_range",
    b'"properties": []': "invalid_properties",
    b'"properties": "x"': "invalid_properties",
    b'"properties": {"n": NaN}': "invalid_number",
    b'"properties": {"n": [-Infinity]}': "invalid_number",
    b'"properties": {"n": 1e30}': "number_out_of_range",
    b'"properties": {"n": 1e-31}': "number_out_of_range",
    b'"properties": {"n": 1e999999999}': "number_out_of_range",
    b'"properties": {"n": 1e99999999999999999999}': "number_out_of_range",
    b'"properties": {"n": -0e-999999}': "number_out_of_range",
    b'"properties": {"n": {"n": [%s]}}' % (b"9" * 31): "number_out_of_range",
    b'"properties": {"n": %s}' % (b"9" * 5_000): "number_out_of_range",
    b'"properties": {"n": 0.%s}' % (b"1" * 31): "number_out_of_range",
    b'"properties": {"n": 1, "n": 2}': "duplicate_key",
    b'"properties": {"n": "\\u0022\\u0022", "m": {"n": null, "n": 2}}': "duplicate_key",
    b'"properties": {"\\u0000": 1}': "invalid_character",
    b'"properties": {"n": "\\\\\\u0000"}': "invalid_character",
    b'"properties": {"n": ["\\ud83d"]}': "invalid_character",
    b'"properties": {"n": "\xc3("}': "invalid_character",
    b'"properties": {"n": "%s"}' % (b"x" * 65_536): "properties_too_large",
    b'"properties": {"n": %s1%s}' % (b"[" * 16, b"]" * 16): "nested_too_deeply",
    b'"properties": {"n": %s1%s}' % (b'{"n":' * 3_000, b"}" * 3_000): "nested_too_deeply",
}
BASE = {b'"id"': b'"x"', b'"type"': b'"t"', b'"customer"': b'"acme"'}


def with_field(field: bytes) -> bytes:
    """Return an event that is right but for this field."""
    others = [b"%s: %s" % item for item in BASE.items() if not field.startswith(item[0])]
    return b"{%s}" % b", ".join([*others, field])


BAD_EVENTS |= {with_field(field): code for field, code in BAD_FIELDS.items()}
BAD_EVENTS[b'{"id": "x", "type": "t", "id": "x"}'] = "duplicate_key"

BAD_BODIES = {
    b"": "invalid_json",
    b"   ": "invalid_json",
    b"{": "invalid_json",
    b"[%s,]" % GOOD: "invalid_json",
    b"[%s" % GOOD: "invalid_json",
    b"[%s]]" % GOOD: "invalid_json",
    b"%s\n%s" % (GOOD, GOOD): "invalid_json",
    b"{'id': 'x'}": "invalid_json",
    b'[%s, {"id": "a\nb", "type": "t"}]' % GOOD: "invalid_json",
    b"\xef\xbb\xbf[%s]" % GOOD: "invalid_json",
    "[]".encode("utf-16"): "invalid_json",
    b"\x1f\x8b\x08\x00\x00": "invalid_json",
    b"null": "invalid_body",
    b"12": "invalid_body",
    b'"text"': "invalid_body",
    b'{"events": {}}': "invalid_body",
    b'{"events": null}': "invalid_body",
    b'{"events": [], "events": [%s]}' % GOOD: "duplicate_key",
    b"[" * 1_000_000: "nested_too_deeply",
    b'[{"id": "x", "type": "t", "properties": {"n": %s1%s}}]'
    % (b"[" * 1_000_000, b"]" * 1_000_000): "nested_too_deeply",
}


@pytest.mark.parametrize(("bad", "code"), BAD_EVENTS.items(), ids=range(len(BAD_EVENTS)))
def test_a_bad_event_is_rejected_with_its_code_between_good_ones(
    operator: APIClient, acme: Customer, bad: bytes, code: str
) -> None:
    answer = post(operator, b"[%s, %s, %s]" % (GOOD, bad, GOOD.replace(b"good", b"good-2")))
    assert answer.status_code == 200, answer.content
    assert counts(answer.json()) == (2, 0, 0, 1)
    (error,) = answer.json()["errors"]
    assert (error["index"], error["code"]) == (1, code)
    assert error["message"].endswith(".")
    assert stored_ids() == ["good", "good-2"]
    kept = RefusedEvent.objects.get()
    assert (kept.kind, kept.code, kept.event_id) == ("rejected", code, error["id"])


@pytest.mark.parametrize(("body", "code"), BAD_BODIES.items(), ids=range(len(BAD_BODIES)))
def test_a_body_that_holds_no_events_is_refused_whole(
    operator: APIClient, acme: Customer, body: bytes, code: str
) -> None:
    answer = post(operator, body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, code)
    assert answer.json()["error"]["message"].endswith(".")
    assert stored_ids() == []


def test_odd_but_valid_events_are_taken(operator: APIClient, acme: Customer) -> None:
    body = rb"""[
        {"id": "\u007f", "type": "t", "customer": "acme", "properties": null, "timestamp": null},
        {"id": "\ud83d\ude00", "type": "t", "customer": "acme", "properties": {"": {}}},
        {"id": "b", "type": "t", "customer": "acme", "properties": {"n": 1, "m": {"n": 2}}},
        {"id": "c", "type": "t", "customer": "acme", "properties": {"n": "\\u0000"}},
        {"id": "d", "type": "t", "customer": "acme", "properties": {"n": 1.5e29, "m": -1e-30}}
    ]"""
    assert counts(post(operator, body).json()) == (5, 0, 0, 0)
    assert counts(post(operator, body).json()) == (0, 5, 0, 0)
    assert stored_ids() == ["b", "c", "d", "\x7f", "😀"]


def test_what_was_refused_is_kept_as_it_was_sent(operator: APIClient, acme: Customer) -> None:
    post(operator, b'{"id": "x", "type": "t", "customer": "acme", "properties": {"n": 1e99}}')
    kept = RefusedEvent.objects.get()
    assert kept.payload == '{"id":"x","type":"t","customer":"acme","properties":{"n":1E+99}}'
    assert (kept.customer, kept.message) == (acme, rules.NUMBER_OUT_OF_RANGE.message)


def test_a_customers_key_learns_nothing_about_other_customers(
    api: Callable[[str], APIClient], acme: Customer, stranger_secret: str
) -> None:
    answer = post(api(stranger_secret), [event("a"), event("b", customer="no-such")])
    known, unknown = answer.json()["errors"]
    assert known["code"] == unknown["code"] == "unknown_customer"
    assert known["message"].replace("acme", "no-such") == unknown["message"]
    assert stored_ids() == []
