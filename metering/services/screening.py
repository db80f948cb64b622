"""Which events can be counted: whose they are, when they happened, and what they carry."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from metering.identity import content_digest, id_digest
from metering.numbers import plain
from metering.services import event_rules as rules
from metering.services.decoding import EventDocument, Item, UnreadableEvent
from metering.services.event_rules import Reason, RefusedEventError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
TOO_LARGE = 10**rules.MOST_DIGITS
# Comparing machine words is quicker, and almost every number is one.
SURELY_SMALL = 2**60
MAY_HOLD_DECIMALS = frozenset({Decimal, dict, list})
# An escaped zero character, not an escaped backslash that u0000 happens to follow.
ZERO_CHARACTER = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")

_encoder = msgspec.json.Encoder(order="sorted", decimal_format="number")


class StorableEvent(msgspec.Struct, gc=False):
    """An event that may be stored, in the form it is stored in.

    `key` is the customer's id and the digest of the event's id; `microseconds` are counted from
    1970 in UTC; `properties` are canonical JSON; `index` is the event's place in its batch.
    """

    index: int
    key: tuple[int, bytes]
    content_digest: bytes
    microseconds: int
    id: str
    type: str
    properties: bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """An event that is not counted, and why, by its place in the batch."""

    index: int
    id: str
    customer_id: int | None
    reason: Reason

    @property
    def printable_id(self) -> str:
        return rules.printable(self.id)[: rules.LONGEST_ID]


@dataclass(frozen=True, slots=True)
class Desk:
    """What events are held against: the customers that may be named, and the clock.

    `only_customer_id` is whom events that name no customer belong to, where that is clear;
    `event_types` are the only ones that may be reported, unless it is None.
    """

    customer_ids: Mapping[str, int]
    only_customer_id: int | None
    received_at: datetime
    earliest: datetime
    latest: datetime
    event_types: frozenset[str] | None = None

    def find_customer(self, key: str | None) -> int | None:
        return self.only_customer_id if key is None else self.customer_ids.get(key)

    def refuse_type(self, event_type: str) -> None:
        if self.event_types is not None and event_type not in self.event_types:
            raise RefusedEventError(rules.EVENT_TYPE_NOT_ALLOWED)


def screen_events(
    *, items: Sequence[Item], desk: Desk
) -> tuple[list[StorableEvent], list[Refusal]]:
    """Part the events that can be stored from those that cannot."""
    events: list[StorableEvent] = []
    refusals: list[Refusal] = []
    for index, item in enumerate(items):
        if isinstance(item, UnreadableEvent):
            refusals.append(Refusal(index, item.id, desk.only_customer_id, item.reason))
            continue
        try:
            events.append(screen_event(index, item, desk))
        except RefusedEventError as error:
            customer_id = desk.find_customer(item.customer)
            refusals.append(Refusal(index, item.id, customer_id, error.reason))
        except UnicodeEncodeError:
            customer_id = desk.find_customer(item.customer)
            refusals.append(Refusal(index, item.id, customer_id, rules.INVALID_CHARACTER))
    return events, refusals


def screen_event(index: int, document: EventDocument, desk: Desk) -> StorableEvent:
    """Return the event in the form it is stored in.

    Raises RefusedEventError, or UnicodeEncodeError for texts that are no Unicode.
    """
    customer_id = desk.find_customer(document.customer)
    if customer_id is None:
        key = document.customer
        raise RefusedEventError(
            rules.MISSING_CUSTOMER if key is None else rules.unknown_customer(key)
        )
    desk.refuse_type(document.type)
    at = document.timestamp or desk.received_at
    if not desk.earliest <= at <= desk.latest:
        raise RefusedEventError(rules.timestamp_out_of_range(at, desk.earliest, desk.latest))
    if "\0" in document.id or "\0" in document.type:
        raise RefusedEventError(rules.INVALID_CHARACTER)
    microseconds = (at - EPOCH) // MICROSECOND
    said = document.properties or {}
    properties = canonical(said)
    stated = microseconds if document.timestamp else None
    return StorableEvent(
        index,
        (customer_id, id_digest(document.id)),
        content_digest(document.type, stated, comparable(said, properties)),
        microseconds,
        document.id,
        document.type,
        properties,
    )


def canonical(properties: dict[str, Any]) -> bytes:
    """Return properties as JSON with sorted keys and exact numbers.

    Raises RefusedEventError for what the database cannot hold, UnicodeEncodeError for texts that
    are no Unicode.
    """
    for value in properties.values():
        kind = type(value)
        if kind is not str and not (kind is int and -SURELY_SMALL < value < SURELY_SMALL):
            check_value(value, depth=1)
    encoded = _encoder.encode(properties)
    if len(encoded) > rules.MOST_PROPERTY_BYTES:
        raise RefusedEventError(rules.PROPERTIES_TOO_LARGE)
    if b"\\u0000" in encoded and ZERO_CHARACTER.search(encoded):
        raise RefusedEventError(rules.INVALID_CHARACTER)
    return encoded


def comparable(said: dict[str, Any], properties: bytes) -> bytes:
    """Return canonical properties with equal numbers written alike, as 5120 and 5120.0 are not.

    They are stored as they were sent. Nearly always there is nothing to write otherwise.
    """
    if all(type(value) not in MAY_HOLD_DECIMALS for value in said.values()):
        return properties
    return _encoder.encode(with_plain_numbers(said))


def with_plain_numbers(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else Decimal(plain(value))
    if isinstance(value, dict):
        return {name: with_plain_numbers(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [with_plain_numbers(inner) for inner in value]
    return value


def check_value(value: object, *, depth: int) -> None:
    """Refuse what nests too deeply, numbers too long to store, and what is no number."""
    if isinstance(value, int):
        if not -TOO_LARGE < value < TOO_LARGE:
            raise RefusedEventError(rules.NUMBER_OUT_OF_RANGE)
    elif isinstance(value, Decimal):
        check_decimal(value)
    elif isinstance(value, dict | list):
        if depth == rules.DEEPEST:
            raise RefusedEventError(rules.NESTED_TOO_DEEPLY)
        for inner in value.values() if isinstance(value, dict) else value:
            check_value(inner, depth=depth + 1)


def check_decimal(number: Decimal) -> None:
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int):
        raise RefusedEventError(rules.INVALID_NUMBER)
    if number.adjusted() >= rules.MOST_DIGITS or exponent < -rules.MOST_DIGITS:
        raise RefusedEventError(rules.NUMBER_OUT_OF_RANGE)
