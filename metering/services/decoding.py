"""Bodies of requests as events: one JSON event, a list, `{"events": [...]}`, or one on each line.

A whole body is decoded in one step. Only when that fails, or could have lost something, is it read
again, more slowly, to tell the events that are wrong from those that are not.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import msgspec

from config.errors import InvalidInputError, TooLargeError
from metering.services import event_rules as rules
from metering.services.event_rules import Reason

# Python refuses to make an integer of more than 4,300 digits; none that long can be stored.
LONGEST_INTEGER = 1_000


class EventDocument(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One event as its sender writes it."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=rules.LONGEST_ID)]
    type: Annotated[str, msgspec.Meta(min_length=1, max_length=rules.LONGEST_TYPE)]
    customer: str | None = None
    timestamp: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    properties: dict[str, Any] | None = None


class EventList(msgspec.Struct):
    events: list[EventDocument]


@dataclass(frozen=True, slots=True)
class UnreadableEvent:
    """What stands in an event's place and is none, with its id if it has one."""

    reason: Reason
    id: str
    document: object


type Item = EventDocument | UnreadableEvent

_list_decoder = msgspec.json.Decoder(list[EventDocument], float_hook=Decimal)
_wrapped_decoder = msgspec.json.Decoder(EventList, float_hook=Decimal)
_event_decoder = msgspec.json.Decoder(EventDocument, float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")

# What strict decoding raises for what a more lenient reading may still understand.
NOT_STRICT = (
    msgspec.DecodeError, UnicodeDecodeError, UnicodeEncodeError, InvalidOperation, RecursionError,
)  # fmt: skip


def decode_json(body: bytes) -> Sequence[Item]:
    """Return the events of a JSON body in their order, unreadable ones among them.

    Raises InvalidInputError when the body as a whole is no JSON, or holds no events, and
    TooLargeError when it holds too many.
    """
    try:
        decoded = decode_strictly(body)
        if not may_repeat_names(decoded, body):
            return within_limit(events_of(decoded))
    except NOT_STRICT:
        pass
    return [read_item(item) for item in items_of(read_leniently(body))]


def decode_lines(body: bytes) -> Sequence[Item]:
    """Return the events of a body that has one on each line; empty lines count for nothing.

    A line that is no JSON is an unreadable event and spoils no other line. Raises TooLargeError
    when there are too many lines.
    """
    try:
        events = _event_decoder.decode_lines(body)
        if not may_repeat_names(events, body):
            return within_limit(events)
    except NOT_STRICT:
        pass
    lines = [line for line in body.split(b"\n") if line.strip()]
    return [read_line(line) for line in within_limit(lines)]


def decode_strictly(body: bytes) -> list[EventDocument] | EventList | EventDocument:
    if body.lstrip()[:1] == b"[":
        return _list_decoder.decode(body)
    try:
        return _wrapped_decoder.decode(body)
    except msgspec.ValidationError:
        return _event_decoder.decode(body)


def events_of(decoded: list[EventDocument] | EventList | EventDocument) -> list[EventDocument]:
    if isinstance(decoded, EventList):
        return decoded.events
    return [decoded] if isinstance(decoded, EventDocument) else decoded


def may_repeat_names(decoded: object, body: bytes) -> bool:
    """Tell whether an object of the body may name a field twice, of which decoding keeps the last.

    Then fewer quotation marks are left than were sent. Null fields and marks written as numbers
    have the same effect without harm, so this only asks for a second look.
    """
    return body.count(b'"') != _encoder.encode(decoded).count(b'"') or b"\\u0022" in body


def read_line(line: bytes) -> Item:
    try:
        return read_item(read_leniently(line))
    except InvalidInputError as error:
        text = line.decode(errors="backslashreplace")
        return UnreadableEvent(Reason(error.code, error.message), "", text)


class RepeatedNames(dict[str, Any]):
    """A JSON object that names a field twice."""


def read_leniently(body: bytes) -> Any:
    """Parse what a stricter reading refused, so that each event can get a verdict of its own.

    Bytes that are no UTF-8, halves of surrogate pairs, NaN, Infinity, repeated names and numbers
    beyond all measure are let through as values that no event is stored with.
    """
    try:
        return json.loads(
            body.decode(errors="surrogateescape"),
            object_pairs_hook=read_object,
            parse_float=read_number,
            parse_int=read_integer,
            parse_constant=Decimal,
        )
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        message = f"This is no valid JSON: {error.msg.removesuffix(' at')} at {place}."
        raise InvalidInputError(message, code=rules.INVALID_JSON) from error
    except RecursionError as error:
        message = "This is nested too deeply to be read; nothing of it was stored."
        raise InvalidInputError(message, code=rules.NESTED_TOO_DEEPLY.code) from error


def read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    return read if len(read) == len(pairs) else RepeatedNames(read)


def read_number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal(10) ** rules.MOST_DIGITS


def read_integer(digits: str) -> int | Decimal:
    return int(digits) if len(digits) < LONGEST_INTEGER else Decimal(digits)


def items_of(document: Any) -> list[Any]:
    if isinstance(document, RepeatedNames) and "events" in document:
        raise InvalidInputError("Send events once.", field="events", code=rules.DUPLICATE_KEY.code)
    if isinstance(document, dict):
        document = document.get("events", [document])
    if not isinstance(document, list):
        message = 'Send one event, a list of events, or {"events": [...]}.'
        raise InvalidInputError(message, code="invalid_body")
    return within_limit(document)


def within_limit[T](items: list[T]) -> list[T]:
    """Return as many items as one request may hold; raises TooLargeError for more."""
    if len(items) > rules.MOST_EVENTS:
        raise TooLargeError(rules.TOO_LARGE)
    return items


def read_item(item: Any) -> Item:
    return read_as(EventDocument, item, rules.INVALID_FIELDS)


def read_as[T: msgspec.Struct](
    kind: type[T], item: Any, reasons: Mapping[str, Reason]
) -> T | UnreadableEvent:
    """Read an item of a body; `reasons` say by the name of a field what is wrong with it."""
    try:
        document = msgspec.convert(item, kind)
        if not any(isinstance(part, RepeatedNames) for part in parts_of(item)):
            return document
        reason = rules.DUPLICATE_KEY
    except msgspec.ValidationError as error:
        reason = reason_for(str(error), reasons)
    except UnicodeEncodeError:
        reason = rules.INVALID_CHARACTER
    except RecursionError:
        reason = rules.NESTED_TOO_DEEPLY
    event_id = item.get("id") if isinstance(item, dict) else None
    return UnreadableEvent(reason, event_id if isinstance(event_id, str) else "", item)


def parts_of(item: Any) -> Iterator[Any]:
    """Yield a JSON value and everything inside it."""
    waiting = [item]
    while waiting:
        part = waiting.pop()
        yield part
        if isinstance(part, dict):
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part


def reason_for(complaint: str, reasons: Mapping[str, Reason]) -> Reason:
    """Return the reason for what the decoder found wrong with an event."""
    if unknown := re.search(r"unknown field `(.*)`", complaint):
        return rules.unknown_field(unknown[1])
    named = re.search(r"(?:required field `|at `\$\.)(\w+)", complaint)
    return reasons.get(named[1] if named else "", rules.INVALID_EVENT)
