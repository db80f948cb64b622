"""The programs of Tallyport, run on the benchmarks' database as they run on a server."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from django.conf import settings
from django.db import connection

from config.management.commands import serve

LOOPBACK = "127.0.0.1"
WEB_WORKERS = 2
START_SECONDS = 30


@contextmanager
def web_server() -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run the web server as `serve` does, on the benchmark's database; yield it and its port."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    with program(serve.web_server(LOOPBACK, port, WEB_WORKERS)) as server:
        wait_for(port)
        yield server, port


@contextmanager
def program(command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program of the project on the benchmark's database."""
    environment = os.environ | {"DATABASE_URL": database_address()}
    output = subprocess.DEVNULL
    process = subprocess.Popen(  # noqa: S603  # Its arguments are our own.
        command, env=environment, cwd=settings.BASE_DIR, stdout=output, stderr=output
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def database_address() -> str:
    database = connection.settings_dict
    address = f"postgresql://{database['USER']}@/{database['NAME']}?host={database['HOST']}"
    if database["PASSWORD"]:
        address = address.replace("@", f":{database['PASSWORD']}@", 1)
    if database["PORT"]:
        address += f"&port={database['PORT']}"
    return address


def wait_for(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex((LOOPBACK, port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError("The web server did not start.")
