"""Credits over HTTP: granted, applied when invoices are issued, given back, expired."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from threading import Barrier
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from rest_framework.test import APIClient

from billing.models import CreditEntry, CreditGrant, Invoice
from billing.selectors.credits import read_wallets
from billing.services import credits, invoicing
from billing.services.credits import grant_credit
from billing.services.invoicing import finalize_invoice
from billing.services.one_off import OneOffLine, create_one_off_invoice
from customers.models import Customer
from tests import factories
from tests.billing.figures.outsider import Outsider
from tests.billing.plans import FEE as MONTHLY
from tests.billing.plans import drafts_until, publish_plan, subscribe
from tests.billing.usage import instant

FEE = {"key": "base", "name": "Base fee", "model": "flat", "amount": "100", "timing": "advance"}
SEAT = {"key": "seat", "name": "Seat", "model": "flat", "amount": "40", "timing": "advance"}
SINCE = "2026-01-01T00:00:00Z"


@pytest.fixture
def outsider(operator: APIClient) -> Outsider:
    outsider = Outsider(operator)
    outsider.customer()
    outsider.plan(FEE, SEAT)
    return outsider


def grant(outsider: Outsider, amount: str, **fields: Any) -> int:
    body = {"customer": "acme", "name": "Prepaid", "amount": amount, "effective_at": SINCE}
    made: int = outsider.post("credit-grants", **body | fields)["id"]
    return made


def bill(outsider: Outsider) -> dict[str, Any]:
    outsider.subscribe("2026-03-01T00:00:00Z")
    outsider.night("2026-03-01T01:00:00Z")
    [invoice] = outsider.invoices()
    return invoice


def balances(outsider: Outsider) -> dict[int, str]:
    found = outsider.client.get("/api/v1/credit-grants?customer=acme").json()["results"]
    return {each["id"]: each["balance"] for each in found}


@pytest.mark.django_db
def test_credits_pay_after_tax_and_the_ledger_says_what(outsider: Outsider) -> None:
    outsider.post("tax-rates", key="vat20", name="VAT", percent="20")
    outsider.client.patch("/api/v1/customers/acme", {"tax_rates": ["vat20"]}, format="json")
    made = grant(outsider, "150", cost_basis="0.9")
    invoice = bill(outsider)
    sums = [invoice[name] for name in ("subtotal", "tax", "credits", "total", "status")]
    assert sums == ["140.00", "28.00", "150.00", "18.00", "open"]
    ledger = outsider.client.get(f"/api/v1/credit-grants/{made}").json()
    entries = [(each["kind"], each["amount"], each["invoice"]) for each in ledger["entries"]]
    assert entries == [("granted", "150.00", None), ("applied", "-150.00", invoice["number"])]
    assert (ledger["balance"], ledger["cost_basis"]) == ("0.00", "0.9")


@pytest.mark.django_db
def test_an_invoice_takes_no_more_than_it_asks_for(outsider: Outsider) -> None:
    made = grant(outsider, "200")
    invoice = bill(outsider)
    assert (invoice["credits"], invoice["total"], invoice["status"]) == ("140.00", "0.00", "paid")
    assert balances(outsider) == {made: "60.00"}


@pytest.mark.django_db
def test_grants_are_used_by_priority_expiry_and_age(outsider: Outsider) -> None:
    last = grant(outsider, "50", priority=60)
    old = grant(outsider, "50")
    young = grant(outsider, "50")
    soon = grant(outsider, "50", expires_at="2099-01-01T00:00:00Z")
    bill(outsider)
    assert balances(outsider) == {soon: "0.00", old: "0.00", young: "10.00", last: "50.00"}


@pytest.mark.django_db
def test_a_grant_pays_its_prices_alone(outsider: Outsider) -> None:
    made = grant(outsider, "90", prices=["seat"])
    assert bill(outsider)["credits"] == "40.00"
    assert balances(outsider) == {made: "50.00"}


@pytest.mark.django_db
@pytest.mark.parametrize(
    "fields",
    [
        {"effective_at": "2026-03-02T00:00:00Z"},
        {"currency": "EUR"},
        {"prices": ["elsewhere"]},
    ],
)
def test_what_is_not_for_the_invoice_stays(outsider: Outsider, fields: Any) -> None:
    made = grant(outsider, "90", **fields)
    assert bill(outsider)["credits"] == "0.00"
    assert balances(outsider) == {made: "90.00"}


@pytest.mark.django_db
def test_voiding_gives_back_once_and_a_reissue_takes_again(outsider: Outsider) -> None:
    made = grant(outsider, "30")
    number = bill(outsider)["number"]
    outsider.post(f"invoices/{number}/void")
    again = outsider.client.post(f"/api/v1/invoices/{number}/void")
    assert (again.status_code, balances(outsider)) == (409, {made: "30.00"})


@pytest.mark.django_db
def test_the_night_writes_off_what_has_expired(outsider: Outsider, acme_grant: CreditGrant) -> None:
    outsider.night("2026-03-01T01:00:00Z")
    outsider.night("2026-03-01T02:00:00Z")
    entries = list(acme_grant.entries.values_list("kind", "amount"))
    assert entries == [("granted", Decimal("9.00")), ("expired", Decimal("-9.00"))]


@pytest.mark.django_db
def test_what_is_left_is_carried_over_up_to_an_amount_and_once(outsider: Outsider) -> None:
    terms = {"expires_at": "2099-03-01T00:00:00Z", "kind": "promotional", "priority": 7}
    made = grant(outsider, "60", rollover_amount="25", rollover_months=1, **terms)
    for night in ("2099-03-01T01:00:00Z", "2099-03-02T01:00:00Z", "2099-04-01T01:00:00Z"):
        outsider.night(night)
    first, second = outsider.client.get("/api/v1/credit-grants?customer=acme").json()["results"][
        ::-1
    ]
    assert [(each["kind"], each["amount"]) for each in first["entries"]] == [
        ("granted", "60.00"),
        ("rolled_over", "-25.00"),
        ("expired", "-35.00"),
    ]
    assert [second[name] for name in ("rolled_over_from", "amount", "kind", "priority")] == [
        made,
        "25.00",
        "promotional",
        7,
    ]
    assert (second["effective_at"], second["expires_at"]) == (
        "2099-03-01T00:00:00Z",
        "2099-04-01T00:00:00Z",
    )
    assert [each["kind"] for each in second["entries"]] == ["granted", "expired"]


@pytest.mark.django_db
def test_credit_that_comes_back_after_the_expiry_is_carried_over_to_the_same_amount(
    outsider: Outsider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """40 of 60 pay the invoice, 20 are carried over, and of the 40 that come back 5 more."""
    monkeypatch.setattr("django.utils.timezone.now", lambda: instant("2026-02-10"))
    terms = {"expires_at": "2026-03-10T00:00:00Z", "prices": ["seat"]}
    made = grant(outsider, "60", rollover_amount="25", rollover_months=1, **terms)
    number = bill(outsider)["number"]
    outsider.night("2026-03-10T01:00:00Z")
    outsider.post(f"invoices/{number}/void")
    outsider.night("2026-03-10T02:00:00Z")
    assert sorted(balances(outsider).values()) == ["0.00", "20.00", "5.00"]
    kinds = CreditEntry.objects.filter(grant=made).order_by("pk").values_list("kind", "amount")
    assert [(kind, str(amount)) for kind, amount in kinds][2:] == [
        ("rolled_over", "-20.00"),
        ("returned", "40.00"),
        ("rolled_over", "-5.00"),
        ("expired", "-35.00"),
    ]


@pytest.mark.django_db
def test_a_reissued_invoice_takes_the_credit_and_the_coupon_again(outsider: Outsider) -> None:
    outsider.post("coupons", key="half", name="Half", percent_off="50")
    made = grant(outsider, "30")
    outsider.subscribe("2026-03-01T00:00:00Z", coupons=["half"])
    outsider.night("2026-03-01T01:00:00Z")
    outsider.post("invoices/INV-000001/void")
    void = Invoice.objects.get(number="INV-000001")
    invoicing.reissue_invoice(invoice=void, at=instant("2026-03-02"))
    outsider.night("2026-03-02T01:00:00Z")
    assert [(each["discount"], each["credits"], each["total"]) for each in outsider.invoices()] == [
        ("70.00", "30.00", "40.00"),
        ("70.00", "30.00", "40.00"),
    ]
    entries = CreditEntry.objects.filter(grant=made).order_by("pk")
    assert [each.kind for each in entries] == ["granted", "applied", "returned", "applied"]


@pytest.mark.django_db
def test_previews_leave_the_drafts_what_those_will_take(
    outsider: Outsider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("django.utils.timezone.now", lambda: instant("2026-02-10"))
    outsider.plan(FEE | {"timing": "arrears"}, key="later", grace_hours=2000)
    outsider.subscribe(SINCE, plan="later")
    grant(outsider, "130")
    outsider.night("2026-02-02T00:00:00Z")
    [draft] = outsider.invoices(status="draft")
    preview = outsider.client.get("/api/v1/invoices/preview?customer=acme").json()
    [balance] = outsider.client.get("/api/v1/credit-grants/balance?customer=acme").json()
    assert (draft["credits"], preview["credits"], balance["pending"]) == (
        "100.00",
        "30.00",
        "130.00",
    )
    assert (balance["paid"], balance["promotional"]) == ("130.00", "0.00")


@pytest.fixture
def acme_grant(outsider: Outsider) -> CreditGrant:
    return grant_credit(
        customer=Customer.objects.get(),
        name="Trial",
        amount=Decimal(9),
        at=instant("2026-02-01"),
        expires_at=instant("2026-03-01"),
        kind="promotional",
    )


@pytest.mark.django_db
def test_the_balance_is_shown_against_open_usage(outsider: Outsider, operator: APIClient) -> None:
    outsider.post("subscriptions", customer="acme", plan="pro")
    grant(outsider, "50")
    grant(outsider, "20", kind="promotional")
    preview = operator.get("/api/v1/invoices/preview?customer=acme").json()
    [balance] = operator.get("/api/v1/credit-grants/balance?customer=acme").json()
    assert (balance["paid"], balance["promotional"], balance["balance"]) == (
        "50.00",
        "20.00",
        "70.00",
    )
    assert balance["pending"] == preview["credits"] != "0.00"
    assert Decimal(balance["available"]) == Decimal(70) - Decimal(preview["credits"])


@pytest.mark.django_db
def test_what_is_left_is_taken_back_once(outsider: Outsider) -> None:
    made = grant(outsider, "30")
    assert outsider.post(f"credit-grants/{made}/void")["balance"] == "0.00"
    again = outsider.client.post(f"/api/v1/credit-grants/{made}/void")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "nothing_left")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"amount": "0"}, ""),
        ({"amount": "-5"}, ""),
        ({"amount": "0.001"}, "amount"),
        ({"amount": "NaN"}, "amount"),
        ({"currency": "XXY"}, "currency"),
        ({"customer": "nobody"}, "customer"),
        ({"kind": "gift"}, "kind"),
        ({"priority": 101}, "priority"),
        ({"cost_basis": "-1"}, "cost_basis"),
        ({"rollover_amount": "5", "rollover_months": 1}, ""),
        ({"rollover_amount": "5", "expires_at": "2099-01-01T00:00:00Z"}, ""),
        ({"expires_at": "2020-01-01T00:00:00Z"}, ""),
        ({"balance": "5", "balanced": "5"}, "balanced"),
    ],
)
def test_a_wrong_grant_is_refused(outsider: Outsider, wrong: Any, field: str) -> None:
    body = {"customer": "acme", "name": "Prepaid", "amount": "5"} | wrong
    answer = outsider.client.post("/api/v1/credit-grants", body, format="json")
    assert answer.status_code == 422
    assert not field or field in answer.json()["error"]["details"]
    assert not CreditGrant.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing_creditentry SET amount = 1000",
        "DELETE FROM billing_creditentry",
        "UPDATE billing_creditgrant SET amount = 1000",
        "INSERT INTO billing_creditentry (grant_id, kind, amount, at, created_at) "
        "SELECT id, 'voided', -6, now(), now() FROM billing_creditgrant",
    ],
)
def test_the_ledger_is_only_added_to_and_never_overdrawn(statement: str) -> None:
    acme = factories.make_customer("acme")
    grant_credit(customer=acme, name="Prepaid", amount=Decimal(5), at=factories.NOW)
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.django_db(transaction=True)
def test_two_finalizers_at_once_never_spend_a_credit_twice() -> None:
    acme = factories.make_customer("acme")
    grant_credit(customer=acme, name="Prepaid", amount=Decimal(40), at=instant("2026-01-01"))
    for key in ("one", "two"):
        subscribe(acme, "2026-01-01", publish_plan(MONTHLY, key=key))
    drafts = drafts_until(acme.subscriptions.first(), "2026-02-01")  # type: ignore[arg-type]
    barrier = Barrier(2)

    def finalize(draft: Invoice) -> None:
        barrier.wait(120)
        finalize_invoice(invoice=draft, at=instant("2026-02-01"))
        connection.close()

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(finalize, drafts))
    applied = CreditEntry.objects.filter(kind="applied").values_list("amount", flat=True)
    assert sorted(applied) == [Decimal("-31.00"), Decimal("-9.00")]
    assert sum(each.total for each in Invoice.objects.all()) == Decimal(22)


@pytest.mark.django_db(transaction=True)
def test_the_customers_lock_is_what_keeps_finalizers_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without it both read the same balance, and only the ledger's own trigger stops the second."""
    acme = factories.make_customer("acme")
    grant_credit(customer=acme, name="Prepaid", amount=Decimal(40), at=instant("2026-01-01"))
    line = OneOffLine("Setup", Decimal(31))
    drafts = [
        create_one_off_invoice(customer=acme, lines=[line], at=instant("2026-02-01"))
        for _ in range(2)
    ]
    barrier = Barrier(2)

    def read_together(*args: Any) -> Any:
        wallets = read_wallets(*args)
        barrier.wait(120)
        return wallets

    monkeypatch.setattr(
        invoicing, "lock_customers", lambda ids: list(Customer.objects.filter(pk__in=ids))
    )
    monkeypatch.setattr(credits, "read_wallets", read_together)
    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(outcome, drafts)) == ["issued", "refused"]


def outcome(draft: Invoice) -> str:
    try:
        finalize_invoice(invoice=draft, at=instant("2026-02-01"))
    except DatabaseError:
        return "refused"
    finally:
        connection.close()
    return "issued"
