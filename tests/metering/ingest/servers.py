"""A real web server that can be killed, a way to its database that can be cut, and senders."""

import json
import os
import select
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
from django.conf import settings
from django.db import connection

from config.management.commands.serve import web_server
from tests.processes import unmeasured

PATIENCE_SECONDS = 60
SOCKET_NAME = ".s.PGSQL.5432"
READ_BYTES = 64 * 1024


class WebServer:
    """A web server in processes of its own, on the database of the tests.

    `database_host` is where it looks for that database: the folder of a socket.
    """

    def __init__(self, database_host: str = "") -> None:
        self.port = free_port()
        self.database_host = database_host or str(connection.settings_dict["HOST"])
        self.start()

    def start(self) -> None:
        database = connection.settings_dict
        host = quote(self.database_host, safe="")
        address = f"postgres://{database['USER']}@/{database['NAME']}?host={host}"
        self.process = subprocess.Popen(
            web_server("127.0.0.1", self.port, 1), cwd=settings.BASE_DIR, stdin=subprocess.DEVNULL,
            env=unmeasured() | {"DATABASE_URL": address}, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    def kill(self) -> None:
        """Send SIGKILL to the server and its workers at once, and wait until they are gone."""
        if self.process.poll() is not None:
            return
        family = psutil.Process(self.process.pid).children(recursive=True)
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        psutil.wait_procs(family, timeout=PATIENCE_SECONDS)


class Wire:
    """Leads from a socket in `folder` to the tests' database; cut it, and the database is gone."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / SOCKET_NAME
        self.listener: socket.socket | None = None
        self.ends: list[socket.socket] = []
        self.join()

    def join(self) -> None:
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen(64)
        threading.Thread(target=self.accept, args=[self.listener], daemon=True).start()

    def accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(str(Path(connection.settings_dict["HOST"]) / SOCKET_NAME))
                self.ends += [near, far]
                threading.Thread(target=carry, args=[near, far], daemon=True).start()

    def cut(self) -> None:
        """Refuse new connections and end those that are open, whatever they are doing."""
        if self.listener is not None:
            self.path.unlink()
            shut(self.listener)
            self.listener = None
        while self.ends:
            shut(self.ends.pop())


def carry(near: socket.socket, far: socket.socket) -> None:
    with suppress(OSError, ValueError):
        while True:
            readable, _, _ = select.select([near, far], [], [])
            for end in readable:
                piece = end.recv(READ_BYTES)
                if not piece:
                    raise OSError
                (far if end is near else near).sendall(piece)
    shut(near)
    shut(far)


def shut(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


class Sender:
    """Sends a body until it is answered with 200; `statuses` counts what came before."""

    def __init__(self, port: int, secret: str, path: str) -> None:
        self.port = port
        self.path = path
        self.headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
        self.statuses: Counter[int | str] = Counter()

    def send(self, documents: list[dict[str, Any]]) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            answer = self.try_once(json.dumps(documents))
            if answer is not None:
                return answer
            time.sleep(0.05)
        raise TimeoutError(f"No answer; so far there were {dict(self.statuses)}.")

    def try_once(self, body: str) -> dict[str, Any] | None:
        with closing(HTTPConnection("127.0.0.1", self.port, PATIENCE_SECONDS)) as client:
            try:
                client.request("POST", self.path, body, self.headers)
                answer = client.getresponse()
                content = json.load(answer)
            except (OSError, HTTPException, json.JSONDecodeError):
                self.statuses["broken"] += 1
                return None
        self.statuses[answer.status] += 1
        if answer.status == 503:
            assert int(answer.headers["Retry-After"]) > 0
            return None
        assert answer.status == 200, content
        return dict(content)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
