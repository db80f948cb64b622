import pytest
from django.contrib.contenttypes.models import ContentType
from django.test import Client

from customers.models import Customer, User
from tests.admin import world
from tests.factories import make_staff


@pytest.fixture(scope="module")
def standing_shop(standing: None) -> Customer:
    """Return a customer beside whom there is a row of every kind, for a module that shares it."""
    return world.build("acme", name="Acme")


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
