"""Pieces of access logs as events that can be stored."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import date
from hashlib import blake2b
from typing import NamedTuple

from metering.identity import content_digest, id_digest
from metering.models import LogImportLine
from metering.services import event_rules as rules
from metering.services.decoding import EventDocument
from metering.services.event_rules import RefusedEventError
from metering.services.log_lines import ID_BYTES, Piece, texts_of
from metering.services.log_mapping import LogMapping
from metering.services.log_requests import (
    CommentLineError,
    LogFormat,
    LogLine,
    UnreadableLineError,
    microseconds_of,
)
from metering.services.screening import Refusal, StorableEvent, canonical
from metering.services.storing import instant

Kind = LogImportLine.Kind
EARLIEST = microseconds_of(rules.EARLIEST)
LATEST = microseconds_of(rules.LATEST)
DAY = 86_400_000_000
BREAKS_OFF = "The line breaks off; import the file again when it is whole."

type FindCustomers = Callable[[Collection[str]], dict[str, int]]


class KeptLine(NamedTuple):
    """A line that becomes no event, and why. It is counted from 1."""

    number: int
    kind: LogImportLine.Kind
    reason: str
    text: str


class Entry(NamedTuple):
    """A line that is a customer's request, by its place in the piece."""

    place: int
    line: LogLine
    customer: str


@dataclass(slots=True)
class LogStretch:
    """What a piece of a log says.

    `origins` are the places of the lines of events and refusals, by their index.
    """

    piece: Piece
    texts: list[str]
    ignored: int = 0
    events: list[StorableEvent] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    origins: list[int] = field(default_factory=list)
    kept: list[KeptLine] = field(default_factory=list)

    def keep(self, place: int, kind: LogImportLine.Kind, reason: str) -> None:
        number = self.piece.first_line + place
        self.kept.append(KeptLine(number, kind, reason, self.texts[place]))

    def months(self) -> set[date]:
        """Return the first days of the months that the events lie in."""
        days = {event.microseconds // DAY for event in self.events}
        return {instant(day * DAY).date().replace(day=1) for day in days}


class LogReader:
    """Reads pieces of one log, in any order."""

    def __init__(
        self, log_format: LogFormat, mapping: LogMapping, find_customers: FindCustomers
    ) -> None:
        self.log_format = log_format
        self.mapping = mapping
        self.find_customers = find_customers
        self.customer_ids: dict[str, int] = {}
        self.months: set[date] = set()

    def read(self, piece: Piece) -> LogStretch:
        stretch = LogStretch(piece, texts_of(piece.content))
        entries = self.entries(stretch)
        self.look_up({entry.customer for entry in entries})
        lines = piece.lines()
        for entry in entries:
            customer_id = self.customer_ids.get(entry.customer)
            if customer_id is None:
                reason = f"There is no customer {rules.shortened(entry.customer)}."
                stretch.keep(entry.place, Kind.UNMAPPED, reason)
                continue
            event_id = id_of(lines[entry.place], piece.repeats.get(entry.place, 0))
            number = len(stretch.origins)
            stretch.origins.append(entry.place)
            try:
                stretch.events.append(self.event_of(number, event_id, customer_id, entry.line))
            except RefusedEventError as error:
                stretch.refusals.append(Refusal(number, event_id, customer_id, error.reason))
        return stretch

    def entries(self, stretch: LogStretch) -> list[Entry]:
        """Return the lines that are requests of a customer, and set the others aside."""
        entries = []
        read, customer_of = self.log_format.read, self.mapping.customer.read
        is_ignored = self.mapping.is_ignored if self.mapping.ignores_any else None
        open_line = -1 if stretch.piece.content.endswith(b"\n") else len(stretch.texts) - 1
        for index, text in enumerate(stretch.texts):
            try:
                if index == open_line and not text.endswith(self.log_format.ending):
                    raise UnreadableLineError(BREAKS_OFF)
                line = read(text)
            except UnreadableLineError as error:
                if text.strip():
                    stretch.keep(index, Kind.UNPARSED, str(error))
                else:
                    stretch.ignored += 1
                continue
            except CommentLineError:
                stretch.ignored += 1
                continue
            if is_ignored is not None and is_ignored(line):
                stretch.ignored += 1
                continue
            customer = customer_of(line)
            if customer is None:
                stretch.keep(index, Kind.UNMAPPED, "The line names no customer.")
            else:
                entries.append(Entry(index, line, customer))
        return entries

    def look_up(self, customers: Iterable[str]) -> None:
        """Learn the ids of customers that were not met before."""
        unknown = {key for key in customers if key not in self.customer_ids}
        if unknown:
            self.customer_ids |= self.find_customers(unknown)

    def event_of(self, index: int, event_id: str, customer_id: int, line: LogLine) -> StorableEvent:
        microseconds, event_type = line.microseconds, self.mapping.event_type
        if not EARLIEST <= microseconds <= LATEST:
            reason = rules.timestamp_out_of_range(
                instant(microseconds), rules.EARLIEST, rules.LATEST
            )
            raise RefusedEventError(reason)
        text = self.mapping.as_json(line)
        properties = text.encode()
        if len(properties) > rules.MOST_PROPERTY_BYTES or "\\u0000" in text:
            properties = canonical(self.mapping.properties_of(line))
        return StorableEvent(
            index,
            (customer_id, id_digest(event_id)),
            content_digest(event_type, microseconds, properties),
            microseconds,
            event_id,
            event_type,
            properties,
        )


class LoggedItems:
    """The events of a stretch as their sender would have written them, made when asked for."""

    def __init__(self, reader: LogReader, stretch: LogStretch) -> None:
        self.reader = reader
        self.stretch = stretch

    def __getitem__(self, index: int, /) -> EventDocument:
        place = self.stretch.origins[index]
        piece, mapping = self.stretch.piece, self.reader.mapping
        line = self.reader.log_format.read(self.stretch.texts[place])
        return EventDocument(
            id=id_of(piece.lines()[place], piece.repeats.get(place, 0)),
            type=mapping.event_type,
            customer=mapping.customer.read(line),
            timestamp=instant(line.microseconds),
            properties=mapping.properties_of(line),
        )


def id_of(line: bytes, before: int) -> str:
    """Return an id that makes a line the same event in every file that holds it.

    It is a digest of the line and how many like it came before, so a file that is read again, or
    a rotated one that overlaps it, brings nothing new, while two requests that left identical
    lines are two events.
    """
    return f"log-{blake2b(line, digest_size=ID_BYTES).hexdigest()}-{before}"
