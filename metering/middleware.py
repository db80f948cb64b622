"""Reports the requests of an API to Tallyport from inside the program that answers them.

This one file needs nothing but Python's standard library: copy it into any project. It offers
`UsageMiddleware` for Django, `UsageWSGIMiddleware` and `UsageASGIMiddleware` for everything else;
docs/in-process-capture.md shows them in use.

The host application comes first. A request costs it one event in memory; a thread of its own sends
them in batches, again and again under the same ids until they are answered. When the queue is full,
new requests are dropped and counted. Nothing here raises into the host, waits for the network in
its place, or keeps it from ending for more than a few seconds.
"""

import atexit
import gzip
import importlib
import inspect
import json
import logging
import os
import secrets
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from itertools import count
from typing import Any
from urllib.parse import urlsplit

logger = logging.getLogger("tallyport.usage")

EVENTS_PATH = "/api/v1/events"
FIRST_DELAY = timedelta(milliseconds=500)
LONGEST_DELAY = timedelta(seconds=60)
COMPLAIN_EVERY = timedelta(minutes=1)
LONGEST_TEXT = 2_000
LEAST_GZIPPED_BYTES = 1_000
NANOSECONDS = 1_000_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Answers after which the same body would be refused again. Others, a wrong key among them, can
# come right while the program runs.
FINAL_STATUSES = (400, 413, 422)
FUNCTIONS = {"customer", "user", "endpoint", "ignore"}


class UsageReporter:
    """Sends events from a background thread, which starts with the first request.

    `url` is where Tallyport is, `key` an API key with the scope `events:write`. `counts` says what
    became of the requests: `delivered` are stored, `refused` the server would not count (why, the
    log says), `dropped` found the queue full or the program at its end, `failed` could not be read.
    """

    def __init__(
        self,
        *,
        url: str,
        key: str,
        queue_size: int = 10_000,
        batch_size: int = 1_000,
        flush_every: timedelta = timedelta(seconds=1),
        timeout: timedelta = timedelta(seconds=10),
        exit_within: timedelta = timedelta(seconds=5),
    ) -> None:
        self.queue_size = queue_size
        self.batch_size = batch_size
        self.flush_every = flush_every
        self.exit_within = exit_within
        self._client = EventsClient(url, key, timeout)
        self._last_complaint = -COMPLAIN_EVERY.total_seconds()
        self._reset()
        os.register_at_fork(after_in_child=self._reset)
        atexit.register(self.close)

    def _reset(self) -> None:
        """Begin anew, as a process that was forked has to: threads do not survive a fork."""
        self.counts = Counter(delivered=0, refused=0, dropped=0, failed=0)
        self._lock = threading.Lock()
        self._waiting: deque[dict[str, Any]] = deque()
        self._in_flight = 0
        self._is_over = False
        self._numbers = count(1)
        self._prefix = uuid.uuid4().hex
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._client.close()

    def record(self, event: dict[str, Any]) -> None:
        """Queue an event, under an id of its own; it never waits for the network."""
        waiting = len(self._waiting)
        if waiting >= self.queue_size or self._closing.is_set():
            self.add(dropped=1)
            return
        if self._thread is None:
            self._start()
        event["id"] = f"{self._prefix}-{next(self._numbers)}"
        self._waiting.append(event)
        if waiting + 1 == self.batch_size:
            self._wake.set()

    def add(self, **changes: int) -> None:
        with self._lock:
            self.counts.update(changes)

    def complain(self, message: str, *arguments: object, exc_info: bool = False) -> None:
        """Log a warning, but not one for every request."""
        now = time.monotonic()
        if now - self._last_complaint >= COMPLAIN_EVERY.total_seconds():
            self._last_complaint = now
            logger.warning(message, *arguments, exc_info=exc_info)

    def close(self) -> None:
        """Send what is waiting, for at most `exit_within`, and stop."""
        self._closing.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(self.exit_within.total_seconds())
        self._is_over = True
        atexit.unregister(self.close)
        left = len(self._waiting) + self._in_flight
        if left:
            self.add(dropped=left)
            self._waiting.clear()
            logger.warning("%s requests were not reported before the program ended.", left)

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            self._wake.wait(self.flush_every.total_seconds())
            self._wake.clear()
            is_last = self._closing.is_set()
            while self._waiting:
                self._deliver()
            if is_last:
                self._client.close()
                return

    def _deliver(self) -> None:
        self._in_flight = min(len(self._waiting), self.batch_size)
        events = [self._waiting.popleft() for _ in range(self._in_flight)]
        try:
            self._send(events)
        except Exception:  # noqa: BLE001 - whatever it is, the thread has to go on
            self.add(failed=len(events))
            self.complain("Requests could not be reported.", exc_info=True)
        self._in_flight = 0

    def _send(self, events: list[dict[str, Any]]) -> None:
        """Send events until they are answered; a body that is too large is sent in halves."""
        body = json.dumps(events).encode()
        delay = FIRST_DELAY
        while not self._is_over:
            status, wait, answer = self._client.post(body)
            if status == HTTPStatus.OK:
                self._take_in(answer, len(events))
                return
            if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE and len(events) > 1:
                self._send(events[::2])
                self._send(events[1::2])
                return
            if status in FINAL_STATUSES:
                self.add(refused=len(events))
                self.complain("Tallyport refused %s events: %s", len(events), answer)
                return
            self.complain("Tallyport does not take usage (%s); trying again.", answer)
            self._pause(max(delay, wait))
            delay = min(delay * 2, LONGEST_DELAY)

    def _pause(self, delay: timedelta) -> None:
        """Wait a random part of the delay, so that many processes do not come back at once."""
        share = (500 + secrets.randbelow(501)) / 1_000
        if self._closing.wait(min(delay, LONGEST_DELAY).total_seconds() * share):
            time.sleep(FIRST_DELAY.total_seconds() * share)

    def _take_in(self, answer: Mapping[str, Any], sent: int) -> None:
        refused = answer.get("conflict", 0) + answer.get("rejected", 0)
        self.add(delivered=sent - refused, refused=refused)
        if refused:
            errors = answer.get("errors") or ["no reason given"]
            self.complain("Tallyport did not count %s events; the first: %s", refused, errors[0])


