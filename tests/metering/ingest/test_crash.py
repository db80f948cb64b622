"""A web server killed amid a stream of batches loses no answered event and doubles none."""

import json
import os
import signal
import socket
import subprocess
import time
from collections import deque
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import quote

import psutil
import pytest
from django.conf import settings
from django.db import connection

from config.management.commands.serve import web_server
from metering.models import Event, EventKey, PendingBatch
from tests.factories import make_customer, make_key
from tests.metering.ingest.reports import URL, event

pytestmark = pytest.mark.django_db(transaction=True)

START_SECONDS = 30
SENDERS = 3
BATCHES = 120
BATCH_SIZE = 100
KILLS = 2


class WebServer:
    """A web server in processes of its own, on the database of the tests."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.start()

    def start(self) -> None:
        database = connection.settings_dict
        host = quote(str(database["HOST"]), safe="")
        address = f"postgres://{database['USER']}@/{database['NAME']}?host={host}"
        self.process = subprocess.Popen(
            web_server("127.0.0.1", self.port, 1), cwd=settings.BASE_DIR, stdin=subprocess.DEVNULL,
            env=os.environ | {"DATABASE_URL": address}, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    def kill(self) -> None:
        """Send SIGKILL to the server and its workers at once, and wait until they are gone."""
        if self.process.poll() is not None:
            return
        family = psutil.Process(self.process.pid).children(recursive=True)
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        psutil.wait_procs(family, timeout=START_SECONDS)


class Sender:
    """Sends batches until each is answered, again and again if need be."""

    def __init__(self, port: int, secret: str) -> None:
        self.port = port
        self.headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
        self.waiting = deque(range(BATCHES))
        self.answered: dict[int, dict[str, Any]] = {}
        self.failures = 0

    def run(self) -> None:
        while True:
            try:
                number = self.waiting.popleft()
            except IndexError:
                return
            self.answered[number] = self.send(json.dumps(documents(number)))

    def send(self, body: str) -> dict[str, Any]:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with closing(HTTPConnection("127.0.0.1", self.port, START_SECONDS)) as connection:
                try:
                    connection.request("POST", URL, body, self.headers)
                    answer = connection.getresponse()
                    content = json.load(answer)
                except (OSError, HTTPException):
                    self.failures += 1
                    time.sleep(0.05)
                else:
                    assert answer.status == 200, content
                    return dict(content)
        raise TimeoutError

    def wait_for_answers(self, number: int) -> None:
        deadline = time.monotonic() + START_SECONDS
        while len(self.answered) < number:
            assert time.monotonic() < deadline, f"only {len(self.answered)} batches were answered"
            time.sleep(0.001)


def documents(number: int) -> list[dict[str, Any]]:
    """Return a batch of events; they have no timestamp, so their identity is all they have."""
    return [event(f"{number}-{place}") for place in range(BATCH_SIZE)]


def ids_of(batches: Collection[int]) -> set[str]:
    return {document["id"] for number in batches for document in documents(number)}


def stored() -> list[str]:
    return list(Event.objects.values_list("event_id", flat=True))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def server() -> Iterator[WebServer]:
    running = WebServer(free_port())
    yield running
    running.kill()


def test_a_killed_server_loses_no_answered_event_and_doubles_none(server: WebServer) -> None:
    make_customer("acme")
    sender = Sender(server.port, make_key().secret)
    with ThreadPoolExecutor(SENDERS) as pool:
        senders = [pool.submit(sender.run) for _ in range(SENDERS)]
        for kill in range(1, KILLS + 1):
            sender.wait_for_answers(kill * BATCHES // (KILLS + 1))
            server.kill()
            assert ids_of(list(sender.answered)) <= set(stored())
            server.start()
        for finished in senders:
            finished.result()

    assert sender.failures >= KILLS
    assert sorted(stored()) == sorted(ids_of(range(BATCHES)))
    assert EventKey.objects.count() == BATCHES * BATCH_SIZE
    assert sum(PendingBatch.objects.values_list("events", flat=True)) == BATCHES * BATCH_SIZE
    for answer in sender.answered.values():
        assert answer["accepted"] + answer["duplicate"] == BATCH_SIZE
