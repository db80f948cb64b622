"""How access logs write a request: the registry of formats, and what is read from a line."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

from config.errors import InvalidInputError

AUTOMATIC = "auto"
NONE = "-"
# What a mapping may take a customer or a user from, where the format has it.
FIELDS = ("remote_host", "remote_user", "host")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
MONTH_NUMBERS = {name: number for number, name in enumerate(MONTHS, start=1)}
CLOCK = re.compile(
    r"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)", re.ASCII
)
# A method and a path, which may stand behind a whole address. Without a protocol it is HTTP/0.9.
REQUEST = re.compile(
    r"([A-Z][A-Z_-]{0,31}) (?:[A-Za-z][A-Za-z0-9+.-]*://[^/?\s]*)?([/?*].*?)(?: HTTP/[0-9.]+)?"
)
# A quote, a backslash or another printable character that the server wrote as \" or \x22.
ESCAPED = re.compile(r'\\(?:(["\\])|x([2-6][0-9A-Fa-f]|7[0-9A-Ea-e]))')

HOST_TO_REQUEST = (
    r"(?P<remote_host>\S+) \S+ (?P<remote_user>.*?) \[(?P<time>[^\]]*)\] "
    r'"(?P<request>(?:[^"\\]|\\.)*)" (?P<status>\d{3}) (?P<size>\d{1,18}|-)'
)


class UnreadableLineError(Exception):
    """Why a line tells of no request."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One request: `target` is its path with the query, `size` the bytes of the answer.

    What the line leaves out is None.
    """

    timestamp: datetime
    method: str
    target: str
    status: int
    size: int
    remote_host: str | None = None
    remote_user: str | None = None
    host: str | None = None
    duration: str | None = None

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]


@dataclass(frozen=True, slots=True)
class LogFormat:
    """A format whose lines match a pattern with named groups.

    Groups are `time`, `request`, `status`, `size`, and those of FIELDS and `duration` that the
    format has. `ending` is what every whole line ends with.
    """

    key: str
    label: str
    pattern: re.Pattern[str]
    ending: str

    @property
    def fields(self) -> list[str]:
        return [name for name in FIELDS if name in self.pattern.groupindex]

    def matches(self, text: str) -> bool:
        return self.pattern.fullmatch(text) is not None

    def read(self, text: str) -> LogLine:
        """Return the request that a line tells of; raises UnreadableLineError if it tells none."""
        line = self.pattern.fullmatch(text)
        if line is None:
            raise UnreadableLineError(f"The line is not in the format {self.key}.")
        request = REQUEST.fullmatch(unescaped(line["request"]))
        if request is None:
            raise UnreadableLineError("The request has no method and path that can be read.")
        method, target = request.groups()
        optional = {
            name: line[name]
            for name in (*FIELDS, "duration")
            if name in self.pattern.groupindex and line[name] not in {NONE, ""}
        }
        return LogLine(
            timestamp=parse_time(line["time"]),
            method=method,
            target=target,
            status=int(line["status"]),
            size=0 if line["size"] == NONE else int(line["size"]),
            **optional,
        )


REGISTRY = {
    log_format.key: log_format
    for log_format in (
        # Referrer and agent are not needed and may be cut short.
        LogFormat("combined", "Combined (Apache)", re.compile(HOST_TO_REQUEST + r' ".*'), '"'),
        LogFormat("common", "Common (Apache)", re.compile(HOST_TO_REQUEST + r"\s*"), ""),
    )
}


def find_format(key: str, sample: Sequence[str]) -> LogFormat:
    """Return the named format, or with `auto` the one that most of the sample is written in.

    Raises InvalidInputError when there is no such format or no line of the sample is in it.
    """
    if key != AUTOMATIC and key not in REGISTRY:
        known = ", ".join([*REGISTRY, AUTOMATIC])
        raise InvalidInputError(
            f"There is no log format {key!r}; use one of {known}.", field="format"
        )
    candidates = list(REGISTRY.values()) if key == AUTOMATIC else [REGISTRY[key]]
    scores = [sum(map(each.matches, sample)) for each in candidates]
    if sample and not any(scores):
        names = " or ".join(each.key for each in candidates)
        raise InvalidInputError(
            f"None of the first {len(sample)} lines is in the format {names}; nothing was imported.",
            field="format",
        )
    return candidates[scores.index(max(scores))]


# Lines of one second follow each other.
@lru_cache(maxsize=1_000)
def parse_time(text: str) -> datetime:
    """Read an instant such as 17/May/2015:10:05:03 +0000; raises UnreadableLineError."""
    found = CLOCK.fullmatch(text)
    try:
        if found is None:
            raise ValueError(text)
        day, month, year, hour, minute, second, sign, zone_hours, zone_minutes = found.groups()
        offset = timedelta(hours=int(zone_hours), minutes=int(zone_minutes))
        zone = timezone(-offset if sign == "-" else offset)
        local = datetime(
            int(year), MONTH_NUMBERS[month], int(day), int(hour), int(minute), int(second),
            tzinfo=zone,
        )  # fmt: skip
        return local.astimezone(UTC)
    except (ValueError, KeyError, OverflowError) as error:
        raise UnreadableLineError(
            "The time cannot be read; it must look like 17/May/2015:10:05:03 +0000."
        ) from error


def unescaped(text: str) -> str:
    """Undo what servers escape in requests; characters without a picture stay escaped."""
    if "\\" not in text:
        return text
    return ESCAPED.sub(lambda found: found[1] or chr(int(found[2], 16)), text)