def plain(text: object) -> str:
    """Return a text that the server can store, whatever a request brought."""
    shown = str(text)[:LONGEST_TEXT].encode(errors="backslashreplace").decode()
    return shown.replace("\0", "\\0")


class EventsClient:
    """One connection to the events endpoint, opened again when it breaks."""

    def __init__(self, url: str, key: str, timeout: timedelta) -> None:
        parts = urlsplit(url)
        self.maker = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self.host = parts.hostname or ""
        self.port = parts.port
        self.path = parts.path.rstrip("/") + EVENTS_PATH
        self.headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self.seconds = timeout.total_seconds()
        self.takes_gzip = True
        self._connection: HTTPConnection | None = None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def post(self, body: bytes) -> tuple[int, timedelta, Any]:
        """Return status, how long the server asks to wait, and the answer; status 0 is none."""
        try:
            response = self._request(body)
            raw = response.read()
        except (OSError, HTTPException) as error:
            self.close()
            return 0, timedelta(), f"{type(error).__name__}: {error}"
        if response.status == HTTPStatus.UNSUPPORTED_MEDIA_TYPE and self.takes_gzip:
            self.takes_gzip = False
            return self.post(body)
        try:
            return response.status, retry_after(response), json.loads(raw)
        except ValueError:
            # Something between here and Tallyport answered in its place.
            return response.status * (response.status != HTTPStatus.OK), timedelta(), "no JSON"

    def _request(self, body: bytes) -> HTTPResponse:
        if self._connection is None:
            self._connection = self.maker(self.host, self.port, timeout=self.seconds)
        headers = self.headers
        if self.takes_gzip and len(body) >= LEAST_GZIPPED_BYTES:
            headers = headers | {"Content-Encoding": "gzip"}
            body = gzip.compress(body, compresslevel=1)
        self._connection.request("POST", self.path, body, headers)
        return self._connection.getresponse()


