import pytest

from customers.models import Customer
from tests.factories import make_customer, make_key


@pytest.fixture
def globex(db: None) -> Customer:
    return make_customer("globex")


@pytest.fixture
def stranger_secret(globex: Customer) -> str:
    """Return the secret of a key that belongs to another customer than acme."""
    return make_key(globex).secret
