"""Formats whose lines match a pattern: Apache's and nginx's, ALB's, and any nginx log_format."""

import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, cast, override

from config.errors import InvalidInputError
from metering.services.log_requests import (
    NONE,
    FieldReader,
    LogLine,
    UnreadableLineError,
    parse_clock,
    parse_iso,
    parse_request,
    parse_seconds,
    parse_size,
    parse_status,
)

QUOTED = r'[^"\\]*(?:\\.[^"\\]*)*'
# Most requests are simple and come apart in the same step; others are looked at again.
REQUEST = (
    r"(?:(?P<request_method>GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS) (?P<plain_path>/[^ \"\\?]*)"
    rf'(?:\?(?P<plain_query>[^ "\\]*))? HTTP/[0-9.]+|(?P<request>{QUOTED}))'
)
HOST_TO_SIZE = (
    r"(?P<remote_host>\S+) \S+ (?P<remote_user>.*?) \[(?P<time_local>[^\]]*)\] "
    rf'"{REQUEST}" (?P<status>\d{{3}}) (?P<size>\d{{1,18}}|-)'
)
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-access-logs.html
ALB = (
    r"(?P<type>http|https|h2|grpcs|ws|wss) (?P<time_iso8601>\S+) (?P<elb>\S+) "
    r"(?P<remote_host>\S+):\d+ (?P<target>\S+) (?P<request_time>\S+) (?P<target_time>\S+) "
    r"(?P<response_time>\S+) (?P<status>\d{3}) (?P<target_status>\S+) (?P<received_bytes>\d+) "
    rf'(?P<size>\d{{1,18}}) "(?P<request>{QUOTED})" "(?P<user_agent>{QUOTED})" \S+ \S+ '
    rf'(?P<target_group_arn>\S+) "(?P<trace_id>{QUOTED})"(?: "(?P<host>{QUOTED})")?.*'
)
TIMES: Mapping[str, Callable[[str], int]] = {
    "time_local": parse_clock,
    "time_iso8601": parse_iso,
    "msec": parse_seconds,
}
# What nginx calls what every format has, best first.
# https://nginx.org/en/docs/http/ngx_http_log_module.html
VARIABLES = {
    "remote_host": ("remote_addr", "realip_remote_addr"),
    "size": ("body_bytes_sent", "bytes_sent"),
    "host": ("host", "http_host", "server_name"),
    "duration": ("request_time",),
    "target": ("request_uri", "uri"),
}
LONGEST_TEMPLATE = 2_000
NOTHING = frozenset({NONE, "", None})
VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))", re.ASCII)


