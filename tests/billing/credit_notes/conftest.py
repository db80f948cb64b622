"""An issued invoice to give back, and ways to ask for it over HTTP."""

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from customers.models import Customer
from tests import factories

type Credit = Callable[..., Any]


@pytest.fixture
def bill(operator: APIClient, acme: Customer) -> Callable[..., str]:
    """Return a function that bills Acme by hand, with VAT of 20 %, and gives the number."""
    acme.tax_rates.add(factories.make_tax_rate("vat20"))

    def billed(*amounts: str, finalize: bool = True) -> str:
        lines = [{"description": f"Work {amount}", "unit_amount": amount} for amount in amounts]
        body = {"customer": "acme", "lines": lines, "finalize": finalize}
        made = operator.post("/api/v1/invoices", body, format="json").json()
        return str(made["number"] or made["id"])

    return billed


@pytest.fixture
def credit(operator: APIClient) -> Credit:
    """Return a function that asks for a credit note and gives the whole answer."""

    def asked(invoice: str, **wish: Any) -> Any:
        return operator.post("/api/v1/credit-notes", {"invoice": invoice} | wish, format="json")

    return asked


@pytest.fixture
def read(operator: APIClient) -> Callable[[str], Any]:
    return lambda path: operator.get(f"/api/v1/{path}").json()
