"""Requests noted in memory reach the server once each, whatever it answers."""

import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from metering import middleware
from metering.middleware import UsageReporter, UsageWSGIMiddleware
from tests.metering.capture.hosts import get, hello, no_server, silent_server
from tests.metering.capture.server import EventsServer, answering, events_server, wait_until

FILE = settings.BASE_DIR / "metering" / "middleware.py"
AT_ONCE = timedelta(milliseconds=10)
type Wrap = Callable[..., UsageWSGIMiddleware]


@pytest.fixture
def wrap(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wrap]:
    """Return a maker of wrapped applications, whose reporters stop with the test."""
    monkeypatch.setattr(middleware, "FIRST_DELAY", AT_ONCE)
    made: list[UsageWSGIMiddleware] = []

    def wrap(url: str, **options: Any) -> UsageWSGIMiddleware:
        defaults = {"key": "tp_secret", "flush_every": AT_ONCE, "exit_within": timedelta(seconds=2)}
        made.append(UsageWSGIMiddleware(hello, url=url, **defaults | options))
        return made[-1]

    yield wrap
    for each in made:
        reporter_of(each).close()


def reporter_of(app: UsageWSGIMiddleware) -> UsageReporter:
    assert app.capture.reporter is not None
    return app.capture.reporter


def settled(app: UsageWSGIMiddleware) -> dict[str, int]:
    """Close the reporter and return its counts that are not zero."""
    reporter_of(app).close()
    return {name: number for name, number in reporter_of(app).counts.items() if number}


def test_a_request_is_reported_as_an_event(wrap: Wrap) -> None:
    with events_server() as server:
        app = wrap(server.url, customer=lambda environ: environ["HTTP_X_CUSTOMER"], user="u-17")
        assert get(app, "/v1/caf\xc3\xa9", HTTP_X_CUSTOMER="acme") == b"hello"
        assert settled(app) == {"delivered": 1}
    (event,) = server.events
    assert (event["type"], event["customer"]) == ("http.request", "acme")
    assert event["timestamp"].endswith("+00:00")
    assert 0 < float(event["properties"].pop("duration")) < 5
    assert event["properties"] == {
        "endpoint": "/v1/café", "method": "GET", "status": 200, "bytes": 5, "user_id": "u-17",
    }  # fmt: skip
    headers = server.headers[0]
    assert (headers["path"], headers["Authorization"]) == ("/api/v1/events", "Bearer tp_secret")


def test_requests_travel_together_and_compressed(wrap: Wrap) -> None:
    with events_server() as server:
        app = wrap(server.url, batch_size=50, flush_every=timedelta(minutes=5))
        for _ in range(120):
            get(app)
        assert settled(app) == {"delivered": 120}
    assert [len(batch) for batch in server.batches] == [50, 50, 20]
    assert {headers["Content-Encoding"] for headers in server.headers} == {"gzip"}
    assert len({event["id"] for event in server.events}) == 120


@pytest.mark.parametrize("trouble", [(None, None), (503, 429), (500, 401), (404, 403)])
def test_what_was_not_answered_is_sent_again_under_the_same_ids(
    wrap: Wrap, trouble: tuple[int | None, ...]
) -> None:
    with events_server(answering(*trouble)) as server:
        app = wrap(server.url, flush_every=timedelta(minutes=5), batch_size=3)
        for _ in range(3):
            get(app)
        wait_until(lambda: len(server.batches) == 3)
        assert settled(app) == {"delivered": 3}
    assert server.batches[0] == server.batches[1] == server.batches[2]


def test_a_server_without_gzip_gets_plain_bodies(wrap: Wrap) -> None:
    with events_server(answering(415)) as server:
        app = wrap(server.url, flush_every=timedelta(minutes=5))
        for _ in range(20):
            get(app)
        assert settled(app) == {"delivered": 20}
    assert [headers.get("Content-Encoding") for headers in server.headers] == ["gzip", None]


def test_a_body_that_is_too_large_is_sent_in_parts(wrap: Wrap) -> None:
    with events_server(lambda events: 413 if len(events) > 2 else 200) as server:
        app = wrap(server.url, flush_every=timedelta(minutes=5))
        for _ in range(7):
            get(app)
        assert settled(app) == {"delivered": 7}
    taken = [event["id"] for batch in server.batches if len(batch) <= 2 for event in batch]
    assert len(taken) == len(set(taken)) == 7


