"""`log_import_ratio`: import_log from bytes to stored events, beside GoAccess only counting.

GoAccess (https://goaccess.io, Debian's package) parses the same file to JSON in the same run. Ours
parses, maps, tells repeated lines apart and stores every request with its permanent identity.
"""

import random
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from os import cpu_count
from pathlib import Path
from typing import Any

from benchmarks.harness import Result, Skipped, compare
from customers.services import create_customer
from metering.services.log_import import import_log

LINES = 1_000_000
ROUNDS = 3
CUSTOMERS = 20
LINES_PER_SECOND = 20
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
AGENTS = [
    f"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.0.0"
    " Safari/537.36"
    for version in range(100, 140)
] + ["python-requests/2.31.0", "curl/8.4.0", "Go-http-client/1.1"]
MAPPING: dict[str, Any] = {
    "event_type": "http.request",
    "customer": {"field": "remote_user"},
    "user": {"field": "remote_host"},
    "endpoints": [
        {"match": "^/v1/users/[^/]+$", "name": "/v1/users/{id}"},
        {"match": "^/v1/orders/[^/]+/items$", "name": "/v1/orders/{id}/items"},
    ],
    "ignore": {"path": "^/health"},
}

_seeds = count(1)


def run() -> Iterator[Result | Skipped]:
    program = shutil.which("goaccess")
    if program is None:
        yield Skipped("log_import_ratio", "goaccess is not installed: apt install goaccess")
        return
    for number in range(CUSTOMERS):
        create_customer(key=f"bench-log-{number}", name="Bench")
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "access.log"
        ours, peer = Importing(log), Counting(log, program)
        yield compare("log_import_ratio", "lines/s", ours, peer, ROUNDS)


def write_log(path: Path, seed: int) -> None:
    """Write a log of skewed traffic that has not been imported before."""
    chance = random.Random(seed)  # noqa: S311 - made-up traffic
    begin = BEGIN + timedelta(days=2 * seed)
    with path.open("w") as file:
        for number in range(LINES):
            at = begin + timedelta(seconds=number // LINES_PER_SECOND)
            file.write(line(chance, at))


def line(chance: random.Random, at: datetime) -> str:
    item = int(chance.paretovariate(1.2))
    target = chance.choice(
        (f"/v1/search?q=term-{item}", f"/v1/users/{item}", f"/v1/orders/{item}/items", "/v1/orders",
         "/health")
    )  # fmt: skip
    host = f"10.{item % 4}.{chance.randrange(40)}.{chance.randrange(20)}"
    customer = f"bench-log-{min(item, CUSTOMERS) - 1}"
    method = chance.choice(("GET", "GET", "POST"))
    status = chance.choice((200, 200, 200, 201, 404, 500))
    return (
        f'{host} - {customer} [{at:%d/%b/%Y:%H:%M:%S} +0000] "{method} {target} HTTP/1.1" {status} '
        f'{chance.randrange(50_000)} "https://example.com/" "{chance.choice(AGENTS)}"\n'
    )


class Importing:
    """Import a log of which nothing is known. Writing it is not timed."""

    def __init__(self, log: Path) -> None:
        self.log = log

    def prepare(self) -> None:
        write_log(self.log, next(_seeds))

    def __call__(self, _: None) -> int:
        run = import_log(
            path=self.log, format_key="auto", mapping=MAPPING, clock=lambda: BEGIN,
            workers=cpu_count() or 1,
        )  # fmt: skip
        return run.log_import.lines


class Counting:
    """Let GoAccess parse the log that was imported just now."""

    def __init__(self, log: Path, program: str) -> None:
        self.log = log
        self.program = program

    def prepare(self) -> None:
        """Nothing: the log is there."""

    def __call__(self, _: None) -> int:
        report = self.log.with_suffix(".json")
        command = [self.program, str(self.log), "--log-format=COMBINED", "--no-global-config"]
        subprocess.run([*command, "--no-progress", "-o", str(report)], check=True)  # noqa: S603
        return LINES
