"""What the lines of an access log mean: whose requests they are, and what endpoints are called.

docs/access-logs.md shows a mapping file. Every mistake in one is told by a sentence before
anything is read.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_plus

import msgspec
import yaml

from config.errors import InvalidInputError
from metering.filters import is_storable
from metering.services.event_rules import LONGEST_TYPE
from metering.services.log_requests import FieldReader, LogFormat, LogLine

SOURCES = ("value", "field", "query")
MOST_NAMED_PATHS = 65_536
_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Source:
    """Where a name comes from: a fixed value, a field of the line, or a parameter of the query.

    `names` says what the found texts stand for; where it is None they stand for themselves.
    `read_field` reads the field, where it is one.
    """

    kind: str
    name: str
    names: Mapping[str, str] | None = None
    read_field: FieldReader | None = None

    def read(self, line: LogLine) -> str | None:
        if self.read_field is not None:
            found = self.read_field(line.fields)
        elif self.kind == "query":
            found = query_parameter(line.query, self.name)
        else:
            return self.name
        return found if self.names is None or found is None else self.names.get(found)

    def fixed_names(self) -> set[str]:
        """Return the names that are known without any line."""
        if self.kind == "value":
            return {self.name}
        return set(self.names.values()) if self.names is not None else set()


def query_parameter(query: str, name: str) -> str | None:
    """Return the first value of a parameter that is not empty."""
    for pair in query.split("&"):
        key, _, value = pair.partition("=")
        if value and (key == name or unquote_plus(key, errors="backslashreplace") == name):
            return unquote_plus(value, errors="backslashreplace")
    return None


class LogMapping:
    """A mapping that was found right; `document` is how it was written."""

    def __init__(
        self,
        *,
        document: dict[str, Any],
        log_format: LogFormat,
        event_type: str,
        customer: Source,
        user: Source | None,
        endpoints: Sequence[tuple[re.Pattern[str], str]],
        ignored_path: re.Pattern[str] | None,
        ignored_statuses: frozenset[int],
    ) -> None:
        self.document = document
        self.event_type = event_type
        self.customer = customer
        self.user = user
        self.endpoints = endpoints
        self.ignored_path = ignored_path
        self.ignored_statuses = ignored_statuses
        self.read_host = log_format.field_reader("host")
        self.read_duration = log_format.field_reader("duration")
        self.quoted_endpoint_of = lru_cache(maxsize=MOST_NAMED_PATHS)(
            lambda path: quoted(self.endpoint_of(path))
        )

    @property
    def ignores_any(self) -> bool:
        return bool(self.ignored_statuses) or self.ignored_path is not None

    def is_ignored(self, line: LogLine) -> bool:
        if line.status in self.ignored_statuses:
            return True
        return self.ignored_path is not None and self.ignored_path.search(line.path) is not None

    def endpoint_of(self, path: str) -> str:
        """Return the name of the first endpoint that the path matches, or the path itself."""
        return next((name for pattern, name in self.endpoints if pattern.search(path)), path)

    def properties_of(self, line: LogLine) -> dict[str, Any]:
        """Return the properties that a request's event carries; `as_json` is the same written."""
        readings = {"host": self.read_host, "duration": self.read_duration}
        optional = {
            name: read(line.fields) for name, read in readings.items() if read is not None
        } | {"bytes": line.size, "user_id": self.user_of(line)}
        return {
            "endpoint": self.endpoint_of(line.path),
            "method": line.method,
            "status": line.status,
        } | {name: value for name, value in optional.items() if value is not None}

    def as_json(self, line: LogLine) -> str:
        """Return the properties as JSON with sorted keys; this is what most of an import does."""
        took = at = by = ""
        if self.read_duration is not None:
            duration = self.read_duration(line.fields)
            took = "" if duration is None else f'"duration":{quoted(duration)},'
        if self.read_host is not None:
            host = self.read_host(line.fields)
            at = "" if host is None else f'"host":{quoted(host)},'
        if self.user is not None:
            user = self.user.read(line)
            by = "" if user is None else f',"user_id":{quoted(user)}'
        size = "" if line.size is None else f'"bytes":{line.size},'
        return (
            f'{{{size}{took}"endpoint":{self.quoted_endpoint_of(line.path)},{at}'
            f'"method":"{line.method}","status":{line.status}{by}}}'
        )

    def user_of(self, line: LogLine) -> str | None:
        return self.user.read(line) if self.user is not None else None


@lru_cache(maxsize=MOST_NAMED_PATHS)
def quoted(text: str) -> str:
    return _encoder.encode(text).decode()


