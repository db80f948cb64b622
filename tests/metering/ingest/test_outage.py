"""The database away under load: 503 meanwhile, and afterwards everything is there once."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from metering.models import Event, EventKey, PendingBatch
from tests.factories import make_customer, make_key
from tests.metering.ingest.reports import URL, event
from tests.metering.ingest.servers import Sender, WebServer, Wire

pytestmark = pytest.mark.django_db(transaction=True)

SENDERS = 4
BATCHES = 200
BATCH_SIZE = 50
AWAY_SECONDS = 2


@pytest.fixture
def wire() -> Iterator[Wire]:
    folder = Path(tempfile.mkdtemp(prefix="tp-"))
    made = Wire(folder)
    yield made
    made.cut()
    shutil.rmtree(folder)


@pytest.fixture
def server(wire: Wire) -> Iterator[WebServer]:
    running = WebServer(str(wire.path.parent))
    yield running
    running.kill()


def documents(number: int) -> list[dict[str, Any]]:
    return [event(f"{number}-{place}") for place in range(BATCH_SIZE)]


def wait_for(sender: Sender, status: int, times: int) -> None:
    deadline = time.monotonic() + 120
    while sender.statuses[status] < times:
        assert time.monotonic() < deadline, dict(sender.statuses)
        time.sleep(0.01)


def test_while_the_database_is_away_there_are_503s_and_then_everything_is_there_once(
    server: WebServer, wire: Wire
) -> None:
    make_customer("acme")
    sender = Sender(server.port, make_key().secret, URL)
    with ThreadPoolExecutor(SENDERS) as pool:
        answers = [pool.submit(sender.send, documents(number)) for number in range(BATCHES)]
        wait_for(sender, 200, times=20)
        wire.cut()
        wait_for(sender, 503, times=SENDERS)
        time.sleep(AWAY_SECONDS)
        wire.join()
        results = [answer.result() for answer in answers]

    assert set(sender.statuses) <= {200, 503, "broken"}
    ids = sorted(each["id"] for number in range(BATCHES) for each in documents(number))
    assert sorted(Event.objects.values_list("event_id", flat=True)) == ids
    assert EventKey.objects.count() == len(ids)
    assert sum(PendingBatch.objects.values_list("events", flat=True)) == len(ids)
    assert all(each["accepted"] + each["duplicate"] == BATCH_SIZE for each in results)
