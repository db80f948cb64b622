"""Nobody sees or changes what is another customer's: every address of the API in one table."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.test import APIClient

from billing.models import Invoice
from billing.services.coupons import create_coupon
from billing.services.crediting import CreditWish, create_credit_note
from billing.services.credits import grant_credit
from billing.services.nightly import run_nightly
from billing.services.one_off import create_charge
from customers.models import Customer
from tests import factories
from tests.billing.plans import publish_plan, subscribe
from tests.billing.usage import instant, report_calls
from tests.metering.history.corrected import store, void

pytestmark = pytest.mark.django_db

PREFIX = "api/v1/"
VERBS = ("get", "post", "put", "patch", "delete")
# They tell nothing about anybody.
PUBLIC = {("api-schema", "get"), ("api-docs", "get")}
# A refusal that says nothing about the object: the key lacks the scope for any.
SCOPE = 403
UNKNOWN = 404


@dataclass(frozen=True, slots=True)
class Row:
    """What a stranger gets: a status, and an answer in which the owner is not mentioned."""

    name: str
    verb: str
    path: str
    status: int
    body: Any = field(default=None)


JANUARY = "start=2026-01-01T00:00:00Z&end=2026-02-01T00:00:00Z"
EVENT = {"id": "e", "type": "api.request", "customer": "acme"}
VOID = {"customer": "acme", "event": "e", "action": "void", "reason": "x"}

TABLE = [
    Row("events", "post", "events", 200, EVENT),
    Row("events", "get", "events?customer=acme", UNKNOWN),
    Row("usage", "get", f"usage?meter=calls&customer=acme&{JANUARY}", UNKNOWN),
    Row("meter-list", "get", "meters", 200),
    Row("meter-list", "post", "meters", SCOPE, {"key": "x", "name": "X"}),
    Row("meter-detail", "get", "meters/calls", 200),
    Row("meter-detail", "patch", "meters/calls", SCOPE, {"name": "X"}),
    Row("correction-list", "get", "corrections?customer=acme", 200),
    Row("correction-list", "post", "corrections", SCOPE, VOID),
    Row("correction-detail", "get", "corrections/{correction}", UNKNOWN),
    Row("customer-list", "get", "customers", 200),
    Row("customer-list", "post", "customers", SCOPE, {"key": "x", "name": "X"}),
    Row("customer-detail", "get", "customers/acme", UNKNOWN),
    Row("customer-detail", "patch", "customers/acme", SCOPE, {"name": "X"}),
    Row("taxrate-list", "get", "tax-rates", 200),
    Row("taxrate-list", "post", "tax-rates", SCOPE, {"key": "x", "name": "X", "percent": "1"}),
    Row("taxrate-detail", "get", "tax-rates/acme-tax", UNKNOWN),
    Row("taxrate-detail", "patch", "tax-rates/acme-tax", SCOPE, {"name": "X"}),
    Row("apikey-list", "get", "api-keys?customer=acme", 200),
    Row("apikey-list", "post", "api-keys", SCOPE, {"customer": "acme", "name": "x"}),
    Row("apikey-detail", "get", "api-keys/{api_key}", UNKNOWN),
    Row("apikey-detail", "delete", "api-keys/{api_key}", SCOPE),
    Row("apikey-revoke", "post", "api-keys/{api_key}/revoke", SCOPE),
    Row("plan-list", "get", "plans", 200),
    Row("plan-list", "post", "plans", SCOPE, {"key": "x", "name": "X", "prices": []}),
    Row("plan-detail", "get", "plans/pro", UNKNOWN),
    Row("plan-detail", "patch", "plans/pro", SCOPE, {"grace_hours": 1}),
    Row("planversion-list", "get", "plans/pro/versions", UNKNOWN),
    Row("planversion-detail", "get", "plans/pro/versions/1", UNKNOWN),
    Row("planversion-detail", "patch", "plans/pro/versions/1", SCOPE, {"grace_hours": 1}),
    Row("planversion-detail", "delete", "plans/pro/versions/1", SCOPE),
    Row("planversion-publish", "post", "plans/pro/versions/1/publish", SCOPE),
    Row("subscription-list", "get", "subscriptions?customer=acme", 200),
    Row("subscription-list", "post", "subscriptions", SCOPE, {"customer": "acme", "plan": "pro"}),
    Row("subscription-detail", "get", "subscriptions/{subscription}", UNKNOWN),
    Row("subscription-change", "post", "subscriptions/{subscription}/change", SCOPE, {}),
    Row("subscription-pause", "post", "subscriptions/{subscription}/pause", SCOPE, {}),
    Row("subscription-resume", "post", "subscriptions/{subscription}/resume", SCOPE, {}),
    Row("subscription-withdraw", "post", "subscriptions/{subscription}/changes/1/withdraw", SCOPE),
    Row("subscription-cancel", "post", "subscriptions/{subscription}/cancel", SCOPE, {}),
    Row("subscription-coupons", "post", "subscriptions/{subscription}/coupons", SCOPE, {}),
    Row("subscription-coupon", "delete", "subscriptions/{subscription}/coupons/acme-only", SCOPE),
    Row("invoice-list", "post", "invoices", SCOPE, {"customer": "acme", "lines": []}),
    Row("coupon-list", "get", "coupons", 200),
    Row("coupon-list", "post", "coupons", SCOPE, {"key": "x", "name": "X", "percent_off": "1"}),
    Row("coupon-detail", "get", "coupons/acme-only", UNKNOWN),
    Row("coupon-detail", "patch", "coupons/acme-only", SCOPE, {"name": "X"}),
    Row("creditgrant-list", "get", "credit-grants?customer=acme", 200),
    Row("creditgrant-list", "post", "credit-grants", SCOPE, {"customer": "acme", "amount": "1"}),
    Row("creditgrant-balance", "get", "credit-grants/balance?customer=acme", UNKNOWN),
    Row("creditgrant-detail", "get", "credit-grants/{grant}", UNKNOWN),
    Row("creditgrant-void", "post", "credit-grants/{grant}/void", SCOPE),
    Row("creditnote-list", "get", "credit-notes?customer=acme", 200),
    Row("creditnote-list", "post", "credit-notes", SCOPE, {"invoice": "{number}"}),
    Row("creditnote-preview", "post", "credit-notes/preview", SCOPE, {"invoice": "{number}"}),
    Row("creditnote-detail", "get", "credit-notes/{note}", UNKNOWN),
    Row("creditnote-pdf", "get", "credit-notes/{note}/pdf", UNKNOWN),
    Row("creditnote-refunded", "post", "credit-notes/{note}/refunded", SCOPE),
    Row("charge-list", "get", "charges?customer=acme", 200),
    Row("charge-list", "post", "charges", SCOPE, {"customer": "acme", "description": "x"}),
    Row("charge-detail", "get", "charges/{charge}", UNKNOWN),
    Row("charge-cancel", "post", "charges/{charge}/cancel", SCOPE),
    Row("invoice-list", "get", "invoices?customer=acme", 200),
    Row("invoice-preview", "get", "invoices/preview?customer=acme", UNKNOWN),
    Row("invoice-detail", "get", "invoices/{number}", UNKNOWN),
    Row("invoice-detail", "get", "invoices/{draft}", UNKNOWN),
    Row("invoice-explain", "get", "invoices/{number}/explain", UNKNOWN),
    Row("invoice-explain-events", "get", "invoices/{number}/explain/events?line=1", UNKNOWN),
    Row("invoice-pdf", "get", "invoices/{number}/pdf", UNKNOWN),
    Row("invoice-finalize", "post", "invoices/{draft}/finalize", SCOPE),
    Row("invoice-void", "post", "invoices/{number}/void", SCOPE),
    Row("invoice-paid", "post", "invoices/{number}/paid", SCOPE, {"reference": "x"}),
    Row("invoice-reissue", "post", "invoices/{number}/reissue", SCOPE),
    Row("invoice-uncollectible", "post", "invoices/{number}/uncollectible", SCOPE),
    Row("invoice-push", "post", "invoices/{number}/push", SCOPE),
    Row("quote", "post", "quotes", 422, {"currency": "USD"}),
]


@pytest.fixture(scope="module")
def acme(standing: None) -> Customer:
    return factories.make_customer("acme", name="Acme")


@pytest.fixture(scope="module")
def places(acme: Customer) -> dict[str, Any]:
    """Give Acme one of everything; return the parts of their addresses."""
    subscription = subscribe(acme, "2026-01-01", publish_plan())
    create_coupon(key="acme-only", name="Acme only", percent_off=10)
    acme.tax_rates.add(factories.make_tax_rate("acme-tax"))
    report_calls(acme, "2026-01-10", 3)
    run_nightly(at=instant("2026-03-01"))
    store(acme, "corrected", instant("2026-03-02"))
    invoice = Invoice.objects.issued().get()
    return {
        "note": create_credit_note(wish=CreditWish(invoice), at=factories.NOW).number,
        "correction": void(acme, "corrected").pk,
        "grant": grant_credit(customer=acme, name="Acme", amount=Decimal(1), at=factories.NOW).pk,
        "charge": create_charge(
            customer=acme, description="Acme", unit_amount=Decimal(1), at=instant("2026-03-02")
        ).pk,
        "api_key": factories.make_key(acme).api_key.pk,
        "subscription": subscription.pk,
        "number": invoice.number,
        "draft": Invoice.objects.get(status="draft").pk,
    }


@pytest.fixture
def stranger(acme: Customer, api: Callable[[str], APIClient]) -> APIClient:
    """Return a client with every scope of another customer."""
    return api(factories.make_key(factories.make_customer("globex")).secret)


def ask(client: APIClient, row: Row, places: dict[str, Any]) -> Any:
    path = f"/{PREFIX}{row.path.format(**places)}"
    return getattr(client, row.verb)(path, row.body, format="json" if row.body else None)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.verb} {row.path}")
def test_a_stranger_learns_and_changes_nothing(
    stranger: APIClient, places: dict[str, Any], row: Row
) -> None:
    response = ask(stranger, row, places)
    assert response.status_code == row.status
    assert "Acme" not in response.content.decode()
    # The answer to a write may repeat what the stranger wrote.
    assert row.verb != "get" or "acme" not in response.content.decode()


def test_a_stranger_reports_no_usage_for_somebody_else(stranger: APIClient, acme: Customer) -> None:
    response = stranger.post("/api/v1/events", EVENT, format="json").json()
    assert (response["accepted"], response["rejected"]) == (0, 1)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.verb} {row.path}")
def test_without_a_key_there_is_no_answer(places: dict[str, Any], row: Row) -> None:
    assert ask(APIClient(), row, places).status_code == 401


def routes(patterns: list[Any], prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    for pattern in patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, path)
        elif path.startswith(PREFIX):
            yield path, pattern


def verbs(pattern: URLPattern) -> set[str]:
    actions = getattr(pattern.callback, "actions", None)
    view = getattr(pattern.callback, "cls", None) or getattr(pattern.callback, "view_class", None)
    return {
        verb for verb in VERBS if verb in (actions or {}) or (not actions and hasattr(view, verb))
    }


def test_every_address_of_the_api_is_in_the_table() -> None:
    found = {
        (pattern.name, verb)
        for _, pattern in routes(get_resolver().url_patterns)
        for verb in verbs(pattern)
    }
    assert len(found) > len(PUBLIC)
    assert found - PUBLIC == {(row.name, row.verb) for row in TABLE}
