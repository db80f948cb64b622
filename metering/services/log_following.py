"""Billing from a log while it is written, through its rotations."""

import io
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from config.errors import InvalidInputError
from metering.models import LogImport
from metering.services.log_lines import (
    GZIP_MAGIC,
    PIECE_BYTES,
    STANDARD_INPUT,
    LineCounter,
    PieceCutter,
    sample_of,
)
from metering.services.log_runs import (
    ImportPlan,
    PieceResult,
    begin_import,
    complete_import,
    make_plan,
    note_failure,
    note_stopped,
    pieces_of,
    running,
    store_piece,
)


class OpenLog:
    """A log that is being written, as it was opened; it may have another name by now."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = io.BufferedReader(path.open("rb", 0), PIECE_BYTES)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()

    def is_rotated(self, position: int) -> bool:
        """Tell whether the path leads to another log by now, or this one was emptied."""
        own = os.fstat(self.file.fileno())
        if own.st_size < position:
            return True
        with suppress(FileNotFoundError):
            now = self.path.stat()
            return (now.st_dev, now.st_ino) != (own.st_dev, own.st_ino) and now.st_size > 0
        return False


def follow_log(
    *,
    path: Path,
    format_key: str,
    mapping: Any,
    clock: Callable[[], datetime],
    wait: Callable[[], bool],
    on_piece: Callable[[LogImport, PieceResult], None] = lambda log_import, result: None,
) -> None:
    """Import a log as it grows, and what is written in its place after a rotation.

    `wait` waits a moment and returns False when following should end. Each log is an import of its
    own, completed when the next one has begun; identical lines on both sides of a rotation are
    told apart. Started again, it goes on at the byte where it ended.

    Raises InvalidInputError for a wrong format or mapping, DomainError when another process is
    importing the log.
    """
    if path == STANDARD_INPUT:
        raise InvalidInputError("The standard input cannot be followed.", field="file")
    counter = LineCounter()
    is_rotated = True
    while is_rotated:
        with OpenLog(path) as log:
            plan = first_plan(log, format_key, mapping, wait)
            if plan is None:
                return
            is_rotated = follow_one(log, plan, counter, clock, wait, on_piece)


def first_plan(
    log: OpenLog, format_key: str, mapping: Any, wait: Callable[[], bool]
) -> ImportPlan | None:
    """Return how to read a log, once it has a line; None when following should end before."""
    while True:
        log.file.seek(0)
        beginning = log.file.peek(PIECE_BYTES)
        if beginning.startswith(GZIP_MAGIC):
            raise InvalidInputError("A compressed log cannot be followed.", field="file")
        whole = beginning[: beginning.rfind(b"\n") + 1]
        if whole:
            return make_plan(sample_of(whole), format_key, mapping)
        if not wait():
            return None


def follow_one(
    log: OpenLog,
    plan: ImportPlan,
    counter: LineCounter,
    clock: Callable[[], datetime],
    wait: Callable[[], bool],
    on_piece: Callable[[LogImport, PieceResult], None],
) -> bool:
    """Import one log until another stands in its place; False when following should end."""
    log_import = begin_import(log.path, plan, clock())
    plan = replace(plan, log_import_id=log_import.pk)
    cutter = PieceCutter(log.file, is_growing=True, counter=counter)
    with running(log_import):
        try:
            pieces = cutter.pieces([(piece.start, piece.end) for piece in pieces_of(log_import)])
            is_over = False
            while True:
                for piece in pieces:
                    on_piece(log_import, store_piece(plan, piece, clock()))
                if is_over:
                    complete_import(log_import, clock())
                    return True
                if not wait():
                    note_stopped(log_import)
                    return False
                # A server may write to the old log for a moment after it was renamed: it is read
                # once more after the new one was seen.
                is_over = log.is_rotated(cutter.position)
                cutter.is_growing = not is_over
                pieces = cutter.grown()
        except BaseException as error:
            note_failure(log_import, error, clock())
            raise
