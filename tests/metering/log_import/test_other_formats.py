"""nginx's log_format strings, JSON lines, CloudFront's and ALB's logs tell the same of a request."""

from typing import Any

import pytest

from config.errors import InvalidInputError
from metering.services.log_formats import find_format
from metering.services.log_mapping import build_mapping
from metering.services.log_requests import CommentLineError, UnreadableLineError
from metering.services.storing import instant
from tests.metering.log_import.lines import line

MAPPING = {"event_type": "http.request", "customer": {"field": "remote_user"}}
TIMED = (
    "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent "
    '"$http_referer" "$http_user_agent" rt=$request_time key="$http_x_api_key" $host'
)  # fmt: skip
TIMED_LINE = line(user="bob") + ' rt=0.123 key="k-1" api.example.com'
CLOUDFRONT = (
    "2026-03-01\t10:00:00\tFRA56\t512\t192.0.2.7\tGET\td1.cloudfront.net\t/v1/a%2520b\t200\t-\t"
    "curl\tq=x\t-\tHit\tAb-1==\tapi.example.com\thttps\t120\t0.004\t-\tTLSv1.3"
)
HEADER = (
    "#Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status "
    "cs(Referer) cs(User-Agent) cs-uri-query cs(Cookie) x-edge-result-type x-edge-request-id "
    "x-host-header cs-protocol cs-bytes time-taken x-forwarded-for ssl-protocol"
)
ALB = (
    "https 2026-03-01T10:00:00.186641Z app/lb/50dc 192.0.2.7:2817 10.0.0.1:80 0.001 0.120 0.002 "
    '200 200 34 512 "GET https://api.example.com:443/v1/search?q=x HTTP/2.0" "curl/7.46.0" '
    'ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 arn:aws:x "Root=1-58" "api.example.com" "-" 0 '
    '2026-03-01T09:59:59Z "forward" "-" "-" "10.0.0.1:80" "200" "-" "-"'
)
JSON = (
    '{"time_iso8601": "2026-03-01T11:00:00+01:00", "request": "GET /v1/search?q=x HTTP/1.1", '
    '"status": "200", "body_bytes_sent": 512, "request_time": 0.250, "remote_user": "bob"}'
)
CADDY = (
    '{"ts": 1772359200.5, "request": {"method": "GET", "uri": "/v1/search?q=x", "host": '
    '"api.example.com", "headers": {"X-Key": ["k"]}}, "status": 200, "size": 512, "duration": 0.01}'
)


def told(key: str, text: str, sample: list[str] | None = None) -> tuple[Any, ...]:
    found = find_format(key, sample or [text]).read(text)
    at = instant(found.microseconds).isoformat()
    return (at, found.method, found.path, found.query, found.status, found.size)


def properties(key: str, text: str, **mapping: Any) -> dict[str, Any]:
    log_format = find_format(key, [text])
    return build_mapping(MAPPING | mapping, log_format).properties_of(log_format.read(text))


SEARCH = ("GET", "/v1/search", "q=x", 200, 512)


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        (TIMED, TIMED_LINE, ("2015-05-17T10:05:03+00:00", *SEARCH)),
        ("[$time_iso8601] $request_method $uri $args $status", "[2026-03-01T10:00:00Z] PUT /a x=1 204",
         ("2026-03-01T10:00:00+00:00", "PUT", "/a", "x=1", 204, None)),
        ("$msec|$request|$status|$bytes_sent", "1772359200.250|GET /v1/search?q=x HTTP/1.1|200|512",
         ("2026-03-01T10:00:00.250000+00:00", *SEARCH)),
        ("json", JSON, ("2026-03-01T10:00:00+00:00", *SEARCH)),
        ("json", CADDY, ("2026-03-01T10:00:00.500000+00:00", *SEARCH)),
        ("json", '{"timestamp": 1772359200250, "method": "GET", "path": "/a", "status": 200}',
         ("2026-03-01T10:00:00.250000+00:00", "GET", "/a", "", 200, None)),
        ("alb", ALB, ("2026-03-01T10:00:00.186641+00:00", *SEARCH)),
    ],
)  # fmt: skip
def test_lines_of_other_formats_are_read(key: str, text: str, expected: tuple[Any, ...]) -> None:
    assert told(key, text) == expected


