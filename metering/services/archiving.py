"""Old months of events into files and out of the database.

The file is complete and read back before anything is detached. What takes the events away is one
transaction: it makes sure that the partition still holds what the file does, drops it, leaves an
empty one in its place that refuses events, and writes down whose events are away. A run that is
killed at any moment has therefore done a month or not; running it again finishes the work.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db import OperationalError, connection
from django.db.backends.utils import CursorWrapper
from psycopg.errors import LockNotAvailable

from config.errors import DomainError
from customers.models import Customer
from metering.models import ArchivedMonth, ArchivedUsage
from metering.selectors.archive import (
    event_columns,
    is_unsettled,
    layouts_to_make,
    months_with_partitions,
    not_settled,
)
from metering.selectors.months import waiting_months
from metering.services.archive_files import (
    Contents,
    Manifest,
    check_file,
    version_of,
    write_file,
    write_manifest,
)
from metering.services.folding import rebuild_usage
from metering.services.partitions import (
    bounds_of,
    in_quiet_moment,
    make_partitions,
    partition_name,
    placeholder_name,
    take_turns,
)
from metering.services.settling import settle_days
from metering.windows import Range, next_month

# Names the work on archives among the advisory locks of the database: one run at a time.
ARCHIVE_LOCK = 7_025_518_302
DAYS_OF_MONTH = 31

CONTENTS = """
    SELECT count(*), count(voided_batch_id), max(batch_id), max(voided_batch_id),
        min(timestamp), max(timestamp)
    FROM {name}
"""
EXPORT = "COPY (SELECT {columns} FROM {name} ORDER BY {key}) TO STDOUT (FORMAT csv, HEADER)"
KEY = "customer_id, timestamp, digest, batch_id"
# Writers of this month alone wait while it is counted. One that has the table already and waits for
# the partition keeps us from the table: we give up first, and find the month changed next time.
HOLD_MONTH = "LOCK TABLE ONLY {name} IN SHARE MODE"
HOLD_TABLE = "LOCK TABLE ONLY metering_event IN ACCESS EXCLUSIVE MODE"
NOTE_USAGE = """
    INSERT INTO metering_archivedusage (customer_id, start_at, event_type, end_at, events)
    SELECT customer_id, %(start)s, type, %(end)s, count(*) FROM {name} GROUP BY customer_id, type
"""
DETACH = """
    ALTER TABLE metering_event DETACH PARTITION {name};
    DROP TABLE {name};
    CREATE TABLE {placeholder} PARTITION OF metering_event
        (CONSTRAINT {placeholder}_takes_no_events CHECK (false))
        FOR VALUES FROM ('{start}') TO ('{end}');
"""


@dataclass(frozen=True, slots=True)
class Detached:
    """What became of a month: the manifest of its file, or why it was left as it is."""

    partition: str
    rows: int
    manifest: Path | None = None
    left: str = ""


def detach_events(
    *, before: date, folder: Path, at: datetime, force: bool = False, is_dry_run: bool = False
) -> Iterator[Detached]:
    """Archive the months of UTC that end on or before a day, the oldest first.

    Yields each month when it is done, or with `is_dry_run` what would be. Raises DomainError, with
    the months so far done, when usage of one is not settled, a file cannot be written, the table
    stays busy, or another run is at work; without `force`, at once, when a month is so young that
    late usage and proofs of invoices still need its events.
    """
    with alone():
        months = months_with_partitions()
        if not is_dry_run:
            waiting = [month for month in waiting_months() if next_month(month) <= before]
            make_partitions(months=waiting)
            months = months_with_partitions()
        chosen = [month for month in months if next_month(month) <= before]
        if not force:
            check_age(chosen, at)
        for month in chosen:
            yield plan_month(month) if is_dry_run else detach_month(month, folder, at)


@contextmanager
def alone() -> Iterator[None]:
    """Hold the lock of the archives; raises DomainError when another run does."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [ARCHIVE_LOCK])
        [(is_alone,)] = cursor.fetchall()
    if not is_alone:
        message = "Another run archives or restores events at this moment; wait until it has ended."
        raise DomainError(message, code="archive_busy")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [ARCHIVE_LOCK])


def check_age(months: list[date], at: datetime) -> None:
    needed_since = at - timedelta(days=DAYS_OF_MONTH * settings.ADJUSTMENT_MONTHS)
    young = [month for month in months if range_of(month).end > needed_since]
    if young:
        message = (
            f"{young[0]:%Y-%m} is younger than ADJUSTMENT_MONTHS ({settings.ADJUSTMENT_MONTHS}): "
            "late usage and proofs of invoices still need its events. Choose months that end by "
            f"{needed_since:%Y-%m-%d}, or say --force."
        )
        raise DomainError(message, code="month_too_young")


def range_of(month: date) -> Range:
    start, end = (
        datetime(day.year, day.month, 1, tzinfo=UTC) for day in (month, next_month(month))
    )
    return Range(start, end)


