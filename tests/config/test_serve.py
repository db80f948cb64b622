"""`manage.py serve` and `delete_database`, as processes on data directories of their own."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from config.embedded.server import EmbeddedServer
from config.processes import Ending, Program, run_together
from tests.config.conftest import ROOT
from tests.processes import unmeasured

type Serve = Callable[..., tuple[subprocess.Popen[str], str]]

MANAGE = [sys.executable, "manage.py"]
START_SECONDS = 60
STOP_SECONDS = 60


def variables(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in unmeasured().items() if name != "DATABASE_URL"}
    return kept | {"TALLYPORT_DATA_DIR": str(folder)}


def manage(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*MANAGE, *arguments], cwd=ROOT, env=variables(folder), text=True,
        capture_output=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def empty_dir() -> Iterator[Path]:
    """Return a data directory without a database."""
    folder = Path(tempfile.mkdtemp(prefix="tp-"))
    yield folder
    if (folder / "run").exists():
        EmbeddedServer(folder).stop()
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def data_dir() -> Iterator[Path]:
    """Return a data directory with a migrated database."""
    folder = Path(tempfile.mkdtemp(prefix="tp-"))
    assert manage(folder, "migrate", "--verbosity", "0").returncode == 0
    yield folder
    EmbeddedServer(folder).stop()
    shutil.rmtree(folder)


@pytest.fixture
def serve(data_dir: Path) -> Iterator[Serve]:
    """Return a way to start a server, which gives its process and its address once it answers."""
    started: list[subprocess.Popen[str]] = []

    def start(*, is_measured: bool = False) -> tuple[subprocess.Popen[str], str]:
        port = free_port()
        measured = dict(os.environ) if is_measured else {}
        process = subprocess.Popen(
            [*MANAGE, "serve", "--port", str(port), "--web-workers", "1"], cwd=ROOT, text=True,
            env=measured | variables(data_dir), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        started.append(process)
        wait_for_port(port, process)
        return process, f"http://127.0.0.1:{port}"

    yield start
    for process in started:
        process.terminate()
        process.communicate()


def wait_for_port(port: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline, "the server did not answer in time"
            time.sleep(0.1)
        else:
            return


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for the end and return the exit code and what was written to stderr."""
    messages = process.communicate(timeout=STOP_SECONDS)[1]
    return process.returncode, messages


def still_running(family: list[psutil.Process]) -> list[psutil.Process]:
    """Return those that are alive; one that waits to be collected by the system is not."""
    alive = []
    for child in family:
        with suppress(psutil.NoSuchProcess):
            if child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
                alive.append(child)
    return alive


def words_of(process: psutil.Process) -> set[str]:
    """Return the words of a command line, which programs may have replaced by a title."""
    return set(" ".join(process.cmdline()).split())


def test_web_worker_and_aggregator_run_together_until_they_are_told_to_stop(serve: Serve) -> None:
    process, address = serve(is_measured=True)
    with urllib.request.urlopen(f"{address}/static/unfold/css/styles.css") as answer:  # noqa: S310
        assert answer.status == 200
    family = psutil.Process(process.pid).children(recursive=True)
    assert {"granian", "qcluster", "aggregate"} <= {
        word for child in family for word in words_of(child)
    }

    process.send_signal(signal.SIGTERM)

    assert ended(process)[0] == 0
    assert still_running(family) == []


def wait_for_idle_workers(process: subprocess.Popen[str]) -> None:
    """Wait until both workers look for tasks: Python itself complains when it is cut off earlier."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        family = psutil.Process(process.pid).children(recursive=True)
        with suppress(psutil.NoSuchProcess):
            if sum({"qcluster", "idle"} <= words_of(child) for child in family) == 2:
                return
        assert time.monotonic() < deadline, "the workers did not start in time"
        time.sleep(0.1)


def test_ctrl_c_at_the_terminal_stops_everything_cleanly(serve: Serve) -> None:
    process, _ = serve()
    wait_for_idle_workers(process)

    os.killpg(process.pid, signal.SIGINT)

    code, messages = ended(process)
    assert (code, messages if "Traceback" in messages else "") == (0, "")


@pytest.mark.parametrize(("program", "word"), [("worker", "qcluster"), ("web", "granian")])
def test_when_one_of_them_dies_the_others_are_stopped_and_the_failure_told(
    serve: Serve, program: str, word: str
) -> None:
    process, _ = serve()
    leader = psutil.Process(process.pid)
    family = leader.children(recursive=True)
    next(child for child in leader.children() if word in words_of(child)).kill()

    code, messages = ended(process)
    assert code == 1
    assert still_running(family) == []
    assert f"The {program} process ended by itself with exit code -9" in messages


def test_a_database_without_tables_is_told_what_to_run(empty_dir: Path) -> None:
    finished = manage(empty_dir, "serve")
    assert finished.returncode == 1
    assert "migrations. Run: python manage.py migrate" in finished.stderr


def test_a_port_that_is_taken_is_told(data_dir: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        finished = manage(data_dir, "serve", "--port", str(other.getsockname()[1]))
    assert finished.returncode == 1
    assert "Choose another --port." in finished.stderr


def test_a_program_that_does_not_want_to_stop_is_made_to() -> None:
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    brief = "import time; time.sleep(1); raise SystemExit(3)"

    ending = run_together(
        [
            Program("stubborn", [sys.executable, "-c", stubborn]),
            Program("brief", [sys.executable, "-c", brief]),
        ],
        environment=os.environ,
        stop_seconds=0.2,
    )

    assert ending == Ending(crashed="brief", exit_code=3)


def test_deleting_the_database_has_to_be_confirmed(empty_dir: Path) -> None:
    with_database = [sys.executable, "-m", "tests.config.embedded_client", str(empty_dir)]
    subprocess.run(with_database, cwd=ROOT, stdin=subprocess.DEVNULL, check=True)
    refused = manage(empty_dir, "delete_database")
    assert (refused.returncode, "Add --yes." in refused.stderr) == (1, True)

    assert manage(empty_dir, "delete_database", "--yes").returncode == 0
    assert not (empty_dir / "postgres").exists()


def test_only_the_embedded_database_is_ever_deleted(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(settings.DATABASES["default"], "ENGINE", "django.db.backends.postgresql")
    with pytest.raises(CommandError, match=r"DATABASE_URL is set: only the embedded"):
        call_command("delete_database", yes=True)
