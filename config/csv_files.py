"""CSV files of any size: written a row at a time, so that their length costs no memory."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from django.http import StreamingHttpResponse

MEDIA_TYPE = "text/csv"
# A piece large enough that writing it costs more than handing it over.
ROWS_PER_PIECE = 500
# Spreadsheets take a cell that begins like this for a formula and run it, unless it is a number.
# https://owasp.org/www-community/attacks/CSV_Injection
FORMULA = re.compile(r"(?![+-]?[0-9]+(\.[0-9]+)?$)[=+\-@\t\r]")


class _Line:
    """What the csv module writes a line to: it hands it back."""

    def write(self, line: str) -> str:
        return line


def csv_response(
    name: str, header: Sequence[str], rows: Iterable[Sequence[object]]
) -> StreamingHttpResponse:
    """Answer with a file called `name`; rows are taken from the iterator as they are sent."""
    response = StreamingHttpResponse(
        pieces(header, rows), content_type=f"{MEDIA_TYPE}; charset=utf-8"
    )
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def pieces(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[bytes]:
    write = csv.writer(_Line(), lineterminator="\r\n").writerow
    lines: list[Any] = [write(header)]
    for row in rows:
        lines.append(write(row))
        if len(lines) >= ROWS_PER_PIECE:
            yield "".join(lines).encode()
            lines = []
    yield "".join(lines).encode()


def instant_text(at: datetime) -> str:
    """Write an instant as the API does: RFC 3339 in UTC, with Z."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def inert_cells(cells: Iterable[str | None]) -> list[str | None]:
    """Return cells that a spreadsheet shows and does not run; numbers are left as they are.

    For files that people open. Programs get texts as they are.
    """
    return [f"'{cell}" if cell and FORMULA.match(cell) else cell for cell in cells]
