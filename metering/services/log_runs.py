"""Imports of logs from beginning to end, and again after they broke off.

Every piece of a log is stored in one transaction with the import's own counts and a row that says
so, by whichever process. While an import runs its session holds a lock, so that one whose process
was killed can be told from one that is at work.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from django.db import DatabaseError, connection, transaction

from config.errors import DomainError, InvalidInputError
from metering.models import IngestBatch, LogImport, LogImportLine, LogImportPiece
from metering.models.imports import COUNTS
from metering.selectors.customers import ids_of_all, keys_by_id
from metering.selectors.log_imports import LOCK
from metering.services import event_rules as rules
from metering.services.ingest import IngestResult, preview_screened, store_screened
from metering.services.log_formats import find_format
from metering.services.log_lines import LONGEST_LINE, STANDARD_INPUT, Piece, open_log
from metering.services.log_mapping import LogMapping, build_mapping
from metering.services.log_reading import KeptLine, Kind, LoggedItems, LogReader, LogStretch
from metering.services.partitions import make_partitions

LONGEST_KEPT_LINE = 2_000
MOST_EXAMPLES = 5
UNFINISHED = (LogImport.Status.RUNNING, LogImport.Status.FAILED, LogImport.Status.INTERRUPTED)


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """What every process needs to know to read pieces of a log.

    `sample` are the log's first lines, `log_import_id` is 0 for a dry run.
    """

    format_key: str
    sample: tuple[str, ...]
    mapping: Any
    log_import_id: int = 0


@dataclass(slots=True)
class PieceResult:
    """What became of the lines of a piece; `customers` counts new events by customer id."""

    size: int
    counts: Counter[str] = field(default_factory=Counter)
    customers: Counter[int] = field(default_factory=Counter)
    examples: list[KeptLine] = field(default_factory=list)


_readers: dict[int, LogReader] = {}


def reader_for(plan: ImportPlan) -> LogReader:
    log_format = find_format(plan.format_key, plan.sample)
    return LogReader(log_format, build_mapping(plan.mapping, log_format), ids_of_all)


def store_piece(plan: ImportPlan, piece: Piece, at: datetime) -> PieceResult:
    """Store the events of a piece, in any process, unless another one has done so."""
    if plan.log_import_id not in _readers:
        _readers.clear()
        _readers[plan.log_import_id] = reader_for(plan)
    reader = _readers[plan.log_import_id]
    stretch = reader.read(piece)
    make_room(reader, stretch)
    with transaction.atomic():
        _, is_new = LogImportPiece.objects.get_or_create(
            log_import_id=plan.log_import_id,
            start=piece.start,
            defaults={"end": piece.end, "digest": piece.digest},
        )
        if not is_new:
            return PieceResult(piece.end - piece.start)
        result = store_screened(
            events=stretch.events,
            refusals=stretch.refusals,
            items=LoggedItems(reader, stretch),
            source=IngestBatch.Source.LOG,
            at=at,
        )
        found = piece_result(stretch, result)
        keep_lines(plan.log_import_id, stretch)
        add_counts(plan.log_import_id, found)
    return found


def preview_piece(reader: LogReader, piece: Piece) -> PieceResult:
    stretch = reader.read(piece)
    result = preview_screened(events=stretch.events, refusals=stretch.refusals)
    return piece_result(stretch, result)


def make_room(reader: LogReader, stretch: LogStretch) -> None:
    """Make the partitions that these events need, before they need them."""
    months = stretch.months() - reader.months
    if months:
        make_partitions(months=months)
        reader.months |= months


def piece_result(stretch: LogStretch, result: IngestResult) -> PieceResult:
    """Add up what became of the lines, and set those aside that were refused as events."""
    kinds = Counter(kept.kind for kept in stretch.kept)
    counts = {
        "lines": len(stretch.texts),
        "accepted": result.accepted,
        "duplicate": result.duplicate,
        "conflict": result.conflict,
        "rejected": result.rejected,
        "ignored": stretch.ignored,
        "unmapped": kinds[Kind.UNMAPPED],
        "unparsed": kinds[Kind.UNPARSED],
    }
    for error in result.errors:
        stretch.keep(stretch.origins[error.index], Kind.REJECTED, error.reason.message)
    return PieceResult(
        size=stretch.piece.end - stretch.piece.start,
        counts=Counter(counts),
        customers=Counter(result.customers),
        examples=sorted(stretch.kept)[:MOST_EXAMPLES],
    )


def keep_lines(log_import_id: int, stretch: LogStretch) -> None:
    LogImportLine.objects.bulk_create(
        LogImportLine(
            log_import_id=log_import_id,
            number=kept.number,
            kind=kept.kind,
            reason=kept.reason,
            text=rules.printable(kept.text)[:LONGEST_KEPT_LINE],
        )
        for kept in stretch.kept
    )


def add_counts(log_import_id: int, found: PieceResult) -> None:
    """Add a piece's counts to the import's. Call it last: until the commit others wait for it."""
    log_import = LogImport.objects.select_for_update().get(pk=log_import_id)
    take_in(log_import, found.counts)
    keys = keys_by_id(found.customers)
    total = Counter(log_import.customers)
    total.update({keys[customer_id]: number for customer_id, number in found.customers.items()})
    log_import.customers = dict(total)
    log_import.save(update_fields=[*COUNTS, "customers"])


def take_in(log_import: LogImport, counts: Mapping[str, int]) -> None:
    for name in COUNTS:
        setattr(log_import, name, getattr(log_import, name) + counts[name])


@contextmanager
def running(log_import: LogImport) -> Iterator[None]:
    """Hold the import's lock; raises DomainError when another process has it."""
    if not try_lock(log_import):
        raise already_running(log_import)
    try:
        yield
    finally:
        with suppress(DatabaseError):
            unlock(log_import)


