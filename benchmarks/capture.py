"""`middleware_added_us`: what reporting its usage adds to the median request of a WSGI application.

The limit is what the project promises: 50 microseconds. Events go to a server that takes them.
"""

import json
import statistics
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, override

from benchmarks.harness import ROUNDS, Result
from metering.middleware import UsageWSGIMiddleware

REQUESTS = 10_000
PROMISED = Decimal(50)
ENVIRON = {
    "REQUEST_METHOD": "GET",
    "SCRIPT_NAME": "",
    "PATH_INFO": "/v1/search",
    "HTTP_X_CUSTOMER": "acme",
}
type App = Callable[..., Iterable[bytes]]


def run() -> Iterator[Result]:
    with events_server() as url:
        app = UsageWSGIMiddleware(
            hello,
            url=url,
            key="tp_bench",
            customer=lambda environ: environ["HTTP_X_CUSTOMER"],
            queue_size=REQUESTS * ROUNDS,
            exit_within=timedelta(seconds=30),
        )
        pairs = [(median_of(app), median_of(hello)) for _ in range(ROUNDS)]
        if app.capture.reporter is not None:
            app.capture.reporter.close()
    added = [wrapped - plain for wrapped, plain in pairs]
    yield Result("middleware_added_us", statistics.median(added), PROMISED, "µs/request")


def hello(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"hello"]


def median_of(app: App) -> Decimal:
    """Return the median microseconds of a request."""
    taken = []
    for _ in range(REQUESTS):
        begin = time.perf_counter_ns()
        b"".join(app(ENVIRON, ignore))
        taken.append(time.perf_counter_ns() - begin)
    return Decimal(statistics.median(taken)) / 1000


def ignore(status: str, headers: list[tuple[str, str]]) -> None:
    """Take the head of an answer, as a server does."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        answer = json.dumps({"accepted": 0, "duplicate": 0, "conflict": 0, "rejected": 0}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def events_server() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