def test_cloudfront_tells_the_order_of_its_fields_first() -> None:
    sample = ["#Version: 1.0", HEADER, CLOUDFRONT]
    expected = ("2026-03-01T10:00:00+00:00", "GET", "/v1/a%20b", "q=x", 200, 512)
    assert told("auto", CLOUDFRONT, sample) == expected
    log_format = find_format("auto", sample)
    for comment in sample[:2]:
        with pytest.raises(CommentLineError):
            log_format.read(comment)
    with pytest.raises(UnreadableLineError, match="the order of the fields changes"):
        log_format.read("#Fields: date time")


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("combined", line()),
        ("common", line(tail="")),
        ("json", JSON),
        ("json", CADDY),
        ("alb", ALB),
    ],
)
def test_formats_are_found_out(key: str, text: str) -> None:
    assert find_format("auto", [text, text, "garbage"]).key == key


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        (TIMED, TIMED_LINE, {"host": "api.example.com", "duration": "0.123", "user_id": "k-1"}),
        ("json", JSON[:-1] + ', "http_x_api_key": "k-1", "host": "h"}',
         {"host": "h", "duration": "0.250", "user_id": "k-1"}),
    ],
)  # fmt: skip
def test_what_a_format_has_becomes_properties(
    key: str, text: str, expected: dict[str, str]
) -> None:
    found = properties(key, text, user={"field": "http_x_api_key"})
    assert {name: found[name] for name in expected} == expected


def test_a_load_balancer_tells_the_time_of_a_request_in_three_parts() -> None:
    alb = {"customer": {"field": "host"}}
    assert properties("alb", ALB, **alb)["duration"] == "0.123000"
    assert "duration" not in properties("alb", ALB.replace("0.120", "-1"), **alb)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("json", "{"),
        ("json", "[]"),
        ("json", JSON.replace('"200"', "true")),
        ("json", JSON.replace('"200"', "1e400")),
        ("json", JSON.replace("2026-03-01T11:00:00+01:00", "2026-03-01T11:00:00")),
        ("json", JSON.replace('"2026-03-01T11:00:00+01:00"', "1e17")),
        ("json", JSON.replace('"2026-03-01T11:00:00+01:00"', "99999999999999999")),
        ("json", '{"ts": 1, "method": "get", "path": "/a", "status": 200}'),
        ("json", '{"ts": 1, "status": 200}'),
        ("json", JSON.replace("512", "-1")),
        (TIMED, line(user="bob")),
        ("alb", "https 2026-03-01T10:00:00Z"),
        ("cloudfront", CLOUDFRONT),
        ("cloudfront", "2026-03-01\t10:00:00"),
    ],
)
def test_lines_that_tell_no_request_are_not_guessed_at(key: str, text: str) -> None:
    with pytest.raises(UnreadableLineError, match=r"\.$"):
        find_format(key, []).read(text)


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ("$remote_addr $status $request", "it must have $time_local, $time_iso8601 or $msec"),
        ("[$time_local] $status", "it must have $request, or $request_method and $request_uri"),
        ('[$time_local] "$request"', "it must have $status"),
        ("[$time_local] $status $request $status", "it names $status twice"),
        ("$status" + "x" * 2_000, "it has more than 2,000 characters"),
    ],
)
def test_a_log_format_that_says_too_little_is_told(template: str, sentence: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        find_format(template, [])
    assert sentence in caught.value.message


def test_a_line_made_to_be_slow_is_refused_at_once() -> None:
    log_format = find_format("$remote_addr $host $server_name $msec $request $status $args", [])
    with pytest.raises(UnreadableLineError):
        log_format.read("a " * 100_000)
