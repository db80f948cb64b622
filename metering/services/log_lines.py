"""Lines of log files: read within bounds, and known again wherever they turn up."""

from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

LONGEST_LINE = 1024 * 1024
SAMPLE_LINES = 200
ID_BYTES = 16
# Identical lines are told apart when fewer different lines than this lie between them.
REMEMBERED_LINES = 250_000


def read_lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file with their ends; of a line too long only the beginning."""
    with path.open("rb") as file:
        while line := file.readline(LONGEST_LINE):
            if not line.endswith(b"\n"):
                skip_line(file)
            yield line


def skip_line(file: BinaryIO) -> None:
    while (rest := file.readline(LONGEST_LINE)) and not rest.endswith(b"\n"):
        pass


def sample_of(path: Path) -> list[str]:
    """Return the first lines of a file that are not blank, as text."""
    sample: list[str] = []
    for line in read_lines(path):
        if line.strip():
            sample.append(as_text(line))
        if len(sample) == SAMPLE_LINES:
            break
    return sample


def as_text(line: bytes) -> str:
    """Return a line without its end; bytes that are no UTF-8 are shown as such."""
    return line.rstrip(b"\r\n").decode(errors="backslashreplace")


class LineIds:
    """Ids that make a line the same event in every file that holds it.

    The id is a digest of the line and how many like it came before, so a file that is read again,
    or a rotated one that overlaps it, brings nothing new, while two requests that left identical
    lines are two events.
    """

    def __init__(self) -> None:
        self._recent: dict[bytes, int] = {}
        self._older: dict[bytes, int] = {}

    def next_id(self, line: bytes) -> str:
        digest = blake2b(line.rstrip(b"\r\n"), digest_size=ID_BYTES)
        key = digest.digest()
        before = self._recent.get(key) or self._older.get(key, 0)
        if len(self._recent) >= REMEMBERED_LINES:
            self._older, self._recent = self._recent, {}
        self._recent[key] = before + 1
        return f"log-{digest.hexdigest()}-{before}"
