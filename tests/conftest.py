"""Fixtures that any test may ask for."""

import os
from collections.abc import Callable, Iterator

import pytest
from django.db import connection, transaction
from django.test import TransactionTestCase, override_settings
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from pytest_django import DjangoDbBlocker
from rest_framework.test import APIClient

from customers.models import Customer
from tests import factories
from tests.emptying import delete_rows
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the properties out of the coverage, which would take a third of their time.

    They run the same lines hundreds of times; whether those are covered, examples have to tell.
    """
    for item in items:
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker("no_cover")


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """No test ends the server, so that commits need not wait for the disk."""
    options = connection.settings_dict.setdefault("OPTIONS", {})
    options["options"] = f"{options.get('options', '')} -c synchronous_commit=off".strip()


@pytest.fixture(scope="session", autouse=True)
def quick_emptying() -> Iterator[None]:
    """Tests that commit empty every table afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", delete_rows)
        yield


@pytest.fixture(scope="session", autouse=True)
def quick_passwords() -> Iterator[None]:
    """The real hasher is slow by design; no test is about that."""
    hashers = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    with override_settings(PASSWORD_HASHERS=hashers):
        yield


@pytest.fixture(scope="session", autouse=True)
def no_stripe_account() -> Iterator[None]:
    """No invoice of a test goes to an account that the environment of the suite names."""
    with override_settings(STRIPE_SECRET_KEY=""), pytest.MonkeyPatch.context() as patch:
        for name in ("STRIPE_SECRET_KEY", "STRIPE_API_BASE", "STRIPE_WEBHOOK_SECRET"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="module")
def standing(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Keep rows that a module's fixtures store, for all of its tests.

    The transaction of each test is a savepoint within the one that holds those rows, so a test
    may change them: the next one finds them as they were. Each needs `db`, and objects in memory
    stay changed.
    """
    with django_db_blocker.unblock(), transaction.atomic():
        yield
        transaction.set_rollback(True)


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
