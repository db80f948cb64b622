"""Pieces of access logs as events that can be stored."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import date
from hashlib import blake2b
from typing import Any, NamedTuple

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

# Characters that take fewer bytes than properties may have, however they are written.
SURELY_SHORT = rules.MOST_PROPERTY_BYTES // 4

type ReadLine = Callable[[str], LogLine]
type ReadCustomer = Callable[[LogLine], str | None]
type FindCustomers = Callable[[Collection[str]], dict[str, int]]


class KeptLine(NamedTuple):
    """A line that becomes no event, and why. It is counted from 1."""

    number: int
    kind: LogImportLine.Kind
    reason: str
    text: str


@dataclass(slots=True)
class LogStretch:
    """What a piece of a log says.

    `origins` are the places of the lines of events and refusals, by their index.
    """

    piece: Piece
    texts: list[str]
    lines: list[bytes]
    ignored: int = 0
    events: list[StorableEvent] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    origins: list[int] = field(default_factory=list)
    kept: list[KeptLine] = field(default_factory=list)

    def keep(self, place: int, kind: LogImportLine.Kind, reason: str) -> None:
        number = self.piece.first_line + place
        self.kept.append(KeptLine(number, kind, reason, self.texts[place]))

    def set_aside(self, place: int, error: Exception) -> None:
        """Keep a line that cannot be read, unless it is blank or a comment."""
        if isinstance(error, CommentLineError) or not self.texts[place].strip():
            self.ignored += 1
        else:
            self.keep(place, Kind.UNPARSED, str(error))

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
        self.customer_ids: dict[Any, int] = {}
        self.months: set[date] = set()

    def read(self, piece: Piece) -> LogStretch:
        stretch = LogStretch(piece, texts_of(piece.content), piece.lines())
        read, customer_of, customer_ids = self.reading()
        of_strangers: list[tuple[int, LogLine, str]] = []
        for place, text in enumerate(self.whole_lines(stretch)):
            try:
                line = read(text)
            except (UnreadableLineError, CommentLineError) as error:
                stretch.set_aside(place, error)
                continue
            if self.mapping.ignores_any and self.mapping.is_ignored(line):
                stretch.ignored += 1
                continue
            customer = customer_of(line)
            customer_id = customer_ids.get(customer)
            if customer_id is not None:
                self.add(stretch, place, line, customer_id)
            elif customer is None:
                stretch.keep(place, Kind.UNMAPPED, "The line names no customer.")
            else:
                of_strangers.append((place, line, customer))
        self.meet(of_strangers, stretch)
        return stretch

    def reading(self) -> tuple[ReadLine, ReadCustomer, dict[Any, int]]:
        return self.log_format.read, self.mapping.customer.read, self.customer_ids

    def whole_lines(self, stretch: LogStretch) -> list[str]:
        """Return the lines but for a last one that breaks off."""
        texts = stretch.texts
        is_open = bool(texts) and not stretch.piece.content.endswith(b"\n")
        if not is_open or texts[-1].endswith(self.log_format.ending):
            return texts
        stretch.keep(len(texts) - 1, Kind.UNPARSED, BREAKS_OFF)
        return texts[:-1]

    def meet(self, of_strangers: list[tuple[int, LogLine, str]], stretch: LogStretch) -> None:
        """Look up customers that were not met before, all at once."""
        if of_strangers:
            self.customer_ids |= self.find_customers({key for _, _, key in of_strangers})
        for place, line, customer in of_strangers:
            customer_id = self.customer_ids.get(customer)
            if customer_id is not None:
                self.add(stretch, place, line, customer_id)
            else:
                reason = f"There is no customer {rules.shortened(customer)}."
                stretch.keep(place, Kind.UNMAPPED, reason)

    def add(self, stretch: LogStretch, place: int, line: LogLine, customer_id: int) -> None:
        """Add the event of a line, or why it is refused."""
        index, event_type = len(stretch.origins), self.mapping.event_type
        stretch.origins.append(place)
        event_id = id_of(stretch.lines[place], stretch.piece.repeats.get(place, 0))
        try:
            properties = self.properties_of(line)
        except RefusedEventError as error:
            stretch.refusals.append(Refusal(index, event_id, customer_id, error.reason))
            return
        microseconds = line.microseconds
        stretch.events.append(
            StorableEvent(
                index,
                (customer_id, id_digest(event_id)),
                content_digest(event_type, microseconds, properties),
                microseconds,
                event_id,
                event_type,
                properties,
            )
        )

    def properties_of(self, line: LogLine) -> bytes:
        """Return the properties as they are stored; raises RefusedEventError."""
        if not EARLIEST <= line.microseconds <= LATEST:
            at = instant(line.microseconds)
            raise RefusedEventError(rules.timestamp_out_of_range(at, rules.EARLIEST, rules.LATEST))
        text = self.mapping.as_json(line)
        if len(text) > SURELY_SHORT or "\\u0000" in text:
            return canonical(self.mapping.properties_of(line))
        return text.encode()


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
            id=id_of(self.stretch.lines[place], piece.repeats.get(place, 0)),
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
