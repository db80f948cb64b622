"""E-mails are switched on, and an invoice is billed by hand."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from pytest_django import Settings

from billing.models import Email, Invoice
from billing.services.one_off import OneOffLine, create_one_off_invoice
from customers.models import Customer
from tests import factories

type Bill = Callable[..., Invoice]


@pytest.fixture(autouse=True)
def switched_on(settings: Settings) -> Settings:
    settings.CUSTOMER_EMAILS = tuple(Email.Kind.values)
    settings.BRAND_NAME = "Meterly"
    settings.BASE_URL = "https://billing.example.com"
    return settings


@pytest.fixture(autouse=True)
def quick_pdfs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is attached is tested with the documents; making it takes long."""
    monkeypatch.setattr("billing.services.pdfs.pdf_of", lambda html, **said: b"%PDF-1.7")


@pytest.fixture
def bill(acme: Customer) -> Bill:
    def billed(amount: str = "100.00") -> Invoice:
        line = OneOffLine("Work", Decimal(amount))
        return create_one_off_invoice(customer=acme, lines=[line], at=factories.NOW, finalizes=True)

    return billed