def test_a_body_that_is_refused_is_counted_and_told(
    wrap: Wrap, caplog: pytest.LogCaptureFixture
) -> None:
    with events_server(answering(422)) as server:
        app = wrap(server.url)
        get(app)
        wait_until(lambda: server.batches)
        assert settled(app) == {"refused": 1}
    assert "Tallyport refused 1 events" in caplog.text
    assert "tp_secret" not in caplog.text


@pytest.mark.parametrize("somewhere", [no_server, silent_server])
def test_an_unreachable_server_changes_no_answer(
    wrap: Wrap, somewhere: Callable[[], AbstractContextManager[str]]
) -> None:
    with somewhere() as url:
        app = wrap(url, exit_within=AT_ONCE)
        assert {get(app) for _ in range(500)} == {b"hello"}
        counts = settled(app)
    assert counts == {"dropped": 500}


def test_a_full_queue_drops_new_requests_and_counts_them(wrap: Wrap) -> None:
    with no_server() as url:
        app = wrap(url, queue_size=10, batch_size=100, flush_every=timedelta(minutes=5))
        for _ in range(25):
            get(app)
        assert reporter_of(app).counts["dropped"] == 15


def test_mistakes_of_the_host_stay_out_of_its_answers(
    wrap: Wrap, caplog: pytest.LogCaptureFixture
) -> None:
    with events_server() as server:
        app = wrap(server.url, customer=lambda environ: environ["missing"])
        assert get(app) == b"hello"
        assert settled(app) == {"failed": 1}
    assert "A request could not be counted." in caplog.text


def test_requests_of_nobody_and_ignored_ones_are_not_reported(wrap: Wrap) -> None:
    with events_server() as server:
        app = wrap(
            server.url,
            customer=lambda environ: environ.get("HTTP_X_CUSTOMER"),
            ignore=lambda environ: environ["PATH_INFO"] == "/health",
        )
        get(app)
        get(app, "/health", HTTP_X_CUSTOMER="acme")
        get(app, HTTP_X_CUSTOMER="acme")
        assert settled(app) == {"delivered": 1}


@pytest.mark.parametrize(
    "options", [{"url": "tallyport.example"}, {"url": ""}, {"key": ""}, {"nonsense": 1}]
)
def test_a_wrong_setting_is_told_and_leaves_the_host_alone(
    options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    right = {"url": "http://127.0.0.1:1", "key": "tp_x"}
    app = UsageWSGIMiddleware(hello, **right | options)
    assert get(app) == b"hello"
    assert caplog.records[0].levelno == logging.ERROR
    assert "Usage is not reported" in caplog.text


def run_host(server: EventsServer, folder: Path, script: str) -> str:
    """Run a program that has this file and nothing else of Tallyport."""
    (folder / "usage_capture.py").write_text(FILE.read_text())
    prelude = (
        "import sys; sys.modules['django'] = None\n"
        "import os, usage_capture\n"
        "def hello(environ, start): start('200 OK', [('Content-Length', '2')]); return [b'ok']\n"
        "ask = lambda app: app({'REQUEST_METHOD': 'GET', 'PATH_INFO': '/'}, lambda *given: None)\n"
        f"app = usage_capture.UsageWSGIMiddleware(hello, url={server.url!r}, key='tp_x')\n"
    )
    finished = subprocess.run(
        [sys.executable, "-c", prelude + script], cwd=folder, text=True, capture_output=True,
        check=True, timeout=60,
    )  # fmt: skip
    return finished.stdout


def test_the_file_works_alone_and_sends_what_waits_when_the_program_ends(tmp_path: Path) -> None:
    with events_server() as server:
        run_host(server, tmp_path, "for _ in range(30): ask(app)")
    assert len({event["id"] for event in server.events}) == len(server.events) == 30


def test_forked_workers_report_their_own_requests_under_their_own_ids(tmp_path: Path) -> None:
    script = (
        "ask(app)\n"
        "import warnings; warnings.simplefilter('ignore')\n"
        "child = os.fork()\n"
        "ask(app); ask(app)\n"
        "if not child: sys.exit()\n"
        "os.waitpid(child, 0)\n"
        "import json; print(json.dumps(app.capture.reporter.counts))\n"
    )
    with events_server() as server:
        printed = run_host(server, tmp_path, script)
    ids = [event["id"] for event in server.events]
    assert len(ids) == len(set(ids)) == 5
    assert sum(json.loads(printed).values()) <= 3
