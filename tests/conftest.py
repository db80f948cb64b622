"""Fixtures that any test may ask for."""

import os
from collections.abc import Callable

import pytest
from django.db import connection
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from pytest_django import Settings
from rest_framework.test import APIClient

from billing.models.freezing import EMPTYING
from customers.models import Customer
from tests import factories
from tests.recorder import request_recorder as request_recorder

# A law holds on a busy machine too: only wrong answers fail, not slow ones. New examples are looked
# for by developers; a build tries the same ones each time, so that it fails for what it changed.
hypothesis_settings.register_profile(
    "laws",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
hypothesis_settings.load_profile("laws")


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """Tests that commit empty every table afterwards, which documents refuse outside of tests."""
    options = connection.settings_dict.setdefault("OPTIONS", {})
    options["options"] = f"{options.get('options', '')} -c {EMPTYING}=on".strip()


@pytest.fixture(autouse=True)
def quick_passwords(settings: Settings) -> None:
    """The real hasher is slow by design; no test is about that."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True)
def no_stripe_account(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """No invoice of a test goes to an account that the environment of the suite names."""
    settings.STRIPE_SECRET_KEY = ""
    for name in ("STRIPE_SECRET_KEY", "STRIPE_API_BASE", "STRIPE_WEBHOOK_SECRET"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def acme(db: None) -> Customer:
    return factories.make_customer("acme", name="Acme")


@pytest.fixture
def api() -> Callable[[str], APIClient]:
    """Return a maker of API clients that send the given secret."""

    def client(secret: str = "") -> APIClient:
        made = APIClient()
        if secret:
            made.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
        return made

    return client


@pytest.fixture
def operator(db: None, api: Callable[[str], APIClient]) -> APIClient:
    """Return an API client with an operator key of scope `admin`."""
    return api(factories.make_key().secret)
