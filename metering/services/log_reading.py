"""Lines of access logs as events, each by itself."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from metering.models import LogImportLine
from metering.services.decoding import EventDocument
from metering.services.log_formats import LogFormat, UnreadableLineError
from metering.services.log_lines import LineIds, as_text
from metering.services.log_mapping import LogMapping

Kind = LogImportLine.Kind


class NumberedLine(NamedTuple):
    """A line as the file holds it, and its number, counted from 1."""

    number: int
    line: bytes


@dataclass(frozen=True, slots=True)
class KeptLine:
    """A line that becomes no event, and why."""

    origin: NumberedLine
    kind: LogImportLine.Kind
    reason: str


@dataclass(slots=True)
class LogStretch:
    """What some lines of a file say.

    `origins` are the lines of the `documents`, in the same order.
    """

    lines: int = 0
    size: int = 0
    ignored: int = 0
    documents: list[EventDocument] = field(default_factory=list)
    origins: list[NumberedLine] = field(default_factory=list)
    kept: list[KeptLine] = field(default_factory=list)


class LogReader:
    """Reads one file from its beginning to its end; what it has seen makes identical lines differ."""

    def __init__(self, log_format: LogFormat, mapping: LogMapping) -> None:
        self.log_format = log_format
        self.mapping = mapping
        self.ids = LineIds()

    def read(self, lines: Iterable[NumberedLine]) -> LogStretch:
        stretch = LogStretch()
        for origin in lines:
            stretch.lines += 1
            stretch.size += len(origin.line)
            if not origin.line.strip():
                stretch.ignored += 1
                continue
            try:
                self.read_line(origin, stretch)
            except UnreadableLineError as error:
                stretch.kept.append(KeptLine(origin, Kind.UNPARSED, str(error)))
        return stretch

    def read_line(self, origin: NumberedLine, stretch: LogStretch) -> None:
        text = as_text(origin.line)
        if not origin.line.endswith(b"\n") and not text.endswith(self.log_format.ending):
            raise UnreadableLineError(
                "The line breaks off; import the file again when it is whole."
            )
        line = self.log_format.read(text)
        if self.mapping.is_ignored(line):
            stretch.ignored += 1
            return
        customer = self.mapping.customer.read(line)
        if customer is None:
            stretch.kept.append(KeptLine(origin, Kind.UNMAPPED, "The line names no customer."))
            return
        stretch.origins.append(origin)
        stretch.documents.append(
            EventDocument(
                id=self.ids.next_id(origin.line),
                type=self.mapping.event_type,
                customer=customer,
                timestamp=line.timestamp,
                properties=self.mapping.properties_of(line),
            )
        )
