"""Formats whose lines are records of named values: JSON lines and CloudFront's."""

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import unquote

import msgspec

from metering.services.event_rules import MOST_DIGITS
from metering.services.log_requests import (
    METHOD,
    NONE,
    CommentLineError,
    FieldReader,
    LogLine,
    UnreadableLineError,
    parse_iso,
    parse_request,
    parse_size,
    parse_status,
    parse_time,
)

# What servers call what every format has, best first; dots lead into objects, as in Caddy's log.
NAMES: Mapping[str, Sequence[str]] = {
    "time": ("time", "timestamp", "@timestamp", "time_iso8601", "time_local", "msec", "ts",
             "StartUTC"),
    "request": ("request", "request_line"),
    "method": ("method", "request_method", "request.method", "RequestMethod", "http_method"),
    "target": ("request_uri", "uri", "url", "path", "target", "request.uri", "RequestPath"),
    "query": ("args", "query_string", "query"),
    "status": ("status", "status_code", "DownstreamStatus"),
    "size": ("body_bytes_sent", "bytes_sent", "bytes", "size", "response_size",
             "DownstreamContentSize"),
    "host": ("host", "http_host", "server_name", "request.host", "RequestHost"),
    "remote_host": ("remote_addr", "remote_host", "remote_ip", "client_ip", "ip",
                    "request.client_ip", "request.remote_ip", "ClientHost"),
    "remote_user": ("remote_user", "user", "user_id", "ClientUsername"),
    "duration": ("request_time", "duration"),
}  # fmt: skip
DEFAULT_FIELDS = (
    "date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer) "
    "cs(User-Agent) cs-uri-query cs(Cookie) x-edge-result-type x-edge-request-id x-host-header "
    "cs-protocol cs-bytes time-taken"
)
FIELDS_HEADER = "#Fields:"
_decoder = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


class JSONFormat:
    """One JSON object a line, with the names that servers usually give."""

    key = "json"
    label = "JSON lines"
    ending = "}"

    def matches(self, text: str) -> bool:
        return text.startswith("{")

    def read(self, text: str) -> LogLine:
        try:
            record = _decoder.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, InvalidOperation, RecursionError) as error:
            raise UnreadableLineError("The line is no JSON object.") from error
        at, status, size = (first(record, NAMES[name]) for name in ("time", "status", "size"))
        if at is None or status is None:
            raise UnreadableLineError("The line has no time or no status under a known name.")
        method, path, query = request_of(record)
        return LogLine(
            parse_time(at),
            method,
            path,
            query,
            parse_status(status),
            None if size is None else parse_size(size),
            record,
        )

    def field_reader(self, name: str) -> FieldReader:
        names = NAMES.get(name, (name,))
        return lambda record: first(record, names)

    def field_names(self) -> list[str]:
        return [*NAMES, "any other that the objects have"]


def request_of(record: dict[str, Any]) -> tuple[str, str, str]:
    line = first(record, NAMES["request"])
    if line is not None:
        return parse_request(line)
    method, target = first(record, NAMES["method"]), first(record, NAMES["target"])
    if method is None or target is None or METHOD.fullmatch(method) is None:
        raise UnreadableLineError("The line has no method and path under a known name.")
    query = first(record, NAMES["query"])
    if query is not None and "?" not in target:
        target = f"{target}?{query.removeprefix('?')}"
    return parse_request(f"{method} {target} HTTP/1.1")


def first(record: dict[str, Any], names: Sequence[str]) -> str | None:
    """Return the first of these values that is there, as a text."""
    for name in names:
        found = record.get(name)
        if found is None and "." in name:
            found = inner(record, name)
        text = found if isinstance(found, str) else number_text(found)
        if text not in {None, "", NONE}:
            return text
    return None


def number_text(value: object) -> str | None:
    if type(value) is int:
        return str(value)
    if isinstance(value, Decimal) and abs(value.adjusted()) <= MOST_DIGITS:
        return format(value, "f")
    return None


def inner(record: Any, name: str) -> Any:
    for part in name.split("."):
        if not isinstance(record, dict):
            return None
        record = record.get(part)
    return record


class CloudFrontFormat:
    """CloudFront's standard log: values between tabs, in the order that a first line tells.

    https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/standard-logs-reference.html
    """

    key = "cloudfront"
    label = "AWS CloudFront"
    ending = ""
    ALIASES: Mapping[str, Sequence[str]] = {
        "remote_host": ("c-ip",),
        "host": ("x-host-header", "cs(Host)"),
        "duration": ("time-taken",),
    }

    def __init__(self, sample: Sequence[str] = ()) -> None:
        header = next((line for line in sample if line.startswith(FIELDS_HEADER)), "")
        self.names = (header.removeprefix(FIELDS_HEADER) or DEFAULT_FIELDS).split()

    def matches(self, text: str) -> bool:
        return text.startswith("#") or text.count("\t") == len(self.names) - 1

    def read(self, text: str) -> LogLine:
        if (
            text.startswith(FIELDS_HEADER)
            and text.removeprefix(FIELDS_HEADER).split() != self.names
        ):
            raise UnreadableLineError(
                "Here the order of the fields changes; import what follows as a file of its own."
            )
        if text.startswith("#"):
            raise CommentLineError
        values = text.split("\t")
        if len(values) != len(self.names):
            raise UnreadableLineError("The line is not in the format cloudfront.")
        record = dict(zip(self.names, values, strict=True))
        try:
            query = record.get("cs-uri-query", NONE)
            return LogLine(
                parse_iso(f"{record['date']}T{record['time']}Z"),
                record["cs-method"],
                unquote(record["cs-uri-stem"], errors="backslashreplace"),
                "" if query == NONE else query,
                parse_status(record["sc-status"]),
                parse_size(record["sc-bytes"]),
                record,
            )
        except KeyError as error:
            raise UnreadableLineError(f"The log does not have the field {error}.") from error

    def field_reader(self, name: str) -> FieldReader | None:
        names = self.ALIASES.get(name, (name,))
        if not set(names) & set(self.names):
            return None
        return lambda record: first(record, names)

    def field_names(self) -> list[str]:
        return [*self.ALIASES, *self.names]
