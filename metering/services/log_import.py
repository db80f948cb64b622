"""Billing from an access log: every request in it becomes an event, once."""

import io
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from django.db import DatabaseError

from config.errors import InvalidInputError
from config.worker_processes import worker_processes
from metering.models import LogImport, LogImportPiece
from metering.selectors.customers import ids_of_all
from metering.services import event_rules as rules
from metering.services.log_formats import find_format
from metering.services.log_lines import (
    PIECE_BYTES,
    STANDARD_INPUT,
    LineCounter,
    Piece,
    lines_of,
    open_log,
    read_pieces,
    sample_of,
)
from metering.services.log_mapping import LogMapping, build_mapping
from metering.services.log_reading import KeptLine
from metering.services.log_runs import (
    MOST_EXAMPLES,
    ImportPlan,
    PieceResult,
    find_unfinished,
    note_interrupted,
    pieces_of,
    preview_piece,
    reader_for,
    running,
    store_piece,
    take_in,
)

# Pieces that are read ahead of the processes that store them.
PIECES_AHEAD = 2


@dataclass(slots=True)
class ImportRun:
    """An import on its way.

    `customers` counts the log's events that were new, by customer id; `examples` are the first
    lines that became none. A run that goes on where an earlier one broke off found
    `bytes_done_before` bytes dealt with.
    """

    log_import: LogImport
    is_dry_run: bool
    bytes_done_before: int = 0
    customers: Counter[int] = field(default_factory=Counter)
    examples: list[KeptLine] = field(default_factory=list)

    def take_in(self, result: PieceResult) -> None:
        take_in(self.log_import, result.counts)
        self.customers.update(result.customers)
        self.examples = sorted([*self.examples, *result.examples])[:MOST_EXAMPLES]


def import_log(
    *,
    path: Path,
    format_key: str,
    mapping: Any,
    clock: Callable[[], datetime],
    is_dry_run: bool = False,
    workers: int = 0,
    on_progress: Callable[[int], None] = lambda size: None,
) -> ImportRun:
    """Import an access log; what an earlier import has counted, from whatever file, stays.

    `mapping` is the document of a mapping file. Pieces of the log are stored by this process, or
    by `workers` others, each in one transaction with the import's own counts. An import that broke
    off goes on at the byte where it did when the same log is imported again, whatever it is called
    by then. Lines that become no event are kept with the reason. A dry run stores nothing.
    `on_progress` is told how many bytes were dealt with since it was told last.

    Raises InvalidInputError before anything is stored when format, mapping or a named customer is
    wrong, and later when a compressed log turns out to be damaged; DomainError when the log is
    being imported by another process.
    """
    with open_log(path) as file:
        plan = make_plan(sample_of(file.peek(PIECE_BYTES)), format_key, mapping)
        if is_dry_run:
            return dry_run(path, file, plan, on_progress)
        note_interrupted()
        log_import = find_unfinished(path, plan.format_key, plan.mapping) or LogImport(
            name="standard input" if path == STANDARD_INPUT else rules.printable(path.name),
            format=plan.format_key,
            mapping=plan.mapping,
            started_at=clock(),
        )
        log_import.status, log_import.error, log_import.finished_at = "running", "", None
        log_import.save()
        with running(log_import):
            run = ImportRun(log_import, is_dry_run=False)
            try:
                done = pieces_of(log_import)
                run.bytes_done_before = sum(piece.end - piece.start for piece in done)
                on_progress(run.bytes_done_before)
                pieces = numbered_pieces(file, done)
                plan = replace(plan, log_import_id=log_import.pk)
                for result in store_pieces(plan, pieces, clock, workers):
                    on_progress(result.size)
                    run.examples = sorted([*run.examples, *result.examples])[:MOST_EXAMPLES]
            except BaseException as error:
                note_failure(log_import, error, clock())
                raise
            finish(run, clock())
        return run


