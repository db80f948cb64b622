"""Logs as bytes: opened whatever they are packed in, cut into pieces, lines known again."""

import gzip
import io
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
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


class PieceCutter:
    """Cuts a log into pieces of whole lines, with the lines in them that were there before.

    `position` is the byte and `line` the number of the line that comes next. Of a log that
    `is_growing`, a last line without an end is left for later.
    """

    def __init__(
        self, file: BinaryIO, *, is_growing: bool = False, counter: LineCounter | None = None
    ) -> None:
        self.file = file
        self.is_growing = is_growing
        self.counter = counter or LineCounter()
        self.position = 0
        self.line = 1

    def pieces(self, done: Iterable[tuple[int, int]] = ()) -> Iterator[Piece]:
        """Yield the pieces between those that are done, by their first and last byte, and after.

        What is done is read too: lines are told from earlier identical ones.
        """
        for start, end in done:
            gap = io.BytesIO(self.file.read(start - self.position))
            yield from self.cut(gap)
            lines = lines_of(self.file.read(end - start))
            self.counter.repeats(lines)
            self.position, self.line = end, self.line + len(lines)
        yield from self.cut(self.file)

    def grown(self) -> Iterator[Piece]:
        """Yield the pieces that a growing log got since it was read last."""
        self.file.seek(self.position)
        return self.cut(self.file)

    def cut(self, file: BinaryIO) -> Iterator[Piece]:
        rest = b""
        while block := file.read(PIECE_BYTES):
            content = rest + block
            cut, skipped = content.rfind(b"\n") + 1, 0
            rest = content[cut:]
            if cut == 0 and len(content) > LONGEST_LINE:
                skipped, cut = skip_line(file) + len(content) - LONGEST_LINE, LONGEST_LINE
                rest = b""
            if cut:
                yield self.piece(content[:cut], skipped)
        if rest and not self.is_growing:
            yield self.piece(rest)

    def piece(self, content: bytes, skipped: int = 0) -> Piece:
        lines = lines_of(content)
        end = self.position + len(content) + skipped
        found = Piece(self.position, end, self.line, content, self.counter.repeats(lines))
        self.position, self.line = end, self.line + len(lines)
        return found
