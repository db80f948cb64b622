"""What the lines of an access log mean: whose requests they are, and what endpoints are called.

docs/access-logs.md shows a mapping file. Every mistake in one is told by a sentence before
anything is read.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs

import yaml

from config.errors import InvalidInputError
from metering.filters import is_storable
from metering.services.event_rules import LONGEST_TYPE
from metering.services.log_formats import LogFormat, LogLine

SOURCES = ("value", "field", "query")
MOST_NAMED_PATHS = 65_536


@dataclass(frozen=True, slots=True)
class Source:
    """Where a name comes from: a fixed value, a field of the line, or a parameter of the query.

    `names` says what the found texts stand for; where it is None they stand for themselves.
    """

    kind: str
    name: str
    names: Mapping[str, str] | None = None

    def read(self, line: LogLine) -> str | None:
        found = READERS[self.kind](line, self.name)
        return found if self.names is None or found is None else self.names.get(found)

    def fixed_names(self) -> set[str]:
        """Return the names that are known without any line."""
        if self.kind == "value":
            return {self.name}
        return set(self.names.values()) if self.names is not None else set()


def query_parameter(line: LogLine, name: str) -> str | None:
    return parse_qs(line.query, errors="backslashreplace").get(name, [None])[0]


READERS: dict[str, Callable[[LogLine, str], str | None]] = {
    "value": lambda line, name: name,
    "field": lambda line, name: getattr(line, name),
    "query": query_parameter,
}


class LogMapping:
    """A mapping that was found right; `document` is how it was written."""

    def __init__(
        self,
        *,
        document: dict[str, Any],
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
        self.endpoint_of = lru_cache(maxsize=MOST_NAMED_PATHS)(self.find_endpoint)

    def is_ignored(self, line: LogLine) -> bool:
        if line.status in self.ignored_statuses:
            return True
        return self.ignored_path is not None and self.ignored_path.search(line.path) is not None

    def find_endpoint(self, path: str) -> str:
        """Return the name of the first endpoint that the path matches, or the path itself."""
        return next((name for pattern, name in self.endpoints if pattern.search(path)), path)

    def properties_of(self, line: LogLine) -> dict[str, Any]:
        properties: dict[str, Any] = {
            "endpoint": self.endpoint_of(line.path),
            "method": line.method,
            "status": line.status,
            "bytes": line.size,
        }
        user_id = self.user.read(line) if self.user is not None else None
        optional = {"user_id": user_id, "host": line.host, "duration": line.duration}
        return properties | {name: value for name, value in optional.items() if value is not None}


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
    if kind == "field" and name not in log_format.fields:
        fields = ", ".join(log_format.fields)
        message = f"The format {log_format.key} has no field {name!r}; it has {fields}."
        raise wrong(f"{where}.field", message)
    if "map" not in parts:
        return Source(kind, name)
    if kind == "value" or not isinstance(parts["map"], dict) or not parts["map"]:
        raise wrong(f"{where}.map", f"{where}.map turns what a field or query says into names.")
    names = {
        expect_text(found, f"{where}.map"): expect_text(meant, f"{where}.map.{found}")
        for found, meant in parts["map"].items()
    }
    return Source(kind, name, names)


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
