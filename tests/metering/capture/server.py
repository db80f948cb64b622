"""An events endpoint that answers as a test tells it to, and remembers what it was sent."""

import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, override

WAIT_SECONDS = 60
# What to do with a body: a status to answer with, or None to hang up without an answer.
type Behaviour = Callable[[list[dict[str, Any]]], int | None]


class EventsServer(ThreadingHTTPServer):
    """Keeps the bodies it was sent, and the headers, in their order."""

    def __init__(self, behaviour: Behaviour) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behaviour = behaviour
        self.batches: list[list[dict[str, Any]]] = []
        self.headers: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for batch in self.batches for event in batch]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: EventsServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        events = json.loads(body)
        self.server.headers.append({"path": self.path} | dict(self.headers))
        self.server.batches.append(events)
        status = self.server.behaviour(events)
        if status is None:
            self.close_connection = True
            return
        answer = {"accepted": len(events), "duplicate": 0, "conflict": 0, "rejected": 0}
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def answering(*statuses: int | None) -> Behaviour:
    """Return the behaviour of giving these answers and then 200 for ever."""
    left = list(statuses)
    return lambda events: left.pop(0) if left else 200


TAKE_ALL = answering()


@contextmanager
def events_server(behaviour: Behaviour = TAKE_ALL) -> Iterator[EventsServer]:
    server = EventsServer(behaviour)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def wait_until(is_so: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.005)
