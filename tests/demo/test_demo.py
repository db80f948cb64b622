"""The demo: a past made through the product itself, and a start that serves it."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from billing.models import Invoice, StripePush
from config.embedded.server import EmbeddedServer
from customers.models import User
from demo import company, launch, seeding
from metering.models import Event
from tests.factories import make_customer

ROOT = Path(__file__).resolve().parent.parent.parent
UNTIL = datetime(2026, 5, 20, 12, tzinfo=UTC)
SMALL = ("orchard-robotics", "trailhead", "petra-ceramics")
WAIT_SECONDS = 180


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((launch.LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def sandbox_port(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> int:
    """Leave three small companies, and point the gateway at a sandbox of the test's own."""
    small = [found for found in company.COMPANIES if found.key in SMALL]
    monkeypatch.setattr(seeding, "COMPANIES", small)
    port = free_port()
    settings.STRIPE_SECRET_KEY = "sk_test_demo"
    settings.STRIPE_API_BASE = f"http://{launch.LOOPBACK}:{port}"
    return port


@pytest.mark.django_db(transaction=True)
def test_months_of_a_company_end_in_invoices_that_are_at_stripe(
    sandbox_port: int, tmp_path: Path
) -> None:
    state = tmp_path / "sandbox"
    seeding.seed(until=UNTIL, months=3, sandbox_port=sandbox_port, sandbox_state=state)
    issued = Invoice.objects.issued()
    assert {found.status for found in issued} >= {"paid", "void", "uncollectible"}
    assert issued.count() == StripePush.objects.filter(status="completed").count() == 8
    assert Event.objects.filter(timestamp__gt=UNTIL).count() == 0
    paid = issued.filter(status="paid")
    assert all(found.amount_paid == found.total > 0 for found in paid)
    call_command("seed_demo", state=state)
    assert User.objects.filter(is_staff=True).count() == 1


@pytest.mark.django_db
def test_the_demo_touches_no_database_with_customers_of_its_own() -> None:
    make_customer("somebody")
    with pytest.raises(CommandError, match="somebody"):
        seeding.clear()


def test_a_taken_port_is_named_with_the_option_that_changes_it() -> None:
    with socket.socket() as taken:
        taken.bind((launch.LOOPBACK, 0))
        taken.listen()
        with pytest.raises(CommandError, match="--port"):
            launch.require_free(taken.getsockname()[1], "--port")


@pytest.fixture
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("d")
    yield folder
    EmbeddedServer(folder).stop()


def test_demo_serves_the_portal_and_stops_when_asked(data_dir: Path) -> None:
    port = free_port()
    command = [sys.executable, "manage.py", "demo", "--months", "0", "--port", str(port)]
    variables = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    demo = subprocess.Popen(
        [*command, "--sandbox-port", str(free_port())],
        cwd=ROOT, env=variables | {"TALLYPORT_DATA_DIR": str(data_dir)},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert demo.stdout is not None
    try:
        assert any(company.STAFF_EMAIL in line for line in demo.stdout)
        page = urllib.request.urlopen(f"http://{launch.LOOPBACK}:{port}/", timeout=20).read()
        assert company.SELLER in page.decode()
        demo.send_signal(signal.SIGTERM)
        assert demo.wait(WAIT_SECONDS) == 0
    finally:
        demo.kill()
        demo.wait()
        demo.stdout.close()