def refuse_running(log_import: LogImport) -> None:
    if not try_lock(log_import):
        raise already_running(log_import)
    unlock(log_import)


def already_running(log_import: LogImport) -> DomainError:
    return DomainError(
        f"This log is being imported already, as import {log_import.pk}; wait for it to end."
    )


def try_lock(log_import: LogImport) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [LOCK, log_import.pk])
        (is_locked,) = cursor.fetchone()
    return bool(is_locked)


def unlock(log_import: LogImport) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [LOCK, log_import.pk])


def note_interrupted() -> None:
    """Say of imports whose process is gone that they were interrupted."""
    for log_import in LogImport.objects.filter(status=LogImport.Status.RUNNING):
        if try_lock(log_import):
            LogImport.objects.filter(pk=log_import.pk, status=LogImport.Status.RUNNING).update(
                status=LogImport.Status.INTERRUPTED,
                error="Its process ended in the middle. What was stored stays; start the import "
                "again to go on.",
            )
            unlock(log_import)


def find_unfinished(path: Path, format_key: str, mapping: Any) -> LogImport | None:
    """Return the import of this log, under whatever name, that broke off; the newest if several."""
    if path == STANDARD_INPUT:
        return None
    candidates = LogImport.objects.filter(
        status__in=UNFINISHED, format=format_key, mapping=mapping
    ).order_by("-pk")
    return next((each for each in candidates if holds(path, pieces_of(each))), None)


def pieces_of(log_import: LogImport) -> list[LogImportPiece]:
    return list(log_import.pieces.order_by("start"))


def holds(path: Path, pieces: Sequence[LogImportPiece]) -> bool:
    """Tell whether a log has these pieces, whole lines each, where they were."""
    if not pieces:
        return False
    with open_log(path) as file:
        position = 0
        for piece in pieces:
            file.read(piece.start - position)
            content = file.read(piece.end - piece.start)
            position = piece.end
            if b"\n" not in content[:LONGEST_LINE]:
                content = content[:LONGEST_LINE]
            known = Piece(piece.start, piece.end, 0, content, {}).digest
            if known != bytes(piece.digest) or not content.endswith(b"\n"):
                return False
    return True


def begin_import(path: Path, plan: ImportPlan, at: datetime) -> LogImport:
    """Return the import of this log that broke off, or a new one; raises DomainError.

    The error is for a log that another process is importing.
    """
    note_interrupted()
    log_import = find_unfinished(path, plan.format_key, plan.mapping) or LogImport(
        name="standard input" if path == STANDARD_INPUT else rules.printable(path.name),
        format=plan.format_key,
        mapping=plan.mapping,
        started_at=at,
    )
    if log_import.pk is not None:
        refuse_running(log_import)
    log_import.status, log_import.error = LogImport.Status.RUNNING, ""
    log_import.finished_at = None
    log_import.save()
    return log_import


def complete_import(log_import: LogImport, at: datetime) -> None:
    log_import.pieces.all().delete()
    log_import.refresh_from_db()
    log_import.status, log_import.finished_at = LogImport.Status.COMPLETED, at
    log_import.save(update_fields=["status", "finished_at"])


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


def note_failure(log_import: LogImport, error: BaseException, at: datetime) -> None:
    """Say why an import broke off; the counts stay those of what was stored."""
    is_stopped = isinstance(error, KeyboardInterrupt)
    reason = "It was stopped." if is_stopped else str(error) or type(error).__name__
    with suppress(DatabaseError):
        LogImport.objects.filter(pk=log_import.pk).update(
            status=LogImport.Status.FAILED,
            finished_at=at,
            error=f"{reason} What was stored stays; start the import again to go on.",
        )


def note_stopped(log_import: LogImport) -> None:
    LogImport.objects.filter(pk=log_import.pk).update(
        status=LogImport.Status.INTERRUPTED,
        error="Following was stopped. Start it again to go on.",
    )
