"""CloudEvents 1.0 in JSON, one or a batch of them, as events of ours.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md: `source` and
`id` together name an event, `subject` is the customer, `data` are the properties. Attributes that
are not of the specification, such as those of traces, are left out.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec

from config.errors import InvalidInputError
from metering.services import event_rules as rules
from metering.services.decoding import (
    NOT_STRICT,
    EventDocument,
    Item,
    UnreadableEvent,
    may_repeat_names,
    read_as,
    read_leniently,
    within_limit,
)
from metering.services.event_rules import Reason


class CloudEvent(msgspec.Struct, omit_defaults=True):
    """One event in the structured form. A source is an address, so it holds no white space."""

    specversion: Literal["1.0"]
    id: Annotated[str, msgspec.Meta(min_length=1)]
    source: Annotated[str, msgspec.Meta(pattern=r"^\S+$")]
    type: Annotated[str, msgspec.Meta(min_length=1, max_length=rules.LONGEST_TYPE)]
    subject: str | None = None
    time: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    datacontenttype: str | None = None
    dataschema: str | None = None
    data: dict[str, Any] | None = None
    data_base64: None = None


FIELDS = {
    "specversion": Reason("invalid_specversion", 'specversion must be "1.0".'),
    "id": Reason("invalid_id", "id must be a string that is not empty."),
    "source": Reason("invalid_source", "source must be a string without white space."),
    "type": rules.INVALID_FIELDS["type"],
    "subject": Reason("invalid_customer", "subject must be a string, the key of a customer."),
    "time": Reason(
        "invalid_timestamp", "time must be a string by RFC 3339 that ends with Z or an offset."
    ),
    "data": Reason("invalid_properties", "data must be a JSON object."),
    "data_base64": Reason("invalid_properties", "Send data as a JSON object, not as data_base64."),
}
TOO_LONG = Reason(
    "invalid_id", f"source and id together have at most {rules.LONGEST_ID - 1} characters."
)

_event_decoder = msgspec.json.Decoder(CloudEvent, float_hook=Decimal)
_batch_decoder = msgspec.json.Decoder(list[CloudEvent], float_hook=Decimal)


def decode_event(body: bytes) -> Sequence[Item]:
    """Return the event of a structured body; raises InvalidInputError when it is no JSON object."""
    try:
        event = _event_decoder.decode(body)
        if not may_repeat_names(event, body):
            return [document_of(event)]
    except NOT_STRICT:
        pass
    item = read_leniently(body)
    if not isinstance(item, dict):
        message = "Send one CloudEvent, or a batch as application/cloudevents-batch+json."
        raise InvalidInputError(message, code="invalid_body")
    return [read_item(item)]


def decode_batch(body: bytes) -> Sequence[Item]:
    """Return the events of a batch in their order, unreadable ones among them.

    Raises InvalidInputError when the body is no JSON list, TooLargeError when it is too long.
    """
    try:
        events = _batch_decoder.decode(body)
        if not may_repeat_names(events, body):
            return [document_of(event) for event in within_limit(events)]
    except NOT_STRICT:
        pass
    items = read_leniently(body)
    if not isinstance(items, list):
        message = "Send a list of CloudEvents, or one as application/cloudevents+json."
        raise InvalidInputError(message, code="invalid_body")
    return [read_item(item) for item in within_limit(items)]


def read_item(item: Any) -> Item:
    event = read_as(CloudEvent, item, FIELDS)
    return event if isinstance(event, UnreadableEvent) else document_of(event)


def document_of(event: CloudEvent) -> Item:
    event_id = f"{event.source} {event.id}"
    if len(event_id) > rules.LONGEST_ID:
        return UnreadableEvent(TOO_LONG, event.id, event)
    return EventDocument(event_id, event.type, event.subject, event.time, event.data)
