"""What is read from a line of a log."""

from datetime import UTC, datetime
from typing import Any

import pytest

from config.errors import InvalidInputError
from metering.services.log_formats import COMBINED, COMMON, find_format
from metering.services.log_requests import LogFormat, LogLine, UnreadableLineError
from metering.services.storing import instant
from tests.metering.log_import.lines import line


def told(log_format: LogFormat, text: str) -> dict[str, Any]:
    """Return everything that a line tells."""
    found: LogLine = log_format.read(text)
    readers = {name: log_format.field_reader(name) for name in ("remote_host", "remote_user")}
    return {
        "timestamp": instant(found.microseconds),
        "method": found.method,
        "target": f"{found.path}?{found.query}" if found.query else found.path,
        "status": found.status,
        "size": found.size,
    } | {name: reader(found.fields) for name, reader in readers.items() if reader is not None}


def read(**parts: Any) -> dict[str, Any]:
    """Return what differs from a plain line."""
    plain, other = told(COMBINED, line()), told(COMBINED, line(**parts))
    return {name: other[name] for name in plain if other[name] != plain[name]}


def test_a_line_tells_who_asked_when_for_what_and_what_came_back() -> None:
    assert told(COMBINED, line(host="2001:db8::1", user="frank", size="2326", status=404)) == {
        "timestamp": datetime(2015, 5, 17, 10, 5, 3, tzinfo=UTC),
        "method": "GET", "target": "/v1/search?q=x", "status": 404, "size": 2326,
        "remote_host": "2001:db8::1", "remote_user": "frank",
    }  # fmt: skip


def test_the_common_format_tells_the_same() -> None:
    assert told(COMMON, line(tail="")) == told(COMBINED, line())


@pytest.mark.parametrize(
    ("parts", "difference"),
    [
        ({"size": "-"}, {"size": 0}),
        ({"user": "john smith"}, {"remote_user": "john smith"}),
        ({"user": "[a] b"}, {"remote_user": "[a] b"}),
        ({"at": "17/May/2015:12:05:03 +0200"}, {}),
        ({"at": "31/Dec/2014:23:59:59 -0330"}, {"timestamp": datetime(2015, 1, 1, 3, 29, 59, tzinfo=UTC)}),
        ({"request": "GET /v1/search?q=x"}, {}),
        ({"request": "GET /v1/search?q=x HTTP/2.0"}, {}),
        ({"request": "GET http://api.example.com/v1/search?q=x HTTP/1.1"}, {}),
        ({"request": "OPTIONS * HTTP/1.1"}, {"method": "OPTIONS", "target": "*"}),
        ({"request": "GET /a b HTTP/1.1"}, {"target": "/a b"}),
        ({"request": r"GET /\"a\" HTTP/1.1"}, {"target": '/"a"'}),
        ({"request": r"GET /\x22a\x22 HTTP/1.1"}, {"target": '/"a"'}),
        ({"request": r"GET /\\x22\xc3\xa9\x00 HTTP/1.1"}, {"target": r"/\x22\xc3\xa9\x00"}),
        ({"request": r'GET /\" 500 1 \" HTTP/1.1'}, {"target": '/" 500 1 "'}),
        ({"tail": ' "-" "-" extra "fields" 0.123'}, {}),
        ({"tail": ' "-" "Mozilla/5.0 (cut of'}, {}),
    ],
)  # fmt: skip
def test_odd_lines_are_read(parts: dict[str, Any], difference: dict[str, Any]) -> None:
    assert read(**parts) == difference


@pytest.mark.parametrize(
    "parts",
    [
        {"request": "-"},
        {"request": ""},
        {"request": r"\x16\x03\x01\x02"},
        {"request": "SSH-2.0-OpenSSH_8.9"},
        {"request": "get /lower HTTP/1.1"},
        {"request": "GET"},
        {"request": "GET  HTTP/1.1"},
        {"request": "CONNECT mail.example.com:25 HTTP/1.1"},
        {"request": 'GET /"unescaped" HTTP/1.1'},
        {"at": "31/Feb/2015:10:05:03 +0000"},
        {"at": "17/Mai/2015:10:05:03 +0000"},
        {"at": "17/May/2015:10:05:03"},
        {"at": "2015-05-17T10:05:03Z"},
        {"at": "01/Jan/0001:00:05:03 +1400"},
        {"at": "17/May/2015:10:05:03 +9999"},
        {"size": "x"},
        {"status": 20},
        {"tail": ""},
    ],
)
def test_lines_without_a_request_are_not_guessed_at(parts: dict[str, Any]) -> None:
    with pytest.raises(UnreadableLineError, match=r"\.$"):
        COMBINED.read(line(**parts))


def test_the_format_is_found_out_from_most_lines() -> None:
    combined, common = line(), line(tail="")
    assert find_format("auto", [common, combined, combined, "?"]) is COMBINED
    assert find_format("auto", [common, common, combined]) is COMMON
    assert find_format("common", [combined, common]) is COMMON


@pytest.mark.parametrize(
    ("key", "sample", "sentence"),
    [
        ("iis", [], "There is no log format 'iis'; use one of combined, common, json, cloudfront"),
        ("auto", ["x", "y"], "None of the first 2 lines is in the format combined or common or"),
        ("common", [line()], "None of the first 1 lines is in the format common"),
    ],
)
def test_a_format_that_does_not_fit_is_told(key: str, sample: list[str], sentence: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        find_format(key, sample)
    assert caught.value.message.startswith(sentence)
    assert caught.value.field == "format"
