"""A log that is being written counts as it grows, through rotations and restarts."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection

from config.errors import InvalidInputError
from customers.models import Customer
from metering.models import Event, LogImport
from metering.services.log_following import follow_log
from tests.factories import NOW
from tests.metering.log_import.lines import MAPPING, counts, line, run_import

WAIT_SECONDS = 60
ONE, TWO, THREE = (line(f"GET /{number} HTTP/1.1") + "\n" for number in (1, 2, 3))

type Step = Callable[[], object]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "access.log"


def append(log: Path, text: str) -> None:
    with log.open("a") as file:
        file.write(text)


def rotate(log: Path, text: str) -> None:
    log.rename(log.with_suffix(".1"))
    log.write_text(text)


def follow(log: Path, *steps: Step) -> None:
    """Follow a log; every time it waits the next thing happens, and after the last it stops."""
    left: Iterator[Step] = iter(steps)

    def wait() -> bool:
        step = next(left, None)
        if step is not None:
            step()
        return step is not None

    follow_log(path=log, format_key="auto", mapping=MAPPING, clock=lambda: NOW, wait=wait)


def stored() -> list[str]:
    return [event.properties["endpoint"] for event in Event.objects.order_by("batch_id")]


@pytest.mark.django_db
def test_lines_count_when_they_are_whole(acme: Customer, log: Path) -> None:
    log.touch()
    seen: list[list[str]] = []
    follow(
        log,
        lambda: append(log, ONE),
        lambda: seen.append(stored()),
        lambda: append(log, TWO[:20]),
        lambda: seen.append(stored()),
        lambda: append(log, TWO[20:]),
        lambda: seen.append(stored()),
    )
    assert seen == [["/1"], ["/1"], ["/1", "/2"]]
    stopped = LogImport.objects.get()
    assert (stopped.status, stopped.lines, stopped.accepted) == ("interrupted", 2, 2)


@pytest.mark.django_db
def test_a_rotation_is_followed_and_loses_nothing(acme: Customer, log: Path) -> None:
    log.write_text(ONE + TWO)
    old = log.with_suffix(".1")

    def rotate_and_write_to_both() -> None:
        rotate(log, TWO)
        append(old, TWO)

    follow(
        log,
        rotate_and_write_to_both,
        lambda: append(log, THREE),
        lambda: None,
    )
    # Identical lines on both sides of the cut are as many requests.
    assert sorted(stored()) == ["/1", "/2", "/2", "/2", "/3"]
    first, second = LogImport.objects.order_by("pk")
    assert (first.status, first.lines) == ("completed", 3)
    assert (second.status, second.lines) == ("interrupted", 2)
    assert counts(run_import(old)) == {"lines": 3, "duplicate": 3}


@pytest.mark.django_db
def test_a_log_that_is_emptied_in_its_place_is_followed(acme: Customer, log: Path) -> None:
    log.write_text(ONE + TWO)
    follow(log, lambda: log.write_text(THREE), lambda: None)
    assert sorted(stored()) == ["/1", "/2", "/3"]


@pytest.mark.django_db
def test_following_goes_on_where_it_was_stopped(acme: Customer, log: Path) -> None:
    log.write_text(ONE + ONE)
    follow(log)
    append(log, ONE + TWO)
    follow(log)
    whole = LogImport.objects.get()
    assert (whole.lines, whole.accepted, whole.duplicate) == (4, 4, 0)
    assert counts(run_import(log)) == {"lines": 4, "accepted": 4}
    assert counts(run_import(log)) == {"lines": 4, "duplicate": 4}


@pytest.mark.django_db
def test_what_cannot_be_followed_is_told(acme: Customer, log: Path) -> None:
    log.write_bytes(b"\x1f\x8b\x08")
    with pytest.raises(InvalidInputError, match="A compressed log cannot be followed"):
        follow(log)
    with pytest.raises(InvalidInputError, match="The standard input cannot be followed"):
        follow(Path("-"))
    mapping = log.with_suffix(".yaml")
    mapping.write_text("{event_type: x, customer: {value: acme}}")
    with pytest.raises(CommandError, match="--follow and --dry-run exclude each other"):
        call_command("import_log", str(log), "--mapping", str(mapping), "--follow", "--dry-run")


@pytest.mark.django_db(transaction=True)
def test_the_command_follows_until_it_is_told_to_stop(acme: Customer, log: Path) -> None:
    log.write_text(ONE)
    mapping = log.with_suffix(".yaml")
    mapping.write_text("{event_type: http.request, customer: {value: acme}}")
    host = quote(str(connection.settings_dict["HOST"]), safe="")
    name, user = connection.settings_dict["NAME"], connection.settings_dict["USER"]
    process = subprocess.Popen(
        [sys.executable, "manage.py", "import_log", str(log), "--mapping", str(mapping), "--follow"],
        cwd=settings.BASE_DIR, env=os.environ | {"DATABASE_URL": f"postgres://{user}@/{name}?host={host}"},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_for(lambda: Event.objects.count() == 1)
    rotate(log, TWO)
    wait_for(lambda: Event.objects.count() == 2)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=WAIT_SECONDS)
    assert (process.returncode, out.splitlines()[-1]) == (0, "Stopped; start it again to go on.")
    assert [each.status for each in LogImport.objects.order_by("pk")] == [
        "completed",
        "interrupted",
    ]


def wait_for(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)
