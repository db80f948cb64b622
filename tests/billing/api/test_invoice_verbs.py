"""A void invoice that is billed again over HTTP."""

import pytest
from rest_framework.test import APIClient

from billing.models import Invoice
from billing.services.invoicing import bill_customers
from customers.models import Customer
from tests.billing.plans import subscribe
from tests.billing.usage import instant, report_calls

pytestmark = pytest.mark.django_db


def test_a_void_invoice_is_billed_again_once(operator: APIClient, acme: Customer) -> None:
    subscribe(acme, "2026-01-01")
    report_calls(acme, "2026-01-10", 2)
    bill_customers(customer_ids=[acme.pk], at=instant("2026-02-02"))
    number = Invoice.objects.issued().get().number
    refused = operator.post(f"/api/v1/invoices/{number}/reissue")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "not_reissuable")
    operator.post(f"/api/v1/invoices/{number}/void")
    draft = operator.post(f"/api/v1/invoices/{number}/reissue")
    assert (draft.status_code, draft.json()["status"], draft.json()["total"]) == (
        201,
        "draft",
        "35.00",
    )
    issued = operator.post(f"/api/v1/invoices/{draft.json()['id']}/finalize").json()
    assert (issued["number"], issued["status"]) == ("INV-000002", "open")
    assert operator.post(f"/api/v1/invoices/{number}/reissue").status_code == 409
