"""A Stripe sandbox over real HTTP, shared by the tests and empty at the start of each."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pytest_django import Settings

from billing.gateways.stripe import StripeGateway
from billing.models import Invoice
from billing.sandbox import control
from billing.sandbox.server import StripeSandbox
from tests.billing.stripe import cases

SECRET = "whsec_sandbox"


@pytest.fixture(scope="session")
def sandbox_server() -> Iterator[StripeSandbox]:
    # With STRIPE_SANDBOX_LOG every request of the suite can be read, or replayed elsewhere.
    log = os.environ.get("STRIPE_SANDBOX_LOG")
    with StripeSandbox(log=Path(log) if log else None, first_delay_ms=20) as server:
        yield server


@pytest.fixture
def sandbox(sandbox_server: StripeSandbox) -> StripeSandbox:
    control.reset(sandbox_server.api)
    return sandbox_server


@pytest.fixture
def gateway(sandbox: StripeSandbox) -> StripeGateway:
    return cases.gateway_to(sandbox)


@pytest.fixture
def at() -> datetime:
    """The instant of the push, which is the sandbox's time too."""
    return datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def invoice(db: None, at: datetime) -> Invoice:
    return cases.make_invoice(at=at)


@pytest.fixture
def webhook_settings(settings: Settings) -> Settings:
    settings.STRIPE_WEBHOOK_SECRETS = [SECRET]
    return settings
