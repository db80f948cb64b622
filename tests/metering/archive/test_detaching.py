"""Months go into files and come back to the letter, whatever happens on the way."""

import gzip
import hashlib
import json
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError
from django.db import connection

from metering.models import ArchivedMonth, ArchivedUsage, EventKey
from metering.services import archive_files, archiving, restoring
from metering.services.folding import fold_pending
from metering.services.partitions import make_partitions
from tests.metering.archive.months import (
    AT,
    NOVEMBER,
    PARTITION,
    TIMES,
    detach,
    populate,
    restore,
    stored_rows,
    tables,
)
from tests.metering.ingest.reports import event, report, stored_ids

pytestmark = pytest.mark.django_db


class Killed(BaseException):
    """What a process that is killed does not live to handle."""


def kill(*args: Any, **kwargs: Any) -> None:
    raise Killed


def manifest_of(folder: Path, partition: str = PARTITION) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"{partition}.json").read_text())
    return found


def test_a_month_goes_into_a_file_and_out_of_the_database(tmp_path: Path) -> None:
    populate()
    said = detach(tmp_path)
    assert "metering_event_2024_11: 3 events are in" in said
    assert stored_ids() == ["4", "5"]
    assert {PARTITION, "metering_event_2024_10"}.isdisjoint(tables())
    assert EventKey.objects.count() == len(TIMES)
    [october, november] = ArchivedMonth.objects.order_by("start_at")
    assert (october.rows, november.rows, november.customers) == (1, 3, 1)
    assert (november.start_at, november.archived_at, november.restored_at) == (NOVEMBER, AT, None)