def parse_mapping(text: str) -> Any:
    """Read a mapping file; raises InvalidInputError when it is no YAML."""
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise wrong("", f"The mapping is no valid YAML: {' '.join(str(error).split())}.") from error


def build_mapping(document: Any, log_format: LogFormat) -> LogMapping:
    """Make a mapping for logs of this format from its document.

    Raises InvalidInputError, with a sentence and the path of the first mistake.
    """
    parts = expect_keys(document, "", {"event_type", "customer"}, {"user", "endpoints", "ignore"})
    event_type = expect_text(parts["event_type"], "event_type")
    if len(event_type) > LONGEST_TYPE:
        raise wrong("event_type", f"event_type has at most {LONGEST_TYPE} characters.")
    ignore = expect_keys(parts.get("ignore", {}), "ignore", set(), {"path", "status"})
    ignored_path = expect_pattern(ignore["path"], "ignore.path") if "path" in ignore else None
    user = None
    if "user" in parts:
        user = build_source(parts["user"], "user", ("field", "query"), log_format)
    return LogMapping(
        document=parts,
        log_format=log_format,
        event_type=event_type,
        customer=build_source(parts["customer"], "customer", SOURCES, log_format),
        user=user,
        endpoints=build_endpoints(parts.get("endpoints", [])),
        ignored_path=ignored_path,
        ignored_statuses=build_statuses(ignore.get("status", [])),
    )


def build_source(value: Any, where: str, kinds: Sequence[str], log_format: LogFormat) -> Source:
    parts = expect_keys(value, where, set(), {*kinds, "map"})
    named = [kind for kind in kinds if kind in parts]
    if len(named) != 1:
        raise wrong(where, f"{where} takes exactly one of {', '.join(kinds)}.")
    kind = named[0]
    name = expect_text(parts[kind], f"{where}.{kind}")
    read_field = log_format.field_reader(name) if kind == "field" else None
    if kind == "field" and read_field is None:
        fields = ", ".join(log_format.field_names())
        message = f"The format {log_format.key} has no field {name!r}; it has {fields}."
        raise wrong(f"{where}.field", message)
    if "map" not in parts:
        return Source(kind, name, read_field=read_field)
    if kind == "value" or not isinstance(parts["map"], dict) or not parts["map"]:
        raise wrong(f"{where}.map", f"{where}.map turns what a field or query says into names.")
    names = {
        expect_text(found, f"{where}.map"): expect_text(meant, f"{where}.map.{found}")
        for found, meant in parts["map"].items()
    }
    return Source(kind, name, names, read_field)


def build_endpoints(value: Any) -> list[tuple[re.Pattern[str], str]]:
    if not isinstance(value, list):
        raise wrong("endpoints", "endpoints is a list of {match: a regular expression, name: ...}.")
    endpoints = []
    for index, item in enumerate(value):
        where = f"endpoints.{index}"
        parts = expect_keys(item, where, {"match", "name"}, set())
        pattern = expect_pattern(parts["match"], f"{where}.match")
        endpoints.append((pattern, expect_text(parts["name"], f"{where}.name")))
    return endpoints


def build_statuses(value: Any) -> frozenset[int]:
    is_list = isinstance(value, list)
    if not is_list or any(type(status) is not int or not 100 <= status <= 999 for status in value):
        raise wrong(
            "ignore.status", "ignore.status is a list of HTTP statuses, such as [301, 304]."
        )
    return frozenset(value)


def expect_keys(
    value: Any, where: str, required: Collection[str], optional: Collection[str]
) -> dict[str, Any]:
    name = where or "The mapping"
    if not isinstance(value, dict):
        raise wrong(where, f"{name} must hold names and values, such as event_type: http.request.")
    for key in value:
        if key not in required and key not in optional:
            known = ", ".join(sorted({*required, *optional}))
            raise wrong(joined(where, key), f"{name} has no {key!r}; it has {known}.")
    for key in sorted(required):
        if key not in value:
            raise wrong(joined(where, key), f"{name} lacks {key}.")
    return value


def expect_text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value or not is_storable(value):
        raise wrong(where, f"{where} must be a text; write numbers and dates in quotes.")
    return value


def expect_pattern(value: Any, where: str) -> re.Pattern[str]:
    try:
        return re.compile(expect_text(value, where))
    except re.error as error:
        message = f"{where} is no regular expression: {error.msg} in {value!r}."
        raise wrong(where, message) from error


def joined(where: str, key: object) -> str:
    return f"{where}.{key}".strip(".")


def wrong(where: str, message: str) -> InvalidInputError:
    return InvalidInputError(message, field=joined("mapping", where))
