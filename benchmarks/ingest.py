"""The real endpoint over HTTP, beside COPY of the same rows into the same tables without it.

`ingest_ratio` compares batches of 1,000 with COPY, `ingest_small_ratio` batches of 10 with those,
`duplicates_ratio` batches of which a tenth is known with new ones; `ingest_memory` is what the
larger worker of the web server holds after all that, beside what it held before.
"""

import http.client
import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import override

import psutil
from django.db import transaction
from msgspec import json as msgspec_json

from benchmarks.harness import Result, compare
from benchmarks.servers import LOOPBACK, web_server
from customers.models import Customer
from customers.principals import Principal
from customers.services import create_api_key, create_customer
from metering.services.decoding import decode_json
from metering.services.ingest import desk_for
from metering.services.partitions import make_partitions_ahead
from metering.services.screening import StorableEvent, screen_events
from metering.services.storing import copy_events, copy_keys

CONNECTIONS = 4
BATCHES = 60
EVENTS_PER_BATCH = 1000
# What `manage.py serve` starts.

_runs = count()


def run() -> Iterator[Result]:
    at = datetime.now(UTC)
    make_partitions_ahead(at=at)
    customer = create_customer(key="bench-ingest", name="Bench")
    secret = create_api_key(name="bench", at=at, customer=customer).secret
    with web_server() as (server, port), ThreadPoolExecutor(CONNECTIONS) as pool:
        plain = Posting(pool, port, secret, EVENTS_PER_BATCH)
        plain(plain.prepare())
        before = memory(server)
        copying = Copying(customer, EVENTS_PER_BATCH)
        yield compare("ingest_ratio", "events/s", plain, copying)
        small = Posting(pool, port, secret, 10, batches=600)
        yield compare("ingest_small_ratio", "events/s", small, plain)
        repeating = Repeating(pool, port, secret, EVENTS_PER_BATCH)
        yield compare("duplicates_ratio", "events/s", repeating, plain)
        yield Result("ingest_memory", memory(server), before, "MiB per worker")


def memory(server: subprocess.Popen[bytes]) -> Decimal:
    """Return how much the largest process of the web server holds, in MiB."""
    family = psutil.Process(server.pid).children(recursive=True)
    return Decimal(max(process.memory_info().rss for process in family)) / 2**20


def batches_of(batches: int, events_per_batch: int) -> list[list[dict[str, object]]]:
    """Return batches of events, none of which has been sent before."""
    round_number = next(_runs)
    begin = datetime.now(UTC) - timedelta(hours=1)
    return [
        [
            event(f"{round_number}-{batch}-{number}", begin + timedelta(milliseconds=number))
            for number in range(events_per_batch)
        ]
        for batch in range(batches)
    ]


def bodies(batches: int, events_per_batch: int) -> list[bytes]:
    return [msgspec_json.encode(batch) for batch in batches_of(batches, events_per_batch)]


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
        counted = 0
        for body in batches:
            client.request("POST", "/api/v1/events", body, self.headers)
            answer = json.loads(client.getresponse().read())
            counted += int(answer["accepted"]) + int(answer["duplicate"])
        client.close()
        return counted


class Repeating(Posting):
    """Post batches of which every tenth event was sent before."""

    @override
    def prepare(self) -> list[bytes]:
        (known,) = batches_of(1, self.size)
        self.post([msgspec_json.encode(known)])
        return [
            msgspec_json.encode(known[::10] + batch[self.size // 10 :])
            for batch in batches_of(self.batches, self.size)
        ]


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
