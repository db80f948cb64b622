"""`ingest_ratio`: the real endpoint over HTTP, beside COPY of the same rows without it."""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count

from django.conf import settings
from django.db import connection, transaction
from msgspec import json as msgspec_json

from benchmarks.harness import Result, compare
from customers.models import Customer
from customers.principals import Principal
from customers.services import create_api_key, create_customer
from metering.services.decoding import decode_json
from metering.services.ingest import desk_for
from metering.services.partitions import make_partitions_ahead
from metering.services.screening import StorableEvent, screen_events
from metering.services.storing import copy_events, copy_keys

LOOPBACK = "127.0.0.1"
CONNECTIONS = 4
BATCHES = 60
EVENTS_PER_BATCH = 1000
START_SECONDS = 30

_runs = count()


def run() -> Iterator[Result]:
    at = datetime.now(UTC)
    make_partitions_ahead(at=at)
    customer = create_customer(key="bench-ingest", name="Bench")
    secret = create_api_key(name="bench", at=at, customer=customer).secret
    with web_server() as port, ThreadPoolExecutor(CONNECTIONS) as pool:
        yield compare(
            "ingest_ratio",
            "events/s",
            Posting(pool, port, secret, EVENTS_PER_BATCH),
            Copying(customer, EVENTS_PER_BATCH),
        )
        yield compare(
            "ingest_small_ratio",
            "events/s",
            Posting(pool, port, secret, 10, batches=600),
            Posting(pool, port, secret, EVENTS_PER_BATCH),
        )


def bodies(batches: int, events_per_batch: int) -> list[bytes]:
    """Return JSON lists of events, none of which has been sent before."""
    round_number = next(_runs)
    begin = datetime.now(UTC) - timedelta(hours=1)
    return [
        msgspec_json.encode(
            [
                event(f"{round_number}-{batch}-{number}", begin + timedelta(milliseconds=number))
                for number in range(events_per_batch)
            ]
        )
        for batch in range(batches)
    ]


def event(event_id: str, at: datetime) -> dict[str, object]:
    return {
        "id": f"req-{event_id}",
        "type": "api.request",
        "timestamp": at,
        "properties": {
            "endpoint": "/v1/search",
            "method": "GET",
            "status": 200,
            "user_id": f"u-{at.microsecond % 997}",
            "bytes": at.microsecond % 50_000,
        },
    }


class Posting:
    """Post batches over several connections that stay open. Making the bodies is not timed."""

    def __init__(
        self, pool: ThreadPoolExecutor, port: int, secret: str, size: int, batches: int = BATCHES
    ) -> None:
        self.pool = pool
        self.port = port
        self.headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
        self.size = size
        self.batches = batches

    def prepare(self) -> list[bytes]:
        return bodies(self.batches, self.size)

    def __call__(self, batches: list[bytes]) -> int:
        shares = [batches[number::CONNECTIONS] for number in range(CONNECTIONS)]
        return sum(self.pool.map(self.post, shares))

    def post(self, batches: list[bytes]) -> int:
        client = http.client.HTTPConnection(LOOPBACK, self.port)
        accepted = 0
        for body in batches:
            client.request("POST", "/api/v1/events", body, self.headers)
            accepted += int(json.loads(client.getresponse().read())["accepted"])
        client.close()
        return accepted


class Copying:
    """COPY the same rows into the same tables, a transaction a batch. Making them is not timed."""

    def __init__(self, customer: Customer, size: int) -> None:
        self.principal = Principal(customer_ids=frozenset({customer.pk}))
        self.size = size

    def prepare(self) -> list[list[StorableEvent]]:
        return [self.storable(body) for body in bodies(BATCHES, self.size)]

    def storable(self, body: bytes) -> list[StorableEvent]:
        items = decode_json(body)
        desk = desk_for(items, self.principal, datetime.now(UTC), is_backfill=False)
        events, _ = screen_events(items=items, desk=desk)
        return sorted(events, key=lambda found: found.key)

    def __call__(self, batches: list[list[StorableEvent]]) -> int:
        for number, events in enumerate(batches):
            with transaction.atomic():
                copy_keys(events)
                copy_events(events, number)
        return len(batches) * self.size


@contextmanager
def web_server() -> Iterator[int]:
    """Run the real web server on the benchmark's database; yield its port."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    database = connection.settings_dict
    address = f"postgresql://{database['USER']}@/{database['NAME']}?host={database['HOST']}"
    if database["PASSWORD"]:
        address = address.replace("@", f":{database['PASSWORD']}@", 1)
    if database["PORT"]:
        address += f"&port={database['PORT']}"
    command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--host", LOOPBACK]
    command += ["--port", str(port), "--log-level", "error", "config.wsgi:application"]
    environment = os.environ | {"DATABASE_URL": address}
    server = subprocess.Popen(command, env=environment, cwd=settings.BASE_DIR)  # noqa: S603
    try:
        wait_for(port)
        yield port
    finally:
        server.terminate()
        server.wait()


def wait_for(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex((LOOPBACK, port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError("The web server did not start.")
