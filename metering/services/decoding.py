"""Bodies of requests as events: one JSON event, a list, or `{"events": [...]}`.

A whole body is decoded in one step. Only when that fails is it read again, more slowly, to tell
the events that are wrong from those that are not.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import msgspec

from config.errors import InvalidInputError
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


def decode_json(body: bytes) -> Sequence[Item]:
    """Return the events of a JSON body in their order, unreadable ones among them.

    Raises InvalidInputError when the body as a whole is no JSON, or holds no events.
    """
    try:
        if body.lstrip()[:1] == b"[":
            return _list_decoder.decode(body)
        return _wrapped_decoder.decode(body).events
    except (msgspec.DecodeError, UnicodeDecodeError, InvalidOperation, RecursionError):
        return [read_item(item) for item in items_of(read_leniently(body))]


# The media types of requests, each with what reads it. A request that names none sends JSON.
DECODERS: dict[str, Callable[[bytes], Sequence[Item]]] = {"application/json": decode_json}


def read_leniently(body: bytes) -> Any:
    """Parse what a stricter reading refused, so that each event can get a verdict of its own.

    Bytes that are no UTF-8, halves of surrogate pairs, NaN, Infinity and numbers beyond all
    measure are let through as values that no event is stored with.
    """
    try:
        return json.loads(
            body.decode(errors="surrogateescape"),
            parse_float=read_number,
            parse_int=read_integer,
            parse_constant=Decimal,
        )
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        message = f"The body is no valid JSON: {error.msg.removesuffix(' at')} at {place}."
        raise InvalidInputError(message, code="invalid_json") from error
    except RecursionError as error:
        message = "The body is nested too deeply to be read; nothing was stored."
        raise InvalidInputError(message, code=rules.NESTED_TOO_DEEPLY.code) from error


def read_number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal(10) ** rules.MOST_DIGITS


def read_integer(digits: str) -> int | Decimal:
    return int(digits) if len(digits) < LONGEST_INTEGER else Decimal(digits)


def items_of(document: Any) -> list[Any]:
    if isinstance(document, dict):
        document = document.get("events", [document])
    if not isinstance(document, list):
        message = 'Send one event, a list of events, or {"events": [...]}.'
        raise InvalidInputError(message, code="invalid_body")
    return document


def read_item(item: Any) -> Item:
    try:
        return msgspec.convert(item, EventDocument)
    except msgspec.ValidationError as error:
        reason = reason_for(str(error))
    except UnicodeEncodeError:
        reason = rules.INVALID_CHARACTER
    except RecursionError:
        reason = rules.NESTED_TOO_DEEPLY
    event_id = item.get("id") if isinstance(item, dict) else None
    return UnreadableEvent(reason, event_id if isinstance(event_id, str) else "", item)


def reason_for(complaint: str) -> Reason:
    """Return the reason for what the decoder found wrong with an event."""
    if unknown := re.search(r"unknown field `(.*)`", complaint):
        return rules.unknown_field(unknown[1])
    named = re.search(r"(?:required field `|at `\$\.)(\w+)", complaint)
    return rules.INVALID_FIELDS.get(named[1] if named else "", rules.INVALID_EVENT)