def make_plan(sample: Sequence[str], format_key: str, mapping: Any) -> ImportPlan:
    """Return how to read a log that begins with these lines; raises InvalidInputError."""
    log_format = find_format(format_key, sample)
    compiled = build_mapping(mapping, log_format)
    refuse_unknown_customers(compiled)
    return ImportPlan(log_format.key, tuple(sample), compiled.document)


def refuse_unknown_customers(mapping: LogMapping) -> None:
    named = mapping.customer.fixed_names()
    unknown = sorted(named - ids_of_all(named).keys())
    if unknown:
        raise InvalidInputError(
            f"There is no customer {', '.join(map(rules.shortened, unknown))}. Create it first, or "
            "name another in the mapping.",
            field="mapping.customer",
        )


def dry_run(
    path: Path, file: BinaryIO, plan: ImportPlan, on_progress: Callable[[int], None]
) -> ImportRun:
    name = "standard input" if path == STANDARD_INPUT else path.name
    log_import = LogImport(name=name, format=plan.format_key, mapping=plan.mapping)
    run, reader = ImportRun(log_import, is_dry_run=True), reader_for(plan)
    for piece in numbered_pieces(file, []):
        result = preview_piece(reader, piece)
        run.take_in(result)
        on_progress(result.size)
    return run


def numbered_pieces(file: BinaryIO, done: Iterable[LogImportPiece]) -> Iterator[Piece]:
    """Yield the pieces of a log that are not done, with the lines in them that were there before.

    What is done is read too: lines are told from earlier identical ones.
    """
    counter = LineCounter()
    position, line = 0, 1
    for known in done:
        gap = io.BytesIO(file.read(known.start - position))
        for piece in read_pieces(gap, start=position, first_line=line):
            yield numbered(piece, counter)
            line = piece.first_line + len(piece.lines())
        lines = lines_of(file.read(known.end - known.start))
        counter.repeats(lines)
        position, line = known.end, line + len(lines)
    for piece in read_pieces(file, start=position, first_line=line):
        yield numbered(piece, counter)


def numbered(piece: Piece, counter: LineCounter) -> Piece:
    return piece._replace(repeats=counter.repeats(piece.lines()))


def store_pieces(
    plan: ImportPlan, pieces: Iterator[Piece], clock: Callable[[], datetime], workers: int
) -> Iterator[PieceResult]:
    """Store pieces, here or in other processes, and yield what became of each."""
    if not workers:
        for piece in pieces:
            yield store_piece(plan, piece, clock())
        return
    with worker_processes(workers) as pool:
        waiting: deque[Future[PieceResult]] = deque()
        try:
            for piece in pieces:
                waiting.append(pool.submit(store_piece, plan, piece, clock()))
                if len(waiting) >= workers * PIECES_AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            give_up(pool, waiting)


def give_up(pool: ProcessPoolExecutor, waiting: Iterable[Future[PieceResult]]) -> None:
    """Let processes finish the piece they are at and begin no other."""
    for future in waiting:
        future.cancel()
    pool.shutdown(cancel_futures=True)


def finish(run: ImportRun, at: datetime) -> None:
    """Mark an import as completed, and read what its processes counted."""
    log_import = run.log_import
    log_import.pieces.all().delete()
    log_import.refresh_from_db()
    log_import.status, log_import.finished_at = LogImport.Status.COMPLETED, at
    log_import.save(update_fields=["status", "finished_at"])
    ids: Mapping[str, int] = ids_of_all(log_import.customers)
    run.customers = Counter({ids[key]: number for key, number in log_import.customers.items()})


def note_failure(log_import: LogImport, error: BaseException, at: datetime) -> None:
    """Say why an import broke off; the counts stay those of what was stored."""
    reason = str(error) or type(error).__name__
    with suppress(DatabaseError):
        LogImport.objects.filter(pk=log_import.pk).update(
            status=LogImport.Status.FAILED,
            finished_at=at,
            error=f"{reason} What was stored stays; start the import again to go on.",
        )
