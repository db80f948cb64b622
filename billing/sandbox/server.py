"""The HTTP server around it all: threads, keep-alive, no delay, loopback."""

import json
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self, override
from urllib.parse import unquote, urlsplit

from billing.sandbox import control, pages
from billing.sandbox.account import Account
from billing.sandbox.api import Answer, Api, Fate, Request, new_request_id
from billing.sandbox.deliveries import Deliverer
from billing.sandbox.events import add_endpoint
from billing.sandbox.refusals import RefusalError
from billing.sandbox.store import Store

LOOPBACK = "127.0.0.1"
JSON = "application/json"
HTML = "text/html; charset=utf-8"
MAX_BODY = 10_000_000


class StripeSandbox:
    """The server as one object: start it, use `url`, stop it. Also a context manager.

    `port` 0 takes a free one. With `state` the objects outlive the process; `log` gets every API
    request as a line of JSON.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        state: Path | None = None,
        log: Path | None = None,
        first_delay_ms: int = 1000,
    ) -> None:
        # First, so that a taken port leaves the state of whoever has it alone.
        self.http = SandboxServer((LOOPBACK, port), Handler)
        self.http.sandbox = self
        try:
            self.account = Account(Store(state))
        except OSError:
            self.http.server_close()
            raise
        self.deliverer = Deliverer(self.account, first_delay_ms=first_delay_ms)
        self.api = Api(self.account, self.deliverer, log=log)
        self.url = f"http://{LOOPBACK}:{self.http.server_address[1]}"
        self.account.public_url = self.url
        self.thread = threading.Thread(target=self.listen, name="stripe", daemon=True)

    def start(self) -> Self:
        self.deliverer.start()
        self.thread.start()
        return self

    def serve(self) -> None:
        """Answer requests in this thread until another one stops it, or a signal does."""
        self.deliverer.start()
        try:
            self.listen()
        finally:
            self.close()

    def listen(self) -> None:
        self.http.serve_forever(poll_interval=0.05)

    def stop(self) -> None:
        self.http.shutdown()
        self.close()

    def close(self) -> None:
        self.http.server_close()
        self.deliverer.close()
        self.api.close()
        with self.account.lock:
            self.account.store.close()

    def add_endpoint(self, url: str, secret: str, events: list[str]) -> str:
        """Post events to `url`, signed with `secret`; return the endpoint's id."""
        with self.account.lock:
            endpoint = add_endpoint(self.account, url=url, secret=secret, events=events)
            self.account.store.commit()
        return str(endpoint["id"])

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class SandboxServer(ThreadingHTTPServer):
    sandbox: StripeSandbox
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay quiet about callers that hang up; anything else is a bug to be seen."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """Reads a request, hands it to the API, the control API or the pages, writes the answer."""

    server: SandboxServer
    protocol_version = "HTTP/1.1"
    # Without this every small answer waits 40 ms for an acknowledgement.
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:
        self.handle_request()

    def do_POST(self) -> None:
        self.handle_request()

    def do_DELETE(self) -> None:
        self.handle_request()

    def handle_request(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > MAX_BODY:
            self.close_connection = True
            self.write(413, b"", HTML)
            return
        body = self.rfile.read(length)
        url = urlsplit(self.path)
        if url.path.startswith("/v1/") or url.path.startswith("/v2/"):
            self.answer_api(url.path, url.query, body)
        elif url.path.startswith("/_sandbox/"):
            self.answer_control(url.path, body)
        else:
            self.answer_page(url.path, url.query, body)

    def answer_api(self, path: str, query: str, body: bytes) -> None:
        request = Request(
            method=self.command,
            path=unquote(path),
            query=query,
            body=body.decode("utf-8", "replace"),
            authorization=self.headers.get("Authorization", ""),
            version=self.headers.get("Stripe-Version", ""),
            key=self.headers.get("Idempotency-Key", ""),
        )
        answer = self.server.sandbox.api.answer(request)
        if answer.fate is Fate.DROPPED:
            self.drop()
            return
        self.send_answer(answer, request)

    def send_answer(self, answer: Answer, request: Request) -> None:
        headers = {"Request-Id": new_request_id(), "Stripe-Version": request.version}
        if request.key:
            headers["Idempotency-Key"] = request.key
        if answer.is_replayed:
            headers["Idempotent-Replayed"] = "true"
        kind = HTML if isinstance(answer.document, str) else JSON
        self.write(
            answer.status, answer.body(), kind, headers, is_cut=answer.fate is Fate.TRUNCATED
        )

    def answer_control(self, path: str, body: bytes) -> None:
        try:
            document = json.loads(body or b"{}")
            found = control.handle(self.server.sandbox.api, self.command, path, document)
            self.write_json(200, found)
        except RefusalError as refusal:
            self.write_json(refusal.status, refusal.body())
        except (KeyError, TypeError, ValueError) as error:
            unread = RefusalError(f"The control request cannot be read: {error!r}")
            self.write_json(unread.status, unread.body())

    def answer_page(self, path: str, query: str, body: bytes) -> None:
        if self.command == "POST" and not self.is_from_here():
            self.write(403, b"This form was not sent from this server's own page.", HTML)
            return
        page = pages.answer(self.server.sandbox.api, self.command, path, query, body.decode())
        headers = {"Location": page.location} if page.location else {}
        self.write(page.status, page.html.encode(), HTML, headers)

    def is_from_here(self) -> bool:
        origin = self.headers.get("Origin")
        return origin is None or origin == f"http://{self.headers.get('Host')}"

    def write_json(self, status: int, document: dict[str, Any]) -> None:
        self.write(status, json.dumps(document).encode(), JSON)

    def write(
        self,
        status: int,
        body: bytes,
        kind: str,
        headers: dict[str, str] | None = None,
        *,
        is_cut: bool = False,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if is_cut else body)
        self.wfile.flush()
        if is_cut:
            self.drop()

    def drop(self) -> None:
        """Close the connection in the caller's face."""
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing on standard error; --log records the requests."""
