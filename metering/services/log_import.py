"""Billing from an access log: every request in it becomes an event, once."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from config.worker_processes import worker_processes
from metering.models import LogImport
from metering.selectors.customers import ids_of_all
from metering.services.log_lines import (
    PIECE_BYTES,
    STANDARD_INPUT,
    Piece,
    PieceCutter,
    open_log,
    sample_of,
)
from metering.services.log_reading import KeptLine
from metering.services.log_runs import (
    MOST_EXAMPLES,
    ImportPlan,
    PieceResult,
    begin_import,
    complete_import,
    make_plan,
    note_failure,
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
        log_import = begin_import(path, plan, clock())
        with running(log_import):
            run = ImportRun(log_import, is_dry_run=False)
            try:
                done = pieces_of(log_import)
                run.bytes_done_before = sum(piece.end - piece.start for piece in done)
                on_progress(run.bytes_done_before)
                pieces = PieceCutter(file).pieces([(piece.start, piece.end) for piece in done])
                plan = replace(plan, log_import_id=log_import.pk)
                for result in store_pieces(plan, pieces, clock, workers):
                    on_progress(result.size)
                    run.examples = sorted([*run.examples, *result.examples])[:MOST_EXAMPLES]
            except BaseException as error:
                note_failure(log_import, error, clock())
                raise
            finish(run, clock())
        return run


def dry_run(
    path: Path, file: BinaryIO, plan: ImportPlan, on_progress: Callable[[int], None]
) -> ImportRun:
    name = "standard input" if path == STANDARD_INPUT else path.name
    log_import = LogImport(name=name, format=plan.format_key, mapping=plan.mapping)
    run, reader = ImportRun(log_import, is_dry_run=True), reader_for(plan)
    for piece in PieceCutter(file).pieces():
        result = preview_piece(reader, piece)
        run.take_in(result)
        on_progress(result.size)
    return run


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
    complete_import(run.log_import, at)
    counted = run.log_import.customers
    ids: Mapping[str, int] = ids_of_all(counted)
    run.customers = Counter({ids[key]: number for key, number in counted.items()})