def retry_after(response: HTTPResponse) -> timedelta:
    stated = response.headers.get("Retry-After", "")
    return timedelta(seconds=min(int(stated), 3_600)) if stated.isdecimal() else timedelta()


type Reading = str | Callable[[Any], str | None] | None


class Capture:
    """What is noted of each request, and whose it is.

    `customer` and `user` are texts, or functions of what the server hands over (a Django request,
    a WSGI environ, an ASGI scope); they run when the answer is there. A request that a function
    names no customer for is not counted. Leave `customer` out with a customer's own key.
    `endpoint` names the endpoint where the framework's route and the path will not do; `ignore`
    says of which requests nothing is wanted.
    """

    def __init__(
        self,
        *,
        url: str = "",
        key: str = "",
        event_type: str = "http.request",
        customer: Reading = None,
        user: Reading = None,
        endpoint: Reading = None,
        ignore: Callable[[Any], bool] | None = None,
        is_off: bool = False,
        **options: Any,
    ) -> None:
        self.event_type = event_type
        self.customer = customer
        self.user = user
        self.endpoint = endpoint
        self.ignore = ignore
        self.reporter = None if is_off else make_reporter(url, key, options)

    def note(
        self, source: Any, begin: int, method: str, route: str, status: int, size: int | None
    ) -> None:
        """Queue what is known of a request that was answered just now and came in at `begin`."""
        if self.ignore is not None and self.ignore(source):
            return
        event = self.event_for(source)
        if event is None or self.reporter is None:
            return
        event["timestamp"] = (EPOCH + timedelta(microseconds=begin // 1_000)).isoformat()
        event["properties"] |= {
            "endpoint": plain(read(self.endpoint, source) or route),
            "method": plain(method),
            "status": status,
            "duration": f"{max(0, time.time_ns() - begin) / NANOSECONDS:.6f}",
        } | ({} if size is None else {"bytes": size})
        self.reporter.record(event)

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Keep mistakes in the bookkeeping from the host."""
        try:
            yield
        except Exception:  # noqa: BLE001 - whatever it is
            if self.reporter is not None:
                self.reporter.add(failed=1)
                self.reporter.complain("A request could not be counted.", exc_info=True)

    def event_for(self, source: Any) -> dict[str, Any] | None:
        """Return the event with whose it is, or None when it is nobody's."""
        event: dict[str, Any] = {"type": self.event_type, "properties": {}}
        if self.customer is not None:
            customer = read(self.customer, source)
            if customer is None:
                return None
            event["customer"] = plain(customer)
        user = read(self.user, source)
        if user is not None:
            event["properties"]["user_id"] = plain(user)
        return event


def read(reading: Reading, source: Any) -> str | None:
    return reading(source) if callable(reading) else reading


def make_reporter(url: str, key: str, options: Mapping[str, Any]) -> UsageReporter | None:
    """Return a reporter, or None, with a word in the log, when it is not told where to report."""
    url = url or os.environ.get("TALLYPORT_URL", "")
    key = key or os.environ.get("TALLYPORT_API_KEY", "")
    try:
        if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname or not key:
            raise ValueError("TALLYPORT_URL must be a web address, and TALLYPORT_API_KEY a key")
        return UsageReporter(url=url, key=key, **options)
    except (ValueError, TypeError) as error:
        logger.error("Usage is not reported: %s.", error)
        return None


class UsageMiddleware:
    """Django's: name it first in MIDDLEWARE and put `TALLYPORT_USAGE = {...}` into the settings.

    The dictionary holds the arguments of Capture and UsageReporter, functions by their dotted
    names. Works in sync and in async projects.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response
        self.is_async = inspect.iscoroutinefunction(get_response)
        if self.is_async:
            inspect.markcoroutinefunction(self)
        self.capture = django_capture()

    def __call__(self, request: Any) -> Any:
        if self.is_async:
            return self.answer(request)
        begin = time.time_ns()
        response = self.get_response(request)
        self.note(request, response, begin)
        return response

    async def answer(self, request: Any) -> Any:
        begin = time.time_ns()
        response = await self.get_response(request)
        self.note(request, response, begin)
        return response

    def note(self, request: Any, response: Any, begin: int) -> None:
        with self.capture.guarded():
            pattern = getattr(request.resolver_match, "route", None)
            route = request.path if pattern is None else f"/{pattern}"
            size = None if response.streaming else len(response.content)
            self.capture.note(request, begin, request.method, route, response.status_code, size)


def django_capture() -> Capture:
    settings = importlib.import_module("django.conf").settings
    import_string = importlib.import_module("django.utils.module_loading").import_string
    options = dict(getattr(settings, "TALLYPORT_USAGE", {}))
    try:
        for name in FUNCTIONS & options.keys():
            if isinstance(options[name], str):
                options[name] = import_string(options[name])
    except ImportError as error:
        logger.error("Usage is not reported: TALLYPORT_USAGE names %s.", error)
        return Capture(is_off=True)
    return Capture(**options)


type Environ = dict[str, Any]
type Start = Callable[..., Any]


class UsageWSGIMiddleware:
    """Wraps any WSGI application: `app = UsageWSGIMiddleware(app, customer=...)`."""

    def __init__(self, app: Callable[..., Iterable[bytes]], **options: Any) -> None:
        self.app = app
        self.capture = Capture(**options)

    def __call__(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        answer = WSGIAnswer(self.capture, environ, start_response)
        try:
            answer.body = self.app(environ, answer.start)
        except BaseException:
            answer.status = HTTPStatus.INTERNAL_SERVER_ERROR
            answer.note()
            raise
        # Where the length is known the server gets the body itself, which may be a file.
        if answer.size is None:
            return answer
        answer.note()
        return answer.body


class WSGIAnswer:
    """An answer on its way. One of unknown length is counted while it is sent."""

    def __init__(self, capture: Capture, environ: Environ, start_response: Start) -> None:
        self.capture = capture
        self.environ = environ
        self.start_response = start_response
        self.begin = time.time_ns()
        self.status: int = HTTPStatus.INTERNAL_SERVER_ERROR
        self.size: int | None = None
        self.sent = 0
        self.body: Iterable[bytes] = ()

    def start(self, status: str, headers: list[tuple[str, str]], *arguments: Any) -> Any:
        self.status = int(status[:3]) if status[:3].isdecimal() else self.status
        for name, value in headers:
            if name.lower() == "content-length" and value.isdecimal():
                self.size = int(value)
        return self.start_response(status, headers, *arguments)

    def note(self) -> None:
        with self.capture.guarded():
            # WSGI hands bytes over as Latin-1.
            path = self.environ.get("SCRIPT_NAME", "") + self.environ["PATH_INFO"]
            route = path.encode("latin-1").decode(errors="backslashreplace")
            method = self.environ["REQUEST_METHOD"]
            self.capture.note(self.environ, self.begin, method, route, self.status, self.size)

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self.body:
            self.sent += len(chunk)
            yield chunk

    def close(self) -> None:
        try:
            close = getattr(self.body, "close", None)
            if close is not None:
                close()
        finally:
            self.size = self.sent
            self.note()


type Message = MutableMapping[str, Any]
type Send = Callable[[Message], Awaitable[None]]


class UsageASGIMiddleware:
    """Wraps any ASGI application; sockets and lifespans pass through.

    With Starlette and FastAPI: `app.add_middleware(UsageASGIMiddleware, customer=...)`.
    """

    def __init__(self, app: Callable[..., Awaitable[None]], **options: Any) -> None:
        self.app = app
        self.capture = Capture(**options)

    async def __call__(self, scope: Message, receive: Any, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begin = time.time_ns()
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR
        size = 0

        async def counted_send(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                size += len(message.get("body", b""))
            await send(message)

        try:
            await self.app(scope, receive, counted_send)
        finally:
            with self.capture.guarded():
                route = getattr(scope.get("route"), "path", None) or scope["path"]
                self.capture.note(scope, begin, scope["method"], route, status, size)
