"""A web server killed amid a stream of batches loses no answered event and doubles none."""

import time
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from metering.models import Event, EventKey, PendingBatch
from tests.factories import make_customer, make_key
from tests.metering.ingest.reports import URL, event
from tests.metering.ingest.servers import Sender, WebServer

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE_SECONDS = 120
SENDERS = 3
BATCHES = 120
BATCH_SIZE = 100
KILLS = 2


def documents(number: int) -> list[dict[str, Any]]:
    """Return a batch of events; they have no timestamp, so their identity is all they have."""
    return [event(f"{number}-{place}") for place in range(BATCH_SIZE)]


def ids_of(batches: Collection[int]) -> set[str]:
    return {document["id"] for number in batches for document in documents(number)}


def stored() -> list[str]:
    return list(Event.objects.values_list("event_id", flat=True))


@pytest.fixture
def server() -> Iterator[WebServer]:
    running = WebServer()
    yield running
    running.kill()


def wait_for_answers(answered: dict[int, dict[str, Any]], number: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(answered) < number:
        assert time.monotonic() < deadline, f"only {len(answered)} batches were answered"
        time.sleep(0.001)


def test_a_killed_server_loses_no_answered_event_and_doubles_none(server: WebServer) -> None:
    make_customer("acme")
    sender = Sender(server.port, make_key().secret, URL)
    answered: dict[int, dict[str, Any]] = {}
    with ThreadPoolExecutor(SENDERS) as pool:
        sending = pool.map(
            lambda number: answered.setdefault(number, sender.send(documents(number))),
            range(BATCHES),
        )
        for kill in range(1, KILLS + 1):
            wait_for_answers(answered, kill * BATCHES // (KILLS + 1))
            server.kill()
            assert ids_of(list(answered)) <= set(stored())
            server.start()
        answers = list(sending)

    assert sender.statuses["broken"] >= KILLS
    assert sorted(stored()) == sorted(ids_of(range(BATCHES)))
    assert EventKey.objects.count() == BATCHES * BATCH_SIZE
    assert sum(PendingBatch.objects.values_list("events", flat=True)) == BATCHES * BATCH_SIZE
    assert all(each["accepted"] + each["duplicate"] == BATCH_SIZE for each in answers)