class PatternFormat:
    """A format whose lines match a pattern.

    Its groups are a time, `status`, a request and whatever else the line has; `aliases` are further
    names of groups.
    """

    def __init__(
        self,
        key: str,
        label: str,
        pattern: str,
        *,
        ending: str = "",
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        self.key = key
        self.label = label
        self.ending = ending
        self.pattern = re.compile(pattern)
        self.groups = {name: name for name in self.pattern.groupindex} | dict(aliases or {})
        time = next(name for name in TIMES if name in self.groups)
        self.parse_time = TIMES[time]
        self.at, self.status = self.place(time), self.place("status")
        self.request = self.place("request") if "request" in self.groups else None
        self.path = self.place("plain_path") if "plain_path" in self.groups else None
        self.size = self.place("size") if "size" in self.groups else None

    def place(self, name: str) -> int:
        """Return which of a line's values is meant by a name."""
        return self.pattern.groupindex[self.groups[name]] - 1

    def matches(self, text: str) -> bool:
        return self.pattern.fullmatch(text) is not None

    def read(self, text: str) -> LogLine:
        line = self.pattern.fullmatch(text)
        if line is None:
            raise UnreadableLineError(f"The line is not in the format {self.key}.")
        values = line.groups()
        place = self.path
        if place is not None and values[place] is not None:
            method, path, query = values[place - 1], values[place], values[place + 1] or ""
        else:
            method, path, query = parse_request(self.request_of(line))
        return LogLine(
            self.parse_time(values[self.at]),
            method,
            path,
            query,
            parse_status(values[self.status]),
            None if self.size is None else parse_size(values[self.size]),
            values,
        )

    def request_of(self, line: re.Match[str]) -> str:
        if self.request is not None:
            return line["request"]
        target = line[self.groups["target"]]
        if "args" in self.groups and "?" not in target and line["args"] not in {"", NONE}:
            target = f"{target}?{line['args']}"
        return f"{line['request_method']} {target} HTTP/1.1"

    def field_reader(self, name: str) -> FieldReader | None:
        if name not in self.groups:
            return None
        place = self.place(name)

        def read(values: Any) -> str | None:
            found = cast("str", values[place])
            return None if found in NOTHING else found

        return read

    def field_names(self) -> list[str]:
        return list(self.groups)


class ALBFormat(PatternFormat):
    """AWS's load balancer tells the time of a request in three parts; -1 says that one failed."""

    PARTS = ("request_time", "target_time", "response_time")

    def __init__(self) -> None:
        super().__init__("alb", "AWS Application Load Balancer", ALB, ending='"')
        self.groups["duration"] = self.PARTS[0]

    @override
    def field_reader(self, name: str) -> FieldReader | None:
        return self.duration if name == "duration" else super().field_reader(name)

    def duration(self, values: Any) -> str | None:
        microseconds = 0
        for part in self.PARTS:
            found = re.fullmatch(r"(\d{1,9})\.(\d{1,6})", values[self.place(part)])
            if found is None:
                return None
            microseconds += int(found[1]) * 1_000_000 + int(found[2].ljust(6, "0"))
        return f"{microseconds // 1_000_000}.{microseconds % 1_000_000:06}"


def nginx_format(template: str) -> PatternFormat:
    """Return the format of an nginx `log_format` string, such as '$remote_addr [$time_local] ...'.

    Raises InvalidInputError when it has no time, request or status, or names a variable twice.
    """
    if len(template) > LONGEST_TEMPLATE:
        raise wrong_template(f"it has more than {LONGEST_TEMPLATE:,} characters")
    pattern, names = pattern_of(template)
    known = {name: name for name in names}
    aliases = {
        standard: found
        for standard, variables in VARIABLES.items()
        if (found := next((each for each in variables if each in known), None)) is not None
    }
    has_request = "request" in known or {"request_method", "target"} <= {*known, *aliases}
    for is_there, wanted in (
        (not known.keys().isdisjoint(TIMES), "$time_local, $time_iso8601 or $msec"),
        (has_request, "$request, or $request_method and $request_uri"),
        ("status" in known, "$status"),
    ):
        if not is_there:
            raise wrong_template(f"it must have {wanted}")
    literal_end = VARIABLE.split(template)[-1]
    return PatternFormat(template, "nginx log_format", pattern, ending=literal_end, aliases=aliases)


def pattern_of(template: str) -> tuple[str, list[str]]:
    """Return a regular expression for the lines and the names of the variables in it."""
    found = list(VARIABLE.finditer(template))
    names = [each[1] or each[2] for each in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise wrong_template(f"it names ${twice[0]} twice")
    edges = [0, *(edge for each in found for edge in each.span()), len(template)]
    # Literals and variables take turns, beginning and ending with a literal that may be empty.
    literals = [template[begin:end] for begin, end in list(pairwise(edges))[::2]]
    parts = [re.escape(literals[0])]
    for index, name in enumerate(names):
        before, after = literals[index], literals[index + 1]
        parts.append(f"(?P<{name}>{value_pattern(name, before, after)}){re.escape(after)}")
    return "".join(parts), names


def value_pattern(name: str, before: str, after: str) -> str:
    """Return what a variable's value between two literals can be.

    Only what may hold blanks is looked for at length, so that no line takes long to be refused.
    """
    if before.endswith('"') and after.startswith('"'):
        return QUOTED
    if name == "time_local":
        return r"\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}"
    if not after:
        return ".*"
    has_blanks = name in {"remote_user", "request"} or name.startswith(("http_", "upstream_"))
    return ".*?" if has_blanks else f"[^{re.escape(after[0])}]*"


def wrong_template(reason: str) -> InvalidInputError:
    return InvalidInputError(
        f"The log_format string cannot be used: {reason}. Give it as it stands in nginx's "
        "configuration, in one piece.",
        field="format",
    )
