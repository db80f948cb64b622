"""Archived events back into the database.

They are loaded into a table of their own, which then takes the place of the empty partition in one
transaction. Until then nothing has changed for anybody, and a run that was killed is run again.
"""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from django.db import DatabaseError, OperationalError, connection, transaction
from django.db.backends.utils import CursorWrapper
from psycopg.errors import LockNotAvailable

from config.errors import DomainError
from metering.models import ArchivedMonth, ArchivedUsage
from metering.selectors.archive import archived_month, event_columns, months_with_partitions
from metering.selectors.layouts import outdated_layouts
from metering.services.archive_files import Manifest, check_file, read_pieces, refusal
from metering.services.archiving import alone, contents_of
from metering.services.folding import rebuild_usage
from metering.services.partitions import (
    bounds_of,
    in_quiet_moment,
    partition_name,
    placeholder_name,
    take_turns,
)

STAGED = "{name}_restored"
STAGE = """
    DROP TABLE IF EXISTS {staged};
    CREATE TABLE {staged} (LIKE metering_event INCLUDING ALL);
    ALTER TABLE {staged} ADD CONSTRAINT {staged}_bounds
        CHECK (timestamp >= '{start}' AND timestamp < '{end}');
"""
LOAD = "COPY {staged} ({columns}) FROM STDIN (FORMAT csv, HEADER)"
# The constraint says what the bounds do, so the rows are not looked through under the lock.
SWAP = """
    DROP TABLE {placeholder};
    ALTER TABLE {staged} RENAME TO {name};
    ALTER TABLE metering_event ATTACH PARTITION {name} FOR VALUES FROM ('{start}') TO ('{end}');
    ALTER TABLE {name} DROP CONSTRAINT {staged}_bounds;
"""


def restore_events(*, path: Path, at: datetime) -> int:
    """Bring an archived month back and return how many events it has.

    Roll-ups that were made without it are made anew. A month that is there already is left as it
    is. Raises DomainError for a file or manifest that is not the one that was archived, columns
    other than the table's, and while the table stays busy or another run is at work.
    """
    manifest = Manifest.read(path)
    with alone():
        archived = archived_month(manifest.start)
        if archived is None:
            check_is_back(path, manifest)
        else:
            check_archive(path, manifest, archived)
            load(path.with_name(manifest.file), manifest)
            bring_back(manifest, archived, at)
        for layout in outdated_layouts():
            rebuild_usage(meter=layout.meter, customer=layout.customer)
    return manifest.contents.rows


def check_is_back(path: Path, manifest: Manifest) -> None:
    known = ArchivedMonth.objects.filter(sha256=manifest.sha256).exclude(restored_at=None)
    is_there = manifest.start.date() in months_with_partitions()
    if not (known.exists() and is_there):
        raise refusal(path, "this database has not archived the month that it speaks of")


def check_archive(path: Path, manifest: Manifest, archived: ArchivedMonth) -> None:
    if (manifest.sha256, manifest.partition) != (archived.sha256, archived.partition):
        raise refusal(path, f"{archived} was archived in another file; see {archived.manifest}")
    if manifest.columns != event_columns():
        raise refusal(path, "the columns of the event table were others when it was written")
    check_file(path.with_name(manifest.file), manifest)


def names_of(manifest: Manifest) -> dict[str, str]:
    month = manifest.start.date()
    name = partition_name(month)
    names = {"name": name, "staged": STAGED.format(name=name), **bounds_of(month)}
    return names | {"placeholder": placeholder_name(month)}


@transaction.atomic
def load(csv_path: Path, manifest: Manifest) -> None:
    """Load a file into a table that nobody reads yet."""
    names = names_of(manifest)
    statement = LOAD.format(columns=", ".join(manifest.columns), **names)
    with connection.cursor() as cursor:
        cursor.execute(STAGE.format(**names))
        try:
            copy_in(cursor, statement, csv_path)
        except DatabaseError as error:
            raise refusal(csv_path, f"the database does not take it ({error})") from error
    if contents_of(names["staged"]) != manifest.contents:
        raise refusal(csv_path, "its events are not those that the manifest speaks of")


def copy_in(cursor: CursorWrapper, statement: str, csv_path: Path) -> None:
    with connection.wrap_database_errors, cursor.copy(statement) as copy:
        write: Callable[[bytes], object] = copy.write
        read_pieces(csv_path, write)


def bring_back(manifest: Manifest, archived: ArchivedMonth, at: datetime) -> None:
    def swap() -> None:
        with connection.cursor() as cursor:
            take_turns(cursor)
            cursor.execute("LOCK TABLE ONLY metering_event IN ACCESS EXCLUSIVE MODE")
            cursor.execute(SWAP.format(**names_of(manifest)))
        ArchivedUsage.objects.filter(start_at=archived.start_at).delete()
        ArchivedMonth.objects.filter(pk=archived.pk).update(restored_at=at)

    try:
        in_quiet_moment(swap)
    except OperationalError as error:
        if not isinstance(error.__cause__, LockNotAvailable):
            raise
        message = f"The table stayed too busy to bring {archived} back; run again."
        raise DomainError(message, code="archive_busy") from error