def test_the_manifest_says_what_is_in_the_file(tmp_path: Path) -> None:
    populate()
    detach(tmp_path)
    manifest, file = manifest_of(tmp_path), tmp_path / f"{PARTITION}.csv.gz"
    assert manifest["bounds"] == ["2024-11-01T00:00:00Z", "2024-12-01T00:00:00Z"]
    assert (manifest["rows"], manifest["first"]) == (3, "2024-11-01T00:00:00+00:00")
    assert manifest["last"] == "2024-11-30T23:59:59.999999+00:00"
    assert manifest["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert manifest["columns"]["properties"] == "jsonb"
    header = gzip.decompress(file.read_bytes()).split(b"\n")[0].decode()
    assert header.split(",") == list(manifest["columns"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_restored_month_is_equal_to_the_byte(tmp_path: Path) -> None:
    populate()
    before, partitions = stored_rows(), tables()
    detach(tmp_path)
    assert restore(tmp_path) == "3 events are back.\n"
    assert restore(tmp_path, "metering_event_2024_10") == "1 events are back.\n"
    assert (stored_rows(), tables()) == (before, partitions)
    assert not ArchivedUsage.objects.exists()
    assert not ArchivedMonth.objects.filter(restored_at=None).exists()
    assert restore(tmp_path) == "3 events are back.\n"
    assert stored_rows() == before


def test_a_restored_month_is_archived_again_into_the_same_bytes(tmp_path: Path) -> None:
    populate()
    detach(tmp_path)
    file = tmp_path / f"{PARTITION}.csv.gz"
    first = file.read_bytes()
    restore(tmp_path)
    file.unlink()
    detach(tmp_path)
    assert file.read_bytes() == first
    assert ArchivedMonth.objects.filter(start_at=NOVEMBER).count() == 2


def test_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    populate()
    before = stored_rows()
    said = detach(tmp_path / "new", "--dry-run")
    assert said.splitlines()[1] == "metering_event_2024_11: 3 events would be archived."
    assert (stored_rows(), (tmp_path / "new").exists()) == (before, False)


def test_young_months_are_left_unless_forced(tmp_path: Path) -> None:
    populate()
    at = datetime(2026, 3, 9, tzinfo=UTC)
    make_partitions(months=[at.date()])
    report([event("young", timestamp=at.isoformat())], at=at)
    fold_pending(at=at)
    with pytest.raises(CommandError, match="2026-03 is younger than ADJUSTMENT_MONTHS"):
        detach(tmp_path, before="2026-04-01")
    assert "young" in stored_ids()
    detach(tmp_path, "--force", before="2026-04-01")
    assert stored_ids() == []


def test_what_waits_in_the_default_partition_is_archived_too(tmp_path: Path) -> None:
    populate()
    report([event("older", timestamp="2023-05-05T00:00:00Z")], is_backfill=True)
    fold_pending(at=AT)
    assert "metering_event_2023_05: 1 events are in" in detach(tmp_path)


def test_an_empty_month_and_no_month_are_left(tmp_path: Path) -> None:
    make_partitions(months=[NOVEMBER.date()])
    assert detach(tmp_path) == "metering_event_2024_11: left as it is, it is empty.\n"
    assert detach(tmp_path, before="2024-11-30") == "No month of events ends by 2024-11-30.\n"


def test_events_that_are_not_folded_yet_keep_a_month(tmp_path: Path) -> None:
    populate()
    report([event("late", timestamp=TIMES[2])], is_backfill=True)
    with pytest.raises(CommandError, match="2024-11 was not archived: events that may lie in it"):
        detach(tmp_path)
    assert "late" in stored_ids()
    fold_pending(at=AT)
    assert "metering_event_2024_11: 4 events" in detach(tmp_path)


@pytest.mark.parametrize(
    ("module", "step"),
    [
        (archive_files, "csv_digest"),
        (archive_files, "file_digest"),
        (archiving, "write_manifest"),
        (archiving, "in_quiet_moment"),
        (archiving, "note_month"),
        (archiving, "replace_partition"),
    ],
)
def test_a_kill_between_any_two_steps_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Any, step: str
) -> None:
    populate()
    before = stored_rows()
    with monkeypatch.context() as patch:
        patch.setattr(module, step, kill)
        with pytest.raises(Killed):
            detach(tmp_path)
    assert (stored_rows(), ArchivedMonth.objects.count()) == (before, 0)
    detach(tmp_path)
    assert stored_ids() == ["4", "5"]
    restore(tmp_path)
    restore(tmp_path, "metering_event_2024_10")
    assert stored_rows() == before


@pytest.mark.parametrize("step", ["check_file", "copy_in", "in_quiet_moment", "outdated_layouts"])
def test_a_killed_restore_is_finished_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    populate()
    before = stored_rows()
    detach(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(restoring, step, kill)
        with pytest.raises(Killed):
            restore(tmp_path)
    restore(tmp_path)
    restore(tmp_path, "metering_event_2024_10")
    assert stored_rows() == before


def test_an_event_that_comes_between_file_and_detaching_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    populate()
    export: Callable[..., Any] = archiving.export_month

    def slowly(*args: Any) -> Any:
        manifest = export(*args)
        report([event(f"during {args[0]:%B}", timestamp=TIMES[2])], is_backfill=True)
        fold_pending(at=AT)
        return manifest

    with monkeypatch.context() as patch:
        patch.setattr(archiving, "export_month", slowly)
        with pytest.raises(CommandError, match="2024_11 came in or were corrected meanwhile"):
            detach(tmp_path)
    assert "during November" in stored_ids()
    detach(tmp_path)
    assert manifest_of(tmp_path)["rows"] == 5


def spoil_file(folder: Path) -> None:
    file = folder / f"{PARTITION}.csv.gz"
    file.write_bytes(file.read_bytes()[:-1])


def spoil_columns(folder: Path) -> None:
    change(folder, columns={"customer_id": "bigint"})


def swap_months(folder: Path) -> None:
    other = manifest_of(folder, "metering_event_2024_10")
    change(folder, sha256=other["sha256"], file=other["file"])


def lead_elsewhere(folder: Path) -> None:
    change(folder, file="../elsewhere.csv.gz")


def lose_file(folder: Path) -> None:
    (folder / f"{PARTITION}.csv.gz").unlink()


def change(folder: Path, **fields: Any) -> None:
    document = manifest_of(folder) | fields
    (folder / f"{PARTITION}.json").write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (spoil_file, "its SHA-256 is not the one in the manifest"),
        (spoil_columns, "the columns of the event table were others"),
        (swap_months, "was archived in another file"),
        (lead_elsewhere, "it is no manifest"),
        (lose_file, "No such file"),
    ],
)
def test_what_is_not_the_archived_file_is_refused(
    tmp_path: Path, spoil: Callable[[Path], None], reason: str
) -> None:
    populate()
    detach(tmp_path)
    spoil(tmp_path)
    with pytest.raises(CommandError, match=reason):
        restore(tmp_path)
    assert stored_ids() == ["4", "5"]
    assert ArchivedMonth.objects.filter(restored_at=None).count() == 2


def test_a_month_that_was_never_archived_here_is_refused(tmp_path: Path) -> None:
    populate()
    detach(tmp_path)
    ArchivedMonth.objects.all().delete()
    with pytest.raises(CommandError, match="this database has not archived the month"):
        restore(tmp_path)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    populate()
    (tmp_path / "file").touch()
    with pytest.raises(CommandError, match=r"could not be written: .* Nothing was detached"):
        detach(tmp_path / "file")
    assert len(stored_ids()) == len(TIMES)


def test_making_partitions_does_not_bring_an_archived_month_back_empty(tmp_path: Path) -> None:
    populate()
    detach(tmp_path)
    assert make_partitions(months=[NOVEMBER.date()]) == []
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s)", [PARTITION])
        assert cursor.fetchone() == (None,)
