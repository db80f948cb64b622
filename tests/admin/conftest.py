from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.test import Client

from customers.models import Customer, User
from tests.admin import world
from tests.factories import make_staff


@pytest.fixture(scope="module")
def standing_shop(django_db_setup: None, django_db_blocker: Any) -> Iterator[Customer]:
    """Return a customer beside whom there is a row of every kind, for a module that only reads.

    The transaction of each test is a savepoint within the one that holds these rows.
    """
    with django_db_blocker.unblock(), transaction.atomic():
        yield world.build("acme", name="Acme")
        transaction.set_rollback(True)


@pytest.fixture
def staff(db: None) -> User:
    return make_staff()


@pytest.fixture
def desk(client: Client, staff: User) -> Client:
    """Return a client logged in as a superuser."""
    client.force_login(staff)
    # Whether a content type is cached already depends on the test before.
    ContentType.objects.clear_cache()
    return client


@pytest.fixture
def shop(db: None) -> Customer:
    """Return a customer beside whom there is a row of every kind, to do things to."""
    return world.build("acme", name="Acme")
