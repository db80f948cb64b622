"""A log on trial: what would count for whom, line by line, and nothing is stored."""

import io
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from metering.models import LogImportLine
from metering.selectors.customers import keys_by_id
from metering.selectors.event_keys import content_digests
from metering.services.ingest import preview_screened
from metering.services.log_lines import GZIP_MAGIC, GzipStream, Piece, PieceCutter, sample_of
from metering.services.log_reading import LogReader, LogStretch
from metering.services.log_runs import make_plan, piece_result, reader_for

MOST_BYTES = 2 * 1024 * 1024
# Of each kind of line; a trial is to be read by a person.
MOST_SHOWN = 25

COUNTS = "counts"
COUNTED_BEFORE = "counted before"
IGNORED = "ignored"
OUTCOMES = (COUNTS, COUNTED_BEFORE, IGNORED, *LogImportLine.Kind.values)


@dataclass(frozen=True, slots=True)
class TriedLine:
    """A line and its outcome, one of OUTCOMES.

    `says` is the request it was read as, or why it would not count; `customer` a customer's key.
    """

    number: int
    text: str
    outcome: str
    says: str
    customer: str = ""


@dataclass(slots=True)
class LogTrial:
    """What an import would do with the beginning of a log, cut after `MOST_BYTES`.

    `counts` has the counts of an import, `customers` the new events by customer's key.
    """

    format_key: str
    counts: Counter[str] = field(default_factory=Counter)
    customers: Counter[str] = field(default_factory=Counter)
    endpoints: Counter[str] = field(default_factory=Counter)
    lines: list[TriedLine] = field(default_factory=list)
    shown: Counter[str] = field(default_factory=Counter)
    is_cut: bool = False

    def show(self, line: TriedLine) -> None:
        self.shown[line.outcome] += 1
        if self.shown[line.outcome] <= MOST_SHOWN:
            self.lines.append(line)


def try_log(*, content: bytes, format_key: str, mapping: Any) -> LogTrial:
    """Say what importing a log would do, which may be packed with gzip.

    Raises InvalidInputError when format, mapping or a named customer is wrong.
    """
    beginning, is_cut = unpacked(content)
    plan = make_plan(sample_of(beginning), format_key, mapping)
    trial = LogTrial(plan.format_key, is_cut=is_cut)
    reader = reader_for(plan)
    for piece in PieceCutter(io.BytesIO(beginning)).pieces():
        try_piece(trial, reader, piece)
    return trial


def unpacked(content: bytes) -> tuple[bytes, bool]:
    """Return whole lines from the beginning, and whether there are more."""
    file: Any = io.BytesIO(content)
    if content.startswith(GZIP_MAGIC):
        file = io.BufferedReader(GzipStream(file))
    beginning: bytes = file.read(MOST_BYTES + 1)
    if len(beginning) <= MOST_BYTES:
        return beginning, False
    return beginning[: beginning.rfind(b"\n", 0, MOST_BYTES) + 1], True


def try_piece(trial: LogTrial, reader: LogReader, piece: Piece) -> None:
    stretch = reader.read(piece)
    taken = content_digests([event.key for event in stretch.events])
    found = piece_result(
        stretch, preview_screened(events=stretch.events, refusals=stretch.refusals)
    )
    keys = keys_by_id({event.key[0] for event in stretch.events})
    trial.counts.update(found.counts)
    trial.customers.update({keys[pk]: number for pk, number in found.customers.items()})
    told = {
        kept.number: TriedLine(kept.number, kept.text, kept.kind, kept.reason)
        for kept in stretch.kept
    }
    for event in stretch.events:
        place = stretch.origins[event.index]
        number = piece.first_line + place
        line = reader.log_format.read(stretch.texts[place])
        properties = reader.mapping.properties_of(line)
        outcome = COUNTED_BEFORE if event.key in taken else COUNTS
        says = f"{properties['method']} {properties['endpoint']} {properties['status']}"
        customer = keys[event.key[0]]
        told.setdefault(number, TriedLine(number, stretch.texts[place], outcome, says, customer))
        trial.endpoints[properties["endpoint"]] += 1
    add_lines(trial, stretch, told)


def add_lines(trial: LogTrial, stretch: LogStretch, told: dict[int, TriedLine]) -> None:
    for number, text in enumerate(stretch.texts, start=stretch.piece.first_line):
        ignored = TriedLine(number, text, IGNORED, "By the mapping, or blank.")
        trial.show(told.get(number, ignored))
