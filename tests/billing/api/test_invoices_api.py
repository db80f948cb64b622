"""Invoices over HTTP, from the first event to the document."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.management import call_command
from django_q.models import OrmQ
from pytest_django import DjangoAssertNumQueries, DjangoCaptureOnCommitCallbacks, Settings
from rest_framework.test import APIClient

from billing.models import Invoice, StripePush
from billing.selectors.subscriptions import contract_of, current_period
from billing.services.nightly import run_nightly
from customers.models import Customer
from tests import factories
from tests.billing.plans import CALLS, FEE, subscribe
from tests.billing.usage import instant, report_calls

INVOICES = "/api/v1/invoices"

type Api = Callable[[str], APIClient]


def post(client: APIClient, path: str, body: Any = None) -> Any:
    return client.post(path, body, format="json")


def bill(customer: Customer, at: str, *, calls: int = 15) -> Invoice:
    """Bill what has ended by `at`, calls in January; return the invoice of January."""
    subscribe(customer, "2026-01-01")
    report_calls(customer, "2026-01-10", calls)
    run_nightly(at=instant(at))
    return Invoice.objects.earliest("period_start")


def set_up_over_http(operator: APIClient) -> None:
    """Make a meter, a plan, a customer and a subscription as a program would."""
    meter = {"key": "calls", "name": "Calls", "event_type": "api.request", "aggregation": "count"}
    post(operator, "/api/v1/meters", meter)
    post(operator, "/api/v1/plans", {"key": "pro", "name": "Pro", "prices": [FEE, CALLS]})
    post(operator, "/api/v1/customers", {"key": "acme", "name": "Acme", "time_zone": "Asia/Tokyo"})
    body = {"customer": "acme", "plan": "pro", "start_at": "2026-01-01T00:00:00+09:00"}
    post(operator, "/api/v1/subscriptions", body)


def test_from_events_to_the_document_over_http(operator: APIClient) -> None:
    """Fifteen calls in the last hour of Tokyo's January are 35.00, one of its February none."""
    set_up_over_http(operator)
    times = [f"2026-01-31T14:30:{second:02}Z" for second in range(15)] + ["2026-01-31T15:00:00Z"]
    events = [
        {"id": f"e{number}", "type": "api.request", "customer": "acme", "timestamp": time}
        for number, time in enumerate(times)
    ]
    accepted = post(operator, "/api/v1/events?backfill=true", events).json()["accepted"]
    call_command("nightly", "--at", "2026-02-01T15:00:00Z", stdout=None)
    document = operator.get(f"{INVOICES}/INV-000001").json()
    assert (accepted, document["total"], document["status"]) == (16, "66.00", "open")
    assert document["period_end"] == "2026-01-31T15:00:00Z"


def test_a_document_is_as_the_contract_says(operator: APIClient, acme: Customer) -> None:
    invoice = bill(acme, "2026-02-02")
    document = operator.get(f"{INVOICES}/{invoice.number}").json()
    lines = document.pop("lines")
    assert document == {
        "id": invoice.pk,
        "number": "INV-000001",
        "status": "open",
        "customer": "acme",
        "currency": "USD",
        "subscription": invoice.subscription_id,
        "billing_reason": "cycle",
        "digest": invoice.digest,
        "period_start": "2026-01-01T00:00:00Z",
        "period_end": "2026-02-01T00:00:00Z",
        "finalize_at": "2026-02-02T00:00:00Z",
        "issued_at": "2026-02-02T00:00:00Z",
        "due_at": "2026-02-16T00:00:00Z",
        "paid_at": None,
        "voided_at": None,
        **dict.fromkeys(("discount", "tax", "credits"), "0.00"),
        **dict.fromkeys(("subtotal", "total", "amount_due"), "66.00"),
        "discounts": [],
        "taxes": [],
        "tax_note": "",
        "credit_notes": [],
        **dict.fromkeys(("amount_paid", "amount_credited"), "0"),
        "stripe_invoice_id": None,
        "push_status": None,
    }
    assert [line["price"] for line in lines] == ["base", "calls"]


