"""Unhandled errors reach the error tracker that is named, without what is nobody's business."""

import gzip
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import override

import brotli
import pytest

from tests.config.conftest import ROOT

FAIL = """
import django, sentry_sdk
django.setup()
def fail():
    card_number = "hunter" + str(2)
    raise RuntimeError("it broke")
try:
    fail()
except RuntimeError as error:
    sentry_sdk.capture_exception(error)
sentry_sdk.flush(5)
"""


# What the client packs with depends on what is installed.
UNPACK: dict[str | None, Callable[[bytes], bytes]] = {
    None: bytes,
    "gzip": gzip.decompress,
    "br": brotli.decompress,
}


class Tracker(BaseHTTPRequestHandler):
    reports: list[bytes]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.reports.append(UNPACK[self.headers.get("Content-Encoding")](body))
        self.send_response(200)
        self.end_headers()

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def tracker() -> Iterator[HTTPServer]:
    Tracker.reports = []
    server = HTTPServer(("127.0.0.1", 0), Tracker)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_an_error_is_reported_without_the_values_of_variables(
    tracker: HTTPServer, clean_variables: dict[str, str]
) -> None:
    dsn = f"http://key@127.0.0.1:{tracker.server_port}/1"
    variables = clean_variables | {"SENTRY_DSN": dsn, "DJANGO_SETTINGS_MODULE": "config.settings"}
    subprocess.run([sys.executable, "-c", FAIL], cwd=ROOT, env=variables, check=True)
    sent = b"".join(Tracker.reports).decode()
    assert "it broke" in sent
    assert "hunter2" not in sent
