"""Files of events: NDJSON with an event on each line, or CSV with one in each row.

A CSV file has the columns `id`, `type`, `customer` and `timestamp`; every other column is a
property of that name, read as text, and an empty cell is no property. A column `properties` holds
them all as one JSON object instead.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import batched
from typing import Any

from config.errors import InvalidInputError
from customers.principals import Principal
from metering.models import BackfillSession
from metering.services.backfill import stage_events
from metering.services.decoding import Item, decode_lines, read_item
from metering.services.screening import Refusal

LINES_AT_ONCE = 5_000
MOST_TOLD = 20
FIELDS = ("id", "type", "customer", "timestamp")
MORE_CELLS = "(more cells than columns)"


@dataclass(slots=True)
class LoadReport:
    """How many events of a file were staged and how many not, and the first that were not.

    `refused` pairs the number of a line or row, from 1, with what is wrong with it.
    """

    staged: int = 0
    refusals: int = 0
    refused: list[tuple[int, Refusal]] = field(default_factory=list)


def load_file(
    *,
    session: BackfillSession,
    name: str,
    lines: Iterable[bytes],
    principal: Principal,
    at: datetime,
) -> LoadReport:
    """Stage the events of a file, `.csv` or else NDJSON, some thousands at once.

    Raises InvalidInputError for a file that cannot be read as such, DomainError for a session that
    takes no more; what was staged before that stays.
    """
    read = csv_items if name.lower().endswith(".csv") else line_items
    report = LoadReport()
    number = 1
    for items in read(lines):
        result = stage_events(session=session, items=items, principal=principal, at=at)
        wrong = [error for error in result.errors if error.reason.code != "conflict"]
        report.staged += len(items) - len(wrong)
        report.refusals += len(wrong)
        room = MOST_TOLD - len(report.refused)
        report.refused += [(number + error.index, error) for error in wrong[:room]]
        number += len(items)
    return report


def line_items(lines: Iterable[bytes]) -> Iterator[Sequence[Item]]:
    filled = (line.rstrip(b"\r\n") for line in lines if line.strip())
    for some in batched(filled, LINES_AT_ONCE, strict=False):
        yield decode_lines(b"\n".join(some))


def csv_items(lines: Iterable[bytes]) -> Iterator[Sequence[Item]]:
    rows = csv.DictReader(texts(lines), restkey=MORE_CELLS, strict=True)
    try:
        missing = {*FIELDS} - set(rows.fieldnames or ())
        if missing:
            named = ", ".join(sorted(missing))
            message = f"The first row names the columns; these are missing: {named}."
            raise InvalidInputError(message, field="file")
        for some in batched(rows, LINES_AT_ONCE, strict=False):
            yield [read_item(document_of(row)) for row in some]
    except csv.Error as error:
        message = f"What comes after line {rows.line_num} is no row of a CSV file: {error}."
        raise InvalidInputError(message, field="file") from error


def texts(lines: Iterable[bytes]) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            message = f"Line {number} is not written in UTF-8."
            raise InvalidInputError(message, field="file") from error


def document_of(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as an event's document; what is wrong with it is found where events are read."""
    named = (*FIELDS, MORE_CELLS)
    document: dict[str, Any] = {name: row[name] for name in named if row.get(name)}
    if "properties" in row:
        try:
            document["properties"] = json.loads(row["properties"] or "{}", parse_float=Decimal)
        except ValueError:
            document["properties"] = row["properties"]
        return document
    document["properties"] = {
        name: text for name, text in row.items() if name not in named and text
    }
    return document
