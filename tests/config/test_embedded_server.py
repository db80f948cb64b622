"""The embedded server, shared by real processes that end in every way processes end."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from django.core.exceptions import ImproperlyConfigured

from config.embedded import keeper, locks
from config.embedded.server import EmbeddedServer

type Client = subprocess.Popen[str]

CLIENT = [sys.executable, "-m", "tests.config.embedded_client"]
ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def server() -> Iterator[EmbeddedServer]:
    """Return a server in a folder whose path is short enough for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="tp-"))
    made = EmbeddedServer(folder)
    yield made
    if made.run_dir.is_dir():
        made.stop()
    shutil.rmtree(folder)


@pytest.fixture
def use(server: EmbeddedServer) -> Iterator[Callable[..., Client]]:
    """Return a way to start a process that uses the server; all are ended afterwards."""
    clients: list[Client] = []

    def start(*flags: str) -> Client:
        client = subprocess.Popen(
            [*CLIENT, str(server.data_dir), *flags], cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        clients.append(client)
        assert client.stdout is not None
        assert client.stdout.readline() == "ready\n", client.communicate()[1]
        return client

    yield start
    for client in clients:
        client.kill()
        client.communicate()


def leave(client: Client) -> str:
    """Let the client end by itself and return what it wrote to stderr."""
    return client.communicate("")[1]


def connect(server: EmbeddedServer) -> psycopg.Connection:
    return psycopg.connect(
        host=str(server.cluster_dir), user="postgres", dbname="tallyport", autocommit=True
    )


def postmaster(server: EmbeddedServer) -> int:
    return int((server.cluster_dir / "postmaster.pid").read_text().split()[0])


def wait_until(condition: Callable[[], bool], *, seconds: int = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)


def is_gone(server: EmbeddedServer) -> bool:
    """Tell whether not one process of the server is left."""
    lock = locks.open_lock(server.run_dir / "server")
    try:
        return locks.try_take(lock)
    finally:
        os.close(lock)


def test_processes_share_a_server_that_stops_after_the_last(
    server: EmbeddedServer, use: Callable[..., Client]
) -> None:
    first, second = use(), use()
    started = postmaster(server)

    leave(first)
    time.sleep(keeper.LINGER_SECONDS + 1)
    assert postmaster(server) == started
    assert server.is_ready()

    leave(second)
    wait_until(lambda: is_gone(server))


def test_a_killed_process_does_not_keep_the_server_running(
    server: EmbeddedServer, use: Callable[..., Client]
) -> None:
    use().kill()

    wait_until(lambda: is_gone(server))


def test_a_forked_child_keeps_the_server_running(
    server: EmbeddedServer, use: Callable[..., Client]
) -> None:
    child = use("--fork")
    child.wait()
    time.sleep(keeper.LINGER_SECONDS + 1)
    assert server.is_ready()

    leave(child)
    wait_until(lambda: is_gone(server))


def test_what_was_committed_survives_a_killed_server(
    server: EmbeddedServer, use: Callable[..., Client]
) -> None:
    use()
    with connect(server) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS answer")
        os.kill(postmaster(server), signal.SIGKILL)

    second = use()

    with connect(server) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchall() == [(1,)]
    assert "was not shut down cleanly; recovering it" in leave(second)


def test_a_process_number_that_somebody_else_has_now_does_not_stop_the_start(
    server: EmbeddedServer, use: Callable[..., Client]
) -> None:
    leave(use())
    wait_until(lambda: is_gone(server))
    stale = server.cluster_dir / "postmaster.pid"
    stale.write_text(f"{os.getpid()}\n{server.cluster_dir}\n1\n5432\n\n\n\nready\n")

    assert "was not shut down cleanly" in leave(use())


def test_a_first_start_that_was_cut_short_begins_again(
    server: EmbeddedServer, use: Callable[..., Client]
) -> None:
    half = server.data_dir / "postgres.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18")

    assert "an earlier first start did not finish" in leave(use())


def test_processes_that_start_together_get_one_server(server: EmbeddedServer) -> None:
    clients = [
        subprocess.Popen(
            [*CLIENT, str(server.data_dir)], cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        for _ in range(4)
    ]  # fmt: skip
    assert [client.communicate("")[0] for client in clients] == ["ready\n"] * 4


def test_no_answered_commit_waits_for_the_disk_later(
    server: EmbeddedServer, use: Callable[..., Client]
) -> None:
    use()
    with connect(server) as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            assert connection.execute(f"SHOW {setting}").fetchone() == ("on",)


def test_deleting_refuses_while_the_server_is_used(
    server: EmbeddedServer, use: Callable[..., Client]
) -> None:
    client = use()
    with pytest.raises(ImproperlyConfigured, match=r"is in use. Stop the server"):
        server.delete()

    leave(client)
    server.delete()
    assert not server.cluster_dir.exists()
    server.delete()


def test_the_keeper_stops_a_server_that_nobody_uses(
    server: EmbeddedServer, use: Callable[..., Client]
) -> None:
    leave(use())

    keeper.keep(server, linger_seconds=0)

    assert is_gone(server)


def test_a_data_directory_that_cannot_be_written_to_is_explained(server: EmbeddedServer) -> None:
    (server.data_dir / "file").touch()
    with pytest.raises(ImproperlyConfigured, match=r"cannot be written to .Not a directory.. Set"):
        EmbeddedServer(server.data_dir / "file" / "data").ensure_running()


def test_a_path_too_long_for_a_socket_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"longer than the 103 bytes .* Set TALLYPORT"):
        EmbeddedServer(tmp_path / ("long" * 30)).hold()


def test_the_database_of_another_version_is_left_alone(server: EmbeddedServer) -> None:
    server.cluster_dir.mkdir()
    (server.cluster_dir / "PG_VERSION").write_text("16\n")

    with pytest.raises(ImproperlyConfigured, match=r"made by PostgreSQL 16, but .* Dump it"):
        server.ensure_running()


def test_a_server_that_does_not_start_is_explained_with_the_end_of_its_log(
    server: EmbeddedServer, use: Callable[..., Client]
) -> None:
    leave(use())
    wait_until(lambda: is_gone(server))
    (server.cluster_dir / "postgresql.conf").write_text("no_such_setting = 1\n")

    with pytest.raises(ImproperlyConfigured, match=r"could not be started.*no_such_setting"):
        server.ensure_running()
