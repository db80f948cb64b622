"""A customer with a plan, usage, a key and invoices, looked at on 15 March 2026."""

from collections.abc import Callable
from datetime import datetime

import pytest
from django.test import Client

from billing.models import Invoice
from billing.services.invoicing import bill_customers
from customers.models import ApiKey, Customer, User
from tests import factories
from tests.billing.plans import subscribe
from tests.billing.usage import instant, report_calls


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> datetime:
    """Stop the clock that views read."""
    monkeypatch.setattr("django.utils.timezone.now", lambda: factories.NOW)
    return factories.NOW


@pytest.fixture
def log_in() -> Callable[[User], Client]:
    def logged_in(user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return logged_in


@pytest.fixture
def owner(acme: Customer) -> User:
    return factories.make_member(acme, email="owner@acme.example")


@pytest.fixture
def client(owner: User, log_in: Callable[[User], Client]) -> Client:
    """Return a browser in which Acme's owner is logged in."""
    return log_in(owner)


@pytest.fixture
def key(acme: Customer) -> ApiKey:
    return factories.make_key(acme).api_key


@pytest.fixture
def invoice(acme: Customer) -> Invoice:
    return bill_february(acme)


def bill_february(acme: Customer) -> Invoice:
    """Return February's invoice, over 31 for the plan and 2 x 10 + 3 x 2 = 26 for twelve calls."""
    subscribe(acme, "2026-02-01")
    report_calls(acme, "2026-02-10T09:00", 12)
    report_calls(acme, "2026-03-14T09:00", 4)
    report_calls(acme, "2026-03-15T09:00", 1)
    bill_customers(customer_ids=[acme.pk], at=instant("2026-03-03"))
    return acme.invoices.get()
