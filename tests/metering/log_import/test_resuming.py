"""An import that breaks off goes on where it did, and always tells the truth."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
import pytest
from django.conf import settings
from django.db import DataError, connection, transaction

from config.errors import DomainError
from customers.models import Customer
from metering.identity import id_digest
from metering.models import Event, EventKey, LogImport, LogImportPiece
from metering.selectors.log_imports import LOCK
from metering.services import ingest, log_lines, log_runs
from metering.services.log_reading import id_of
from tests.factories import NOW
from tests.metering.log_import.lines import counts, line, run_import, write
from tests.processes import on_this_database

WAIT_SECONDS = 180


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_lines, "PIECE_BYTES", 1_000)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Return a log of 50 requests, ten times the same five lines, and one that is none."""
    lines = [line(f"GET /{number % 5} HTTP/1.1") for number in range(50)]
    return write(tmp_path / "access.log", [*lines, "garbage"])


@pytest.fixture
def broken_off(db: None, acme: Customer, log: Path, monkeypatch: pytest.MonkeyPatch) -> LogImport:
    """Return an import that broke off after three pieces."""
    store, calls = ingest.store_screened, iter(range(4))

    def fail_at_the_fourth(**arguments: Any) -> Any:
        if next(calls) == 3:
            raise DataError("The disk is full.")
        return store(**arguments)

    with monkeypatch.context() as broken:
        broken.setattr(log_runs, "store_screened", fail_at_the_fourth)
        with pytest.raises(DataError):
            run_import(log)
    return LogImport.objects.get()


def test_an_import_that_breaks_off_says_so_and_keeps_what_it_stored(broken_off: LogImport) -> None:
    assert (broken_off.status, broken_off.lines) == ("failed", broken_off.accepted)
    assert 0 < broken_off.accepted == Event.objects.count() < 50
    assert broken_off.customers == {"acme": broken_off.accepted}
    sentence = "The disk is full. What was stored stays; start the import again to go on."
    assert broken_off.error == sentence


def test_it_goes_on_at_the_byte_whatever_the_log_is_called_by_then(
    broken_off: LogImport, log: Path
) -> None:
    done = LogImportPiece.objects.order_by("-end")[0].end
    run = run_import(log.rename(log.with_name("access.log.1")))
    assert run.bytes_done_before == done
    assert run.log_import.pk == broken_off.pk
    assert counts(run) == {"lines": 51, "accepted": 50, "unparsed": 1}
    whole = LogImport.objects.get()
    assert (whole.status, whole.error, whole.customers) == ("completed", "", {"acme": 50})
    assert not LogImportPiece.objects.exists()
    assert Event.objects.count() == 50


def test_lines_before_the_break_still_make_later_identical_ones_differ(
    broken_off: LogImport, log: Path
) -> None:
    run_import(log)
    assert counts(run_import(log)) == {"lines": 51, "duplicate": 50, "unparsed": 1}


def test_a_piece_missing_in_the_middle_is_filled_in(broken_off: LogImport, log: Path) -> None:
    _, second, third = LogImportPiece.objects.order_by("start")
    second.delete()
    run = run_import(log)
    assert run.bytes_done_before == second.start + third.end - third.start
    assert Event.objects.count() == 50
    assert run.log_import.duplicate > 0


def test_another_log_and_another_mapping_begin_anew(broken_off: LogImport, log: Path) -> None:
    # As long to the byte, so that only what is in it tells it from the first one.
    write(log, [line(f"GET /{9 - number % 5} HTTP/1.1") for number in range(50)])
    assert run_import(log).log_import.pk != broken_off.pk
    write(log, [line(f"GET /{number % 5} HTTP/1.1") for number in range(50)])
    assert run_import(log, ignore={"status": [500]}).log_import.pk != broken_off.pk


def test_a_log_that_another_process_imports_is_refused(
    broken_off: LogImport, log: Path, django_db_blocker: object
) -> None:
    taken, release = threading.Event(), threading.Event()

    def hold() -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT pg_advisory_lock({LOCK}, {broken_off.pk})")
            taken.set()
            release.wait(WAIT_SECONDS)
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    assert taken.wait(WAIT_SECONDS)
    try:
        with pytest.raises(DomainError, match="is being imported already, as import"):
            run_import(log)
    finally:
        release.set()
        holder.join()


def start_import(log: Path, mapping: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "manage.py", "import_log", str(log), "--mapping", str(mapping)]
    return subprocess.Popen(
        [*command, "--workers", "2"], cwd=settings.BASE_DIR, stdout=subprocess.PIPE,
        env=on_this_database(),
    )  # fmt: skip


def kill_after_a_piece(process: subprocess.Popen[bytes]) -> None:
    """Kill an import and its workers once they have stored a piece."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not LogImportPiece.objects.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert psutil.wait_procs(family, timeout=WAIT_SECONDS)[1] == []


@pytest.mark.django_db(transaction=True)
def test_a_killed_import_is_finished_by_the_next_one(tmp_path: Path, acme: Customer) -> None:
    lines = [line(f"GET /{number} HTTP/1.1", size=str(number // 3)) for number in range(30_000)]
    log = write(tmp_path / "access.log", lines)
    mapping = tmp_path / "mapping.yaml"
    mapping.write_text("{event_type: http.request, customer: {value: acme}}")
    last = UUID(bytes=id_digest(id_of(lines[-1].encode(), 0)))
    with transaction.atomic():
        # Whoever stores the last line waits for this transaction, and so does the last piece.
        EventKey.objects.create(customer=acme, digest=last, content_digest=last, timestamp=NOW)
        kill_after_a_piece(start_import(log, mapping))
        assert LogImportPiece.objects.count() == 1
        transaction.set_rollback(True)
    killed = LogImport.objects.get()
    assert (killed.status, killed.lines) == ("running", Event.objects.count())
    log_runs.note_interrupted()
    assert LogImport.objects.get().status == "interrupted"

    out, _ = start_import(log, mapping).communicate(timeout=WAIT_SECONDS)
    assert f"{30_000:>12,} counted\n" in out.decode()
    assert "Went on at byte" in out.decode()
    finished = LogImport.objects.get()
    assert (finished.status, finished.accepted, finished.duplicate) == ("completed", 30_000, 0)
    assert Event.objects.count() == 30_000


def test_a_piece_that_another_process_stored_is_not_counted_again(
    broken_off: LogImport, log: Path
) -> None:
    with log_lines.open_log(log) as file:
        first = next(log_lines.PieceCutter(file).pieces())
    plan = log_runs.ImportPlan("combined", (line(),), broken_off.mapping, broken_off.pk)
    result = log_runs.store_piece(plan, first, NOW)
    assert result.counts == {}
    assert LogImport.objects.get().lines == broken_off.lines