def test_a_line_carries_the_steps_of_its_amount(operator: APIClient, acme: Customer) -> None:
    bill(acme, "2026-02-02")
    line = operator.get(f"{INVOICES}/INV-000001").json()["lines"][1]
    assert (line["kind"], line["description"], line["quantity"]) == ("usage", "API calls", "15")
    assert line["amount"] == "35.00"
    assert [(step["quantity"], step["amount"]) for step in line["steps"]] == [
        ("10", "20"),
        ("5", "15"),
    ]


def test_stripes_id_is_told_once_there_is_one(operator: APIClient, acme: Customer) -> None:
    invoice = bill(acme, "2026-02-02")
    push = StripePush.objects.create(invoice=invoice)
    assert operator.get(f"{INVOICES}/INV-000001").json()["stripe_invoice_id"] is None
    push.stripe_invoice_id = "in_1"
    push.save()
    found = operator.get(f"{INVOICES}/INV-000001").json()
    assert (found["stripe_invoice_id"], found["push_status"]) == ("in_1", "pending")


def test_drafts_are_seen_by_operators_alone(operator: APIClient, api: Api, acme: Customer) -> None:
    draft = bill(acme, "2026-02-01")
    own = api(factories.make_key(acme).secret)
    seen = operator.get(f"{INVOICES}/{draft.pk}").json()
    assert (seen["number"], seen["status"], seen["total"]) == (None, "draft", "66.00")
    assert own.get(f"{INVOICES}/{draft.pk}").status_code == 404
    assert own.get(INVOICES).json()["results"] == []


def test_customers_read_their_own_documents(api: Api, acme: Customer) -> None:
    bill(acme, "2026-02-02")
    own = api(factories.make_key(acme).secret)
    foreign = api(factories.make_key(factories.make_customer("globex")).secret)
    assert own.get(f"{INVOICES}/INV-000001").json()["customer"] == "acme"
    assert foreign.get(f"{INVOICES}/INV-000001").status_code == 404
    assert foreign.get(INVOICES).json()["results"] == []


@pytest.mark.parametrize("name", ["INV-9", "999", "9" * 30, "²", "0"])
def test_a_name_that_means_nothing_is_not_found(operator: APIClient, name: str) -> None:
    assert operator.get(f"{INVOICES}/{name}").status_code == 404


def test_lists_narrow_down(operator: APIClient, acme: Customer) -> None:
    bill(acme, "2026-03-01")
    queries = {
        "customer=acme": ["draft", "open"],
        "customer=globex": [],
        "status=open": ["open"],
        "customer=acme&status=draft": ["draft"],
        "issued_from=2026-03-01T00:00:00Z": ["open"],
        "issued_before=2026-03-01T00:00:00Z": [],
    }
    for query, expected in queries.items():
        rows = operator.get(f"{INVOICES}?{query}").json()["results"]
        assert [row["status"] for row in rows] == expected, query
    assert operator.get(f"{INVOICES}?status=lost").status_code == 422


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("issued_before=1339-03-15T16:10:00.814-17:29", 200),
        ("issued_from=0001-01-01T00:00:00%2B14:00", 422),
        ("issued_from=2026-03-01T00:00:00", 422),
        ("issued_from=soon", 422),
        ("subscription=99999999999999999999", 200),
    ],
)
def test_no_filter_of_a_list_breaks_it(operator: APIClient, query: str, status: int) -> None:
    for resource in ("invoices", "credit-notes"):
        if resource == "invoices" or query.startswith("issued"):
            assert operator.get(f"/api/v1/{resource}?{query}").status_code == status, resource


