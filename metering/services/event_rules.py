"""The limits that events keep, and the reason each is refused for when it does not."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

MOST_EVENTS = 10_000
MOST_BYTES = 10 * 1024 * 1024
LONGEST_ID = 255
LONGEST_TYPE = 100
MOST_PROPERTY_BYTES = 65_536
DEEPEST = 16
MOST_DIGITS = 30
FARTHEST_AHEAD = timedelta(hours=1)
# Even a backfill stays within these years, so that milliseconds sent as seconds are noticed.
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC) - timedelta(microseconds=1)
INSTANT = "%Y-%m-%dT%H:%M:%SZ"

# Codes and sentences for requests of which nothing is stored.
INVALID_JSON = "invalid_json"
TOO_LARGE = (
    f"A request takes at most {MOST_EVENTS} events and {MOST_BYTES} bytes, unpacked; nothing was "
    "stored. Send several smaller ones."
)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an event is not counted: `code` for programs, `message` for people."""

    code: str
    message: str


class RefusedEventError(Exception):
    """Raised for one event that cannot be counted; it never leaves the services."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.message)
        self.reason = reason


INVALID_EVENT = Reason("invalid_event", "An event must be a JSON object with id and type.")
INVALID_FIELDS = {
    name: Reason(f"invalid_{name}", message)
    for name, message in {
        "id": f"id must be a string of 1 to {LONGEST_ID} characters.",
        "type": f"type must be a string of 1 to {LONGEST_TYPE} characters.",
        "customer": "customer must be a string, the key of a customer.",
        "timestamp": "timestamp must be a string by RFC 3339 that ends with Z or an offset, such "
        "as 2026-11-22T10:00:00.123Z.",
        "properties": "properties must be a JSON object.",
    }.items()
}
INVALID_CHARACTER = Reason(
    "invalid_character",
    "Texts must be valid UTF-8, without the character U+0000 and halves of surrogate pairs.",
)
INVALID_NUMBER = Reason("invalid_number", "NaN and Infinity are no numbers in JSON.")
NUMBER_OUT_OF_RANGE = Reason(
    "number_out_of_range",
    f"Numbers have at most {MOST_DIGITS} digits before and {MOST_DIGITS} after the decimal point.",
)
NESTED_TOO_DEEPLY = Reason(
    "nested_too_deeply", f"Properties are nested at most {DEEPEST} levels deep."
)
PROPERTIES_TOO_LARGE = Reason(
    "properties_too_large", f"Properties take at most {MOST_PROPERTY_BYTES} bytes of JSON."
)
MISSING_CUSTOMER = Reason(
    "missing_customer", "Name the customer of the event: an operator key acts for all."
)
DUPLICATE_KEY = Reason(
    "duplicate_key", "An object of this event names a field twice; only one of them can be meant."
)
EVENT_TYPE_NOT_ALLOWED = Reason(
    "event_type_not_allowed", "This key may only report certain types of events, and not this one."
)
CONFLICT = Reason(
    "conflict",
    "This id belongs to an event that says something else. That one stands; this one is kept for "
    "review. Send new usage under a new id.",
)
UNSTORABLE = Reason("unstorable", "The database cannot hold this event; nothing of it is stored.")


def unknown_field(name: str) -> Reason:
    message = f"An event has no field {shortened(name)}; put it into properties."
    return Reason("unknown_field", message)


def unknown_customer(key: str) -> Reason:
    """Say the same of a customer that is not there and of somebody else's."""
    message = f"There is no customer {shortened(key)} that this key may report for."
    return Reason("unknown_customer", message)


def timestamp_out_of_range(at: datetime, earliest: datetime, latest: datetime) -> Reason:
    bound = f"before {earliest:{INSTANT}}" if at < earliest else f"after {latest:{INSTANT}}"
    message = f"The timestamp lies {bound}. An operator's backfill takes those of 1970 to 2199."
    return Reason("timestamp_out_of_range", message)


def month_archived(at: datetime) -> Reason:
    message = (
        f"The events of {at:%Y-%m} are archived, so that month takes none; restore it first "
        "(manage.py restore_events)."
    )
    return Reason("month_archived", message)


def printable(text: str) -> str:
    """Return a text that the database, an answer and a page can hold, whatever was sent."""
    return text.encode(errors="backslashreplace").decode().replace("\0", "\\u0000")


def shortened(text: str) -> str:
    return repr(printable(text[:100]))