def plan_month(month: date) -> Detached:
    name = partition_name(month)
    contents = contents_of(name)
    left = "it is empty" if not contents.rows else not_settled(range_of(month))
    return Detached(name, contents.rows, left=left)


def detach_month(month: date, folder: Path, at: datetime) -> Detached:
    plan = plan_month(month)
    if not plan.rows:
        return plan
    if is_unsettled(range_of(month)):
        settle_days(at=at)
    check_settled(month)
    for customer_id, meter in layouts_to_make(plan.partition):
        rebuild_usage(meter=meter, customer=Customer.objects.get(pk=customer_id))
    path = folder / f"{plan.partition}.json"
    manifest = known_manifest(path) or export_month(month, path)
    try:
        in_quiet_moment(lambda: take_away(month, manifest, path, at))
    except OperationalError as error:
        if not isinstance(error.__cause__, LockNotAvailable):
            raise
        message = f"The table stayed too busy to detach {month:%Y-%m}; nothing was lost: run again."
        raise DomainError(message, code="archive_busy") from error
    return Detached(plan.partition, manifest.contents.rows, path)


def check_settled(month: date) -> None:
    reason = not_settled(range_of(month))
    if not reason and is_unsettled(range_of(month)):
        reason = "its days were not settled"
    if reason:
        message = f"{month:%Y-%m} was not archived: {reason}. Run manage.py aggregate, then again."
        raise DomainError(message, code="usage_not_settled")


def known_manifest(path: Path) -> Manifest | None:
    """Return what an earlier run wrote and had no time to detach, as far as it still holds."""
    try:
        manifest = Manifest.read(path)
        check_file(path.with_name(manifest.file), manifest)
    except DomainError:
        return None
    is_same = manifest.contents == contents_of(manifest.partition)
    return manifest if is_same and manifest.columns == event_columns() else None


def export_month(month: date, path: Path) -> Manifest:
    """Write a partition to its file, and the manifest when the file was read back."""
    name, columns = partition_name(month), event_columns()
    contents = contents_of(name)
    csv_path = path.with_name(f"{name}.csv.gz")
    sha256, csv_sha256 = write_file(csv_path, exported(name, list(columns)))
    bounds = bounds_of(month)
    manifest = Manifest(
        partition=name,
        bounds=(bounds["start"], bounds["end"]),
        file=csv_path.name,
        sha256=sha256,
        csv_sha256=csv_sha256,
        size=csv_path.stat().st_size,
        contents=contents,
        columns=columns,
        columns_version=version_of(columns),
    )
    write_manifest(path, manifest)
    return manifest


def exported(name: str, columns: list[str]) -> Iterator[bytes]:
    """Yield a partition as CSV. Whether it changed meanwhile is seen before it is detached."""
    statement = EXPORT.format(columns=", ".join(columns), name=name, key=KEY)
    with connection.cursor() as cursor, connection.wrap_database_errors:
        # Whatever the database's own settings are, what is written is read the same.
        cursor.execute("SET datestyle = 'ISO'")
        with cursor.copy(statement) as copy:
            for piece in copy:
                yield bytes(piece)


def changed(name: str) -> DomainError:
    message = f"Events of {name} came in or were corrected meanwhile; nothing was lost: run again."
    return DomainError(message, code="month_changed")


def contents_of(name: str) -> Contents:
    with connection.cursor() as cursor:
        cursor.execute(CONTENTS.format(name=name))
        [(*counted, first, last)] = cursor.fetchall()
    return Contents(*counted, *(at and at.astimezone(UTC).isoformat() for at in (first, last)))


def take_away(month: date, manifest: Manifest, path: Path, at: datetime) -> None:
    """Put a month's events out of the database, all of them or none."""
    name, bounds = manifest.partition, range_of(month)
    params = {"start": bounds.start, "end": bounds.end}
    with connection.cursor() as cursor:
        take_turns(cursor)
        cursor.execute(HOLD_MONTH.format(name=name))
        if contents_of(name) != manifest.contents:
            raise changed(name)
        cursor.execute(HOLD_TABLE)
        check_settled(month)
        cursor.execute(NOTE_USAGE.format(name=name), params)
        note_month(manifest, path, at)
        replace_partition(cursor, month)


def replace_partition(cursor: CursorWrapper, month: date) -> None:
    names = {"name": partition_name(month), "placeholder": placeholder_name(month)}
    cursor.execute(DETACH.format(**names, **bounds_of(month)))


def note_month(manifest: Manifest, path: Path, at: datetime) -> None:
    away = ArchivedUsage.objects.filter(start_at=manifest.start)
    ArchivedMonth.objects.create(
        start_at=manifest.start,
        end_at=manifest.end,
        partition=manifest.partition,
        rows=manifest.contents.rows,
        customers=away.values("customer_id").distinct().count(),
        first_at=manifest.contents.first or manifest.start,
        last_at=manifest.contents.last or manifest.end,
        manifest=str(path.absolute()),
        size=manifest.size,
        sha256=manifest.sha256,
        archived_at=at,
    )