def test_a_page_of_invoices_costs_the_same_however_many_there_are(
    operator: APIClient, acme: Customer, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    bill(acme, "2026-12-05")
    with django_assert_max_num_queries(5):
        rows = operator.get(INVOICES).json()["results"]
    assert len(rows) == 11


def test_a_draft_is_finalized_and_an_invoice_is_voided(operator: APIClient, acme: Customer) -> None:
    draft = bill(acme, "2026-02-01")
    issued = post(operator, f"{INVOICES}/{draft.pk}/finalize").json()
    void = post(operator, f"{INVOICES}/{issued['number']}/void").json()
    again = post(operator, f"{INVOICES}/{issued['number']}/void")
    assert (issued["number"], issued["status"]) == ("INV-000001", "open")
    assert (void["status"], void["amount_due"]) == ("void", "0.00")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "not_voidable")


@pytest.mark.parametrize("verb", ["void", "uncollectible"])
def test_what_stripe_has_changes_once_stripe_has_changed_it(
    operator: APIClient, acme: Customer, settings: Settings, verb: str
) -> None:
    invoice = bill(acme, "2026-02-02")
    at = datetime.now(UTC)
    StripePush.objects.create(invoice=invoice, stripe_invoice_id="in_1", first_started_at=at)
    settings.STRIPE_SECRET_KEY = ""
    refused = post(operator, f"{INVOICES}/INV-000001/{verb}")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "stripe_not_configured")
    settings.STRIPE_SECRET_KEY = "sk_test_1"
    asked = post(operator, f"{INVOICES}/INV-000001/{verb}")
    assert (asked.status_code, asked.json()["status"]) == (202, "open")
    assert invoice.stripe_operations.get().kind == verb


def test_an_invoice_is_given_up_and_only_an_open_one(operator: APIClient, acme: Customer) -> None:
    bill(acme, "2026-02-02")
    given_up = post(operator, f"{INVOICES}/INV-000001/uncollectible")
    again = post(operator, f"{INVOICES}/INV-000001/uncollectible")
    assert (given_up.status_code, given_up.json()["status"]) == (200, "uncollectible")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "not_open")


def test_a_push_is_queued(
    operator: APIClient,
    acme: Customer,
    settings: Settings,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    invoice = bill(acme, "2026-02-02")
    settings.STRIPE_SECRET_KEY = "sk_test_1"
    with django_capture_on_commit_callbacks(execute=True):
        answer = post(operator, f"{INVOICES}/INV-000001/push")
    assert (answer.status_code, answer.json()["number"]) == (202, "INV-000001")
    assert OrmQ.objects.get().task["args"] == (invoice.pk,)


@pytest.mark.parametrize(
    ("at", "secret_key", "code"),
    [("2026-02-02", "", "stripe_not_configured"), ("2026-02-01", "sk_test_1", "not_issued")],
)
def test_a_push_that_cannot_be_is_refused(
    operator: APIClient, acme: Customer, settings: Settings, at: str, secret_key: str, code: str
) -> None:
    invoice = bill(acme, at)
    settings.STRIPE_SECRET_KEY = secret_key
    refused = post(operator, f"{INVOICES}/{invoice.pk}/push")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, code)


def test_the_preview_is_the_invoice_if_the_period_ended_now(
    operator: APIClient, api: Api, acme: Customer
) -> None:
    """The whole fee, and the calls of this month so far."""
    subscription = subscribe(acme, "2026-01-01")
    now = datetime.now(UTC)
    report_calls(acme, current_period(contract_of(subscription), now).start.isoformat(), 2)
    preview = operator.get(f"{INVOICES}/preview?customer=acme").json()
    own = api(factories.make_key(acme).secret).get(f"{INVOICES}/preview").json()
    assert (preview["customer"], preview["total"]) == ("acme", "35.00")
    assert [line["amount"] for line in preview["lines"]] == ["31.00", "4.00"]
    assert instant(preview["period_end"]) > now
    assert own["total"] == "35.00"
    assert not Invoice.objects.exists()


def test_a_preview_needs_a_customer_with_a_subscription(
    operator: APIClient, acme: Customer
) -> None:
    assert operator.get(f"{INVOICES}/preview").status_code == 422
    assert operator.get(f"{INVOICES}/preview?customer=nobody").status_code == 404
    refused = operator.get(f"{INVOICES}/preview?customer=acme")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "no_subscription")
