"""What a line of an access log tells of a request, whatever format it is in."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Protocol

import msgspec

from metering.services.screening import EPOCH, MICROSECOND

NONE = "-"
SECONDS = {f":{second:02} ": second * 1_000_000 for second in range(60)}
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
MONTH_NUMBERS = {name: number for number, name in enumerate(MONTHS, start=1)}
CLOCK = re.compile(
    r"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)", re.ASCII
)
# A method and a path, which may stand behind a whole address. Without a protocol it is HTTP/0.9.
REQUEST = re.compile(
    r"([A-Z][A-Z_-]{0,31}) (?:[A-Za-z][A-Za-z0-9+.-]*://[^/?\s]*)?([/?*].*?)(?: HTTP/[0-9.]+)?"
)
METHOD = re.compile(r"[A-Z][A-Z_-]{0,31}")
# A quote, a backslash or another printable character that the server wrote as \" or \x22.
ESCAPED = re.compile(r'\\(?:(["\\])|x([2-6][0-9A-Fa-f]|7[0-9A-Ea-e]))')
# Longer numbers of seconds are milliseconds: seconds reach this in the year 5138.
FIRST_MILLISECONDS = 100_000_000_000
LAST_SECOND = FIRST_MILLISECONDS
LONGEST_NUMBER = 18
STATUSES = {str(status): status for status in range(100, 1_000)}
PLAIN_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})

type FieldReader = Callable[[Any], str | None]


class UnreadableLineError(Exception):
    """Why a line tells of no request."""


class CommentLineError(Exception):
    """Raised for a line that is none of a request by the rules of its format."""


class LogLine(msgspec.Struct, gc=False):
    """One request.

    `microseconds` are counted from 1970 in UTC, `size` is the bytes of the answer, None where the
    format does not say. `fields` is what the format's field readers read from.
    """

    microseconds: int
    method: str
    path: str
    query: str
    status: int
    size: int | None
    fields: Any = None


class LogFormat(Protocol):
    """How a server writes its log. `ending` is what every whole line ends with."""

    key: str
    label: str
    ending: str

    def matches(self, text: str) -> bool:
        """Tell whether a line is in this format, whatever it says."""

    def read(self, text: str) -> LogLine:
        """Return the request that a line tells of.

        Raises UnreadableLineError if it tells none, CommentLineError if it is not meant to.
        """

    def field_reader(self, name: str) -> FieldReader | None:
        """Return what reads a field from `LogLine.fields`, or None if there is no such field."""

    def field_names(self) -> list[str]:
        """Return the names that a person may be told; others may be possible."""


def parse_request(request: str) -> tuple[str, str, str]:
    """Return method, path and query of a request line; raises UnreadableLineError."""
    parts = request.split(" ")
    if len(parts) == 3 and parts[0] in PLAIN_METHODS and "\\" not in request:
        method, target, protocol = parts
        if target[:1] == "/" and protocol[:5] == "HTTP/":
            path, _, query = target.partition("?")
            return method, path, query
    found = REQUEST.fullmatch(unescaped(request))
    if found is None:
        raise UnreadableLineError("The request has no method and path that can be read.")
    path, _, query = found[2].partition("?")
    return found[1], path, query


def unescaped(text: str) -> str:
    """Undo what servers escape in requests; characters without a picture stay escaped."""
    if "\\" not in text:
        return text
    return ESCAPED.sub(lambda found: found[1] or chr(int(found[2], 16)), text)


# Lines of one second follow each other, and so do those of one minute.
@lru_cache(maxsize=1_000)
def parse_clock(text: str) -> int:
    """Read an instant such as 17/May/2015:10:05:03 +0000; raises UnreadableLineError."""
    second = SECONDS.get(text[17:21])
    if second is None:
        return parse_whole_clock(text)
    return parse_minute(text[:17], text[21:]) + second


@lru_cache(maxsize=1_000)
def parse_minute(minute: str, zone: str) -> int:
    return parse_whole_clock(f"{minute}:00 {zone}")


def parse_whole_clock(text: str) -> int:
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
        return microseconds_of(local)
    except (ValueError, KeyError, OverflowError) as error:
        raise UnreadableLineError(
            "The time cannot be read; it must look like 17/May/2015:10:05:03 +0000."
        ) from error


@lru_cache(maxsize=1_000)
def parse_iso(text: str) -> int:
    """Read an instant such as 2026-03-01T10:00:00.25Z; raises UnreadableLineError."""
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is None:
            raise ValueError(text)
        return microseconds_of(found)
    except (ValueError, OverflowError) as error:
        raise UnreadableLineError(
            "The time cannot be read; it must look like 2026-03-01T10:00:00Z, with an offset."
        ) from error


def parse_seconds(text: str) -> int:
    """Read seconds since 1970 with their fraction, or milliseconds; raises UnreadableLineError."""
    try:
        seconds = Decimal(text)
        if len(text) > LONGEST_NUMBER or not seconds.is_finite():
            raise InvalidOperation
    except InvalidOperation as error:
        raise UnreadableLineError("The time is no number of seconds since 1970.") from error
    if abs(seconds) >= FIRST_MILLISECONDS:
        seconds /= 1_000
    if abs(seconds) >= LAST_SECOND:
        raise UnreadableLineError("The time lies thousands of years away.")
    return int(seconds * 1_000_000)


def parse_time(text: str) -> int:
    """Read an instant in any of these forms; raises UnreadableLineError."""
    if text[4:5] == "-":
        return parse_iso(text)
    return parse_clock(text) if "/" in text else parse_seconds(text)


def microseconds_of(at: datetime) -> int:
    return (at.astimezone(UTC) - EPOCH) // MICROSECOND


def parse_status(text: str) -> int:
    status = STATUSES.get(text)
    if status is None:
        raise UnreadableLineError("The status is not of three digits.")
    return status


def parse_size(text: str) -> int:
    if text.isdecimal() and len(text) <= LONGEST_NUMBER:
        return int(text)
    if text != NONE:
        raise UnreadableLineError("The size of the answer is no number of bytes.")
    return 0
