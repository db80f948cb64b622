"""Logs as bytes: opened whatever they are packed in, cut into pieces, lines known again."""

import gzip
import io
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, override

from config.errors import InvalidInputError

LONGEST_LINE = 1024 * 1024
PIECE_BYTES = 2 * 1024 * 1024
SAMPLE_LINES = 200
ID_BYTES = 16
# Identical lines are told apart when fewer different lines than this lie between them.
REMEMBERED_LINES = 250_000
STANDARD_INPUT = Path("-")
GZIP_MAGIC = b"\x1f\x8b"


class Piece(NamedTuple):
    """Some lines of a log that follow each other; a line too long has only its beginning here.

    `start` and `end` are bytes of the log as it is unpacked, `first_line` is counted from 1.
    `repeats` has the lines, by their index, that the log held before, with how often it did.
    """

    start: int
    end: int
    first_line: int
    content: bytes
    repeats: dict[int, int]

    def lines(self) -> list[bytes]:
        return lines_of(self.content)

    @property
    def digest(self) -> bytes:
        return blake2b(self.content, digest_size=ID_BYTES).digest()


@contextmanager
def open_log(path: Path) -> Iterator[io.BufferedReader]:
    """Open a log, packed with gzip or not; `-` is the standard input."""
    is_input = path == STANDARD_INPUT
    source: Any = sys.stdin.buffer
    raw = io.BufferedReader(source if is_input else path.open("rb", 0), PIECE_BYTES)
    try:
        if raw.peek(len(GZIP_MAGIC)).startswith(GZIP_MAGIC):
            yield io.BufferedReader(GzipStream(raw), PIECE_BYTES)
        else:
            yield raw
    finally:
        raw.detach() if is_input else raw.close()


class GzipStream(io.RawIOBase):
    """What is packed in a file; a file that breaks off or is damaged is told by a sentence."""

    def __init__(self, raw: BinaryIO) -> None:
        self.packed = gzip.GzipFile(fileobj=raw)

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: Any) -> int:
        try:
            return self.packed.readinto(buffer)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InvalidInputError(
                f"The compressed log is damaged or cut short: {error}.", field="file"
            ) from error


def read_pieces(file: BinaryIO, *, start: int = 0, first_line: int = 1) -> Iterator[Piece]:
    """Cut what is left of a log into pieces of whole lines, which repeat nothing yet.

    Only the end of the log may be a piece without an end of line.
    """
    rest = b""
    while block := file.read(PIECE_BYTES):
        content = rest + block
        cut = content.rfind(b"\n") + 1
        skipped = 0
        if cut == 0 and len(content) > LONGEST_LINE:
            skipped, cut = skip_line(file) + len(content) - LONGEST_LINE, LONGEST_LINE
            rest = b""
        else:
            rest = content[cut:]
        if cut:
            piece = Piece(start, start + cut + skipped, first_line, content[:cut], {})
            yield piece
            start, first_line = piece.end, first_line + len(piece.lines())
    if rest:
        yield Piece(start, start + len(rest), first_line, rest, {})


def skip_line(file: BinaryIO) -> int:
    """Read to the end of a line and return how many bytes that took."""
    skipped = 0
    while rest := file.readline(LONGEST_LINE):
        skipped += len(rest)
        if rest.endswith(b"\n"):
            break
    return skipped


def lines_of(content: bytes) -> list[bytes]:
    """Return lines without their ends."""
    lines = content.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return [line.rstrip(b"\r") for line in lines] if b"\r" in content else lines


def texts_of(content: bytes) -> list[str]:
    """Return lines as texts; bytes that are no UTF-8 are shown as such."""
    texts = content.decode(errors="backslashreplace").split("\n")
    if not texts[-1]:
        texts.pop()
    return [text.rstrip("\r") for text in texts] if b"\r" in content else texts


def sample_of(content: bytes) -> list[str]:
    """Return the first lines that are not blank."""
    return [text for text in texts_of(content[:LONGEST_LINE]) if text.strip()][:SAMPLE_LINES]


class LineCounter:
    """Knows how often a log held a line before; it has to see all lines from the first on.

    Lines are remembered by Python's hash of 64 bits. Of two different lines with one hash, which is
    less likely than a fault of the disk, the second would be taken for a repeated one: that still
    counts, under another id.
    """

    def __init__(self) -> None:
        self._recent: dict[int, int] = {}
        self._older: dict[int, int] = {}

    def repeats(self, lines: Sequence[bytes]) -> dict[int, int]:
        """Return, by index, how often each of the next lines that was there before was there."""
        hashes = list(map(hash, lines))
        distinct = dict.fromkeys(hashes, 1)
        is_new = len(distinct) == len(hashes) and distinct.keys().isdisjoint(self._recent)
        has_room = len(self._recent) + len(hashes) < REMEMBERED_LINES
        if is_new and has_room and distinct.keys().isdisjoint(self._older):
            self._recent |= distinct
            return {}
        numbers = {index: self._count(each) for index, each in enumerate(hashes)}
        return {index: number for index, number in numbers.items() if number}

    def _count(self, each: int) -> int:
        before = self._recent.get(each) or self._older.get(each, 0)
        if len(self._recent) >= REMEMBERED_LINES:
            self._older, self._recent = self._recent, {}
        self._recent[each] = before + 1
        return before
