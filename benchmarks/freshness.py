"""`freshness_s`: how long after an event was sent its usage can be read, while others come in."""

import http.client
import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from statistics import quantiles
from threading import Event
from urllib.parse import quote

from benchmarks.harness import Result
from benchmarks.ingest import bodies
from benchmarks.servers import LOOPBACK, program, web_server
from config.management.commands.serve import manage_py
from customers.services import create_api_key, create_customer
from metering.services.meters import create_meter
from metering.services.partitions import make_partitions_ahead

EVENTS_PER_SECOND = 1_000
BATCHES_PER_SECOND = 4
PROBES = 60
PROBE_EVERY = 0.5
# What the project promises, in seconds: docs/operations.md.
PROMISED = Decimal(10)


def run() -> Iterator[Result]:
    at = datetime.now(UTC)
    make_partitions_ahead(at=at)
    customer = create_customer(key="bench-fresh", name="Bench")
    secret = create_api_key(name="bench", at=at, customer=customer).secret
    create_meter(
        at=at,
        key="bench-fresh",
        name="Calls",
        event_type="api.request",
        aggregation="count",
        group_by=["endpoint"],
    )
    aggregator = [sys.executable, manage_py(), "aggregate", "--follow"]
    is_over = Event()
    with web_server() as (_, port), program(aggregator), ThreadPoolExecutor(1) as pool:
        sending = pool.submit(keep_sending, port, secret, is_over)
        try:
            waits = [wait_for_probe(port, secret, number) for number in range(PROBES)]
        finally:
            is_over.set()
        sending.result()
    yield Result("freshness_s", quantiles(waits, n=20)[-1], PROMISED, "s, the slowest 5 in 100")


def keep_sending(port: int, secret: str, is_over: Event) -> None:
    """Send events at an even rate until told to stop."""
    size = EVENTS_PER_SECOND // BATCHES_PER_SECOND
    waiting: list[bytes] = []
    with closing(http.client.HTTPConnection(LOOPBACK, port)) as client:
        due = time.monotonic()
        while not is_over.wait(max(0, due - time.monotonic())):
            waiting = waiting or bodies(BATCHES_PER_SECOND, size)
            post(client, secret, waiting.pop())
            due += 1 / BATCHES_PER_SECOND


def wait_for_probe(port: int, secret: str, number: int) -> Decimal:
    """Send one event that nothing else resembles; return the seconds until usage counts it."""
    time.sleep(PROBE_EVERY)
    endpoint = f"/probe/{number}"
    event = {"id": endpoint, "type": "api.request", "properties": {"endpoint": endpoint}}
    now = datetime.now(UTC)
    start, end = (
        f"{at:%Y-%m-%dT%H:%M:%SZ}" for at in (now - timedelta(days=7), now + timedelta(days=1))
    )
    path = f"/api/v1/usage?meter=bench-fresh&start={start}&end={end}&filter[endpoint]={quote(endpoint)}"
    begin = time.perf_counter_ns()
    with closing(http.client.HTTPConnection(LOOPBACK, port)) as client:
        post(client, secret, json.dumps(event).encode())
        while usage(client, secret, path) != "1":
            continue
    return Decimal(time.perf_counter_ns() - begin).scaleb(-9)


def post(client: http.client.HTTPConnection, secret: str, body: bytes) -> None:
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
    client.request("POST", "/api/v1/events", body, headers)
    answer = json.loads(client.getresponse().read())
    if not answer.get("accepted"):
        raise RuntimeError(f"The events were not taken: {answer}")


def usage(client: http.client.HTTPConnection, secret: str, path: str) -> str:
    client.request("GET", path, headers={"Authorization": f"Bearer {secret}"})
    value: str = json.loads(client.getresponse().read())["data"][0]["value"]
    return value
