"""Billing from an access log: every request in it becomes an event, once."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import batched, starmap
from pathlib import Path
from typing import Any

from django.db import DatabaseError, transaction

from config.errors import InvalidInputError
from customers.principals import Principal
from metering.models import IngestBatch, LogImport, LogImportLine
from metering.models.imports import COUNTS
from metering.selectors.customers import ids_by_key
from metering.services import event_rules as rules
from metering.services.decoding import EventDocument
from metering.services.ingest import IngestResult, ingest_events, preview_events
from metering.services.log_formats import find_format
from metering.services.log_lines import as_text, read_lines, sample_of
from metering.services.log_mapping import LogMapping, build_mapping
from metering.services.log_reading import KeptLine, Kind, LogReader, LogStretch, NumberedLine
from metering.services.partitions import make_partitions

BATCH_LINES = 5_000
LONGEST_KEPT_LINE = 2_000
MOST_EXAMPLES = 5
EVERYBODY = Principal(customer_ids=None)


@dataclass(slots=True)
class ImportRun:
    """An import on its way.

    `customers` counts new events by customer id; `examples` are the first lines that became none.
    """

    log_import: LogImport
    reader: LogReader
    clock: Callable[[], datetime]
    is_dry_run: bool
    customers: Counter[int] = field(default_factory=Counter)
    examples: list[KeptLine] = field(default_factory=list)
    months: set[date] = field(default_factory=set)


def import_log(
    *,
    path: Path,
    format_key: str,
    mapping: Any,
    clock: Callable[[], datetime],
    is_dry_run: bool = False,
    on_progress: Callable[[int], None] = lambda size: None,
) -> ImportRun:
    """Import an access log; what an earlier import has counted, from whatever file, stays.

    `mapping` is the document of a mapping file. Each few thousand lines are stored in one
    transaction with the import's own counts, so one that broke off is simply started again. Lines
    that become no event are kept with the reason. A dry run stores nothing. `on_progress` is told
    how many bytes were read since it was told last.

    Raises InvalidInputError before anything is stored when format, mapping or a named customer is
    wrong.
    """
    log_format = find_format(format_key, sample_of(path))
    compiled = build_mapping(mapping, log_format)
    refuse_unknown_customers(compiled)
    log_import = LogImport(
        name=rules.printable(path.name),
        format=log_format.key,
        mapping=compiled.document,
        started_at=clock(),
    )
    run = ImportRun(log_import, LogReader(log_format, compiled), clock, is_dry_run)
    if is_dry_run:
        import_lines(run, path, on_progress)
        return run
    log_import.save()
    try:
        import_lines(run, path, on_progress)
    except BaseException as error:
        note_failure(run, error)
        raise
    log_import.status = LogImport.Status.COMPLETED
    log_import.finished_at = clock()
    log_import.save(update_fields=["status", "finished_at"])
    return run


def refuse_unknown_customers(mapping: LogMapping) -> None:
    named = mapping.customer.fixed_names()
    unknown = sorted(named - ids_by_key(EVERYBODY, named).keys())
    if unknown:
        raise InvalidInputError(
            f"There is no customer {', '.join(map(rules.shortened, unknown))}. Create it first, or "
            "name another in the mapping.",
            field="mapping.customer",
        )


def import_lines(run: ImportRun, path: Path, on_progress: Callable[[int], None]) -> None:
    numbered = starmap(NumberedLine, enumerate(read_lines(path), start=1))
    for lines in batched(numbered, BATCH_LINES):
        stretch = run.reader.read(lines)
        set_aside_unknown_customers(stretch)
        if run.is_dry_run:
            result = preview_events(
                items=stretch.documents, principal=EVERYBODY, at=run.clock(), is_backfill=True
            )
            count(run, stretch, result)
        else:
            store_stretch(run, stretch)
        on_progress(stretch.size)


def set_aside_unknown_customers(stretch: LogStretch) -> None:
    """Move events of customers that are not there to the kept lines."""
    names = {document.customer for document in stretch.documents if document.customer}
    known = ids_by_key(EVERYBODY, names)
    if len(known) == len(names):
        return
    pairs = list(zip(stretch.documents, stretch.origins, strict=True))
    stretch.kept += [
        KeptLine(origin, Kind.UNMAPPED, f"There is no customer {rules.shortened(name)}.")
        for document, origin in pairs
        if (name := document.customer or "") not in known
    ]
    mapped = [pair for pair in pairs if pair[0].customer in known]
    stretch.documents = [document for document, _ in mapped]
    stretch.origins = [origin for _, origin in mapped]


def store_stretch(run: ImportRun, stretch: LogStretch) -> None:
    make_room(run, stretch.documents)
    at = run.clock()
    with transaction.atomic():
        result = ingest_events(
            items=stretch.documents,
            principal=EVERYBODY,
            source=IngestBatch.Source.LOG,
            at=at,
            is_backfill=True,
        )
        count(run, stretch, result)
        keep_lines(run.log_import, stretch)
        run.log_import.save(update_fields=COUNTS)


def make_room(run: ImportRun, documents: Iterable[EventDocument]) -> None:
    """Make the partitions that these events need, before they need them."""
    times = (document.timestamp for document in documents)
    months = {
        at.date().replace(day=1)
        for at in times
        if at is not None and rules.EARLIEST <= at <= rules.LATEST
    }
    if not months <= run.months:
        make_partitions(months=months - run.months)
        run.months |= months


def count(run: ImportRun, stretch: LogStretch, result: IngestResult) -> None:
    """Add up what became of the lines, and set those aside that were refused as events."""
    kinds = Counter(kept.kind for kept in stretch.kept)
    found: Mapping[str, int] = {
        "lines": stretch.lines,
        "accepted": result.accepted,
        "duplicate": result.duplicate,
        "conflict": result.conflict,
        "rejected": result.rejected,
        "ignored": stretch.ignored,
        "unmapped": kinds[Kind.UNMAPPED],
        "unparsed": kinds[Kind.UNPARSED],
    }
    for name in COUNTS:
        setattr(run.log_import, name, getattr(run.log_import, name) + found[name])
    run.customers.update(result.customers)
    stretch.kept += [
        KeptLine(stretch.origins[error.index], Kind.REJECTED, error.reason.message)
        for error in result.errors
    ]
    run.examples += stretch.kept[: MOST_EXAMPLES - len(run.examples)]


def keep_lines(log_import: LogImport, stretch: LogStretch) -> None:
    LogImportLine.objects.bulk_create(
        LogImportLine(
            log_import=log_import,
            number=kept.origin.number,
            kind=kept.kind,
            reason=kept.reason,
            text=rules.printable(as_text(kept.origin.line))[:LONGEST_KEPT_LINE],
        )
        for kept in stretch.kept
    )


def note_failure(run: ImportRun, error: BaseException) -> None:
    """Say why an import broke off; the counts stay those of what was stored."""
    reason = str(error) or type(error).__name__
    with suppress(DatabaseError):
        LogImport.objects.filter(pk=run.log_import.pk).update(
            status=LogImport.Status.FAILED,
            finished_at=run.clock(),
            error=f"{reason} What was stored stays; start the import again to go on.",
        )
