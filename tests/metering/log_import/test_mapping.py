"""What lines mean, and every mistake in a mapping told by a sentence."""

from typing import Any

import pytest

from config.errors import InvalidInputError
from metering.services.log_formats import COMBINED
from metering.services.log_mapping import LogMapping, build_mapping, parse_mapping
from tests.metering.log_import.lines import MAPPING, line


def build(**changes: Any) -> LogMapping:
    return build_mapping(MAPPING | changes, COMBINED)


def test_the_file_format_is_that_of_the_documentation() -> None:
    text = """
    event_type: http.request
    customer: {field: remote_user, map: {frank: acme}}
    user: {field: remote_host}
    endpoints:
      - {match: "^/v1/users/[^/]+$", name: "/v1/users/{id}"}
    ignore: {path: "^/health", status: [301]}
    """
    mapping = build_mapping(parse_mapping(text), COMBINED)
    request = COMBINED.read(line("GET /v1/users/7?x=1 HTTP/1.1", user="frank"))
    assert mapping.customer.read(request) == "acme"
    assert mapping.properties_of(request) == {
        "endpoint": "/v1/users/{id}",
        "method": "GET",
        "status": 200,
        "bytes": 512,
        "user_id": "192.0.2.7",
    }


@pytest.mark.parametrize(
    ("customer", "request_line", "name"),
    [
        ({"value": "acme"}, line(), "acme"),
        ({"field": "remote_user"}, line(user="frank"), "frank"),
        ({"field": "remote_user"}, line(user="-"), None),
        ({"field": "remote_host", "map": {"192.0.2.7": "acme"}}, line(), "acme"),
        ({"field": "remote_host", "map": {"192.0.2.8": "acme"}}, line(), None),
        ({"query": "key"}, line("GET /a?x=1&key=a%20b HTTP/1.1"), "a b"),
        ({"query": "key"}, line("GET /a?key=1&key=2 HTTP/1.1"), "1"),
        ({"query": "key"}, line("GET /a?key=%ff HTTP/1.1"), r"\xff"),
        ({"query": "key"}, line("GET /a?keys=1 HTTP/1.1"), None),
        ({"query": "key", "map": {"1": "acme"}}, line("GET /?key=1 HTTP/1.1"), "acme"),
    ],
)
def test_a_customer_comes_from_a_value_a_field_or_the_query(
    customer: dict[str, Any], request_line: str, name: str | None
) -> None:
    assert build(customer=customer).customer.read(COMBINED.read(request_line)) == name


def test_the_first_endpoint_that_matches_names_the_path_and_others_keep_it() -> None:
    endpoints = [{"match": "^/a/\\d+$", "name": "/a/{id}"}, {"match": "^/a", "name": "/a/other"}]
    mapping = build(endpoints=endpoints)
    assert [mapping.endpoint_of(path) for path in ("/a/1", "/a/x", "/b/1", "/A")] == [
        "/a/{id}",
        "/a/other",
        "/b/1",
        "/A",
    ]


def test_paths_and_statuses_are_ignored_as_told() -> None:
    mapping = build(ignore={"path": "^/health", "status": [301, 304]})
    ignored = [line("GET /healthz?x HTTP/1.1"), line(status=301), line(status=304)]
    counted = [line("GET /v1/health HTTP/1.1"), line(status=302)]
    assert all(mapping.is_ignored(COMBINED.read(text)) for text in ignored)
    assert not any(mapping.is_ignored(COMBINED.read(text)) for text in counted)


def test_a_line_without_user_has_no_user_property() -> None:
    mapping = build(user={"field": "remote_user"})
    assert "user_id" not in mapping.properties_of(COMBINED.read(line()))


MISTAKES: list[tuple[Any, str, str]] = [
    (None, "mapping", "must hold names and values"),
    ([], "mapping", "must hold names and values"),
    ({"customer": {"value": "acme"}}, "mapping.event_type", "lacks event_type"),
    ({"event_type": "x"}, "mapping.customer", "lacks customer"),
    (MAPPING | {"event_typ": "x"}, "mapping.event_typ", "has no 'event_typ'; it has"),
    (MAPPING | {5: "x"}, "mapping.5", "has no 5"),
    (MAPPING | {"event_type": 5}, "mapping.event_type", "must be a text"),
    (MAPPING | {"event_type": ""}, "mapping.event_type", "must be a text"),
    (MAPPING | {"event_type": "\0"}, "mapping.event_type", "must be a text"),
    (MAPPING | {"event_type": "x" * 101}, "mapping.event_type", "at most 100"),
    (MAPPING | {"customer": "acme"}, "mapping.customer", "must hold names and values"),
    (MAPPING | {"customer": {}}, "mapping.customer", "exactly one of value, field, query"),
    (MAPPING | {"customer": {"value": "a", "field": "b"}}, "mapping.customer", "exactly one"),
    (MAPPING | {"customer": {"value": 7}}, "mapping.customer.value", "numbers and dates in quotes"),
    (
        MAPPING | {"customer": {"field": "host"}},
        "mapping.customer.field",
        "The format combined has no field 'host'; it has remote_host, remote_user",
    ),
    (MAPPING | {"customer": {"value": "a", "map": {"a": "b"}}}, "mapping.customer.map", "turns"),
    (MAPPING | {"customer": {"query": "k", "map": {}}}, "mapping.customer.map", "turns"),
    (MAPPING | {"customer": {"query": "k", "map": {1: "b"}}}, "mapping.customer.map", "quotes"),
    (MAPPING | {"customer": {"query": "k", "map": {"1": 2}}}, "mapping.customer.map.1", "quotes"),
    (MAPPING | {"user": {"value": "x"}}, "mapping.user.value", "has no 'value'"),
    (MAPPING | {"endpoints": {}}, "mapping.endpoints", "is a list"),
    (MAPPING | {"endpoints": ["x"]}, "mapping.endpoints.0", "must hold names"),
    (MAPPING | {"endpoints": [{"match": "x"}]}, "mapping.endpoints.0.name", "lacks name"),
    (
        MAPPING | {"endpoints": [{"match": "(", "name": "x"}]},
        "mapping.endpoints.0.match",
        "is no regular expression: missing ), unterminated subpattern in '('.",
    ),
    (MAPPING | {"ignore": {"path": "["}}, "mapping.ignore.path", "is no regular expression"),
    (MAPPING | {"ignore": {"status": 301}}, "mapping.ignore.status", "is a list of HTTP statuses"),
    (MAPPING | {"ignore": {"status": ["301"]}}, "mapping.ignore.status", "is a list"),
    (MAPPING | {"ignore": {"statuses": []}}, "mapping.ignore.statuses", "has no 'statuses'"),
]


@pytest.mark.parametrize(("document", "field", "sentence"), MISTAKES)
def test_a_mistake_is_told_with_its_place(document: Any, field: str, sentence: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        build_mapping(document, COMBINED)
    assert caught.value.field == field
    assert sentence in caught.value.message
    assert caught.value.message.endswith(".")


@pytest.mark.parametrize(
    "text", ["a: b: c", "{", "\0", "a: !!python/object:os.system {}", "2026-99-99"]
)
def test_a_file_that_is_no_yaml_is_told(text: str) -> None:
    with pytest.raises(InvalidInputError, match="is no valid YAML"):
        parse_mapping(text)
