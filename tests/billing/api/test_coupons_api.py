"""Coupons over HTTP: made, redeemed, and what they take off documents."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from rest_framework.test import APIClient

from billing.models import Coupon, CreditNote, Subscription
from billing.services import coupons
from billing.services.coupons import create_coupon, redeem_coupon
from config.errors import DomainError
from tests.billing.figures.outsider import Outsider
from tests.billing.plans import publish_plan, subscribe
from tests.billing.usage import instant
from tests.factories import make_customer

pytestmark = pytest.mark.django_db

FEE = {"key": "base", "name": "Base fee", "model": "flat", "amount": "100", "timing": "advance"}
CALLS = {"key": "calls", "name": "Calls", "meter": "calls", "model": "per_unit", "unit_amount": "2"}
HALF = {"key": "half", "name": "Half price", "percent_off": "50"}


@pytest.fixture
def outsider(operator: APIClient) -> Outsider:
    outsider = Outsider(operator)
    outsider.meter()
    outsider.customer()
    outsider.plan(FEE, CALLS)
    return outsider


def nights(outsider: Outsider, *months: int) -> list[tuple[str, str]]:
    """Run the first night of some months of 2026; return discount and total of all invoices."""
    for month in months:
        outsider.night(f"2026-{month:02}-02T12:00:00Z")
    return [(each["discount"], each["total"]) for each in outsider.invoices()]


@pytest.mark.parametrize(
    ("terms", "discounts"),
    [
        ({"duration": "once"}, ["50.00", "0.00", "0.00", "0.00"]),
        ({"duration": "repeating", "duration_months": 2}, ["50.00", "50.00", "0.00", "0.00"]),
        ({"duration": "forever"}, ["50.00", "50.00", "50.00", "50.00"]),
    ],
)
@pytest.mark.parametrize("missed", [False, True])
def test_a_coupon_lasts_as_long_as_it_says(
    outsider: Outsider, terms: dict[str, Any], discounts: list[str], missed: bool
) -> None:
    """It makes no difference whether nights were missed."""
    outsider.post("coupons", **HALF | terms)
    outsider.subscribe("2026-01-01T00:00:00Z", coupons=["half"])
    found = nights(outsider, *([4] if missed else [1, 2, 3, 4]))
    assert [discount for discount, _ in found] == discounts


def test_what_was_used_while_it_lasted_is_discounted_after_it(outsider: Outsider) -> None:
    """The last month's usage is on one document with a fee that the coupon is not for."""
    outsider.post("coupons", **HALF | {"duration": "repeating", "duration_months": 1})
    outsider.subscribe("2026-01-01T00:00:00Z", coupons=["half"])
    outsider.use("2026-01-10T00:00:00Z", calls=5)
    assert nights(outsider, 1, 2) == [("50.00", "50.00"), ("5.00", "105.00")]
    assert [line["discount"] for line in outsider.invoices()[1]["lines"]] == ["5.00", "0.00"]


def test_discounts_come_in_their_order_and_never_below_zero(outsider: Outsider) -> None:
    outsider.post("coupons", key="ten", name="Ten", amount_off="10", currency="USD")
    outsider.post("coupons", **HALF)
    outsider.post("coupons", key="much", name="Much", amount_off="500", currency="USD")
    outsider.subscribe("2026-01-01T00:00:00Z", coupons=["ten", "half", "much"])
    assert nights(outsider, 1) == [("100.00", "0.00")]
    [invoice] = outsider.invoices()
    taken = [(each["coupon"], each["amount"]) for each in invoice["discounts"]]
    assert taken == [("ten", "10.00"), ("half", "45.00"), ("much", "45.00")]
    assert invoice["status"] == "paid"


def test_a_coupon_is_for_its_prices_and_its_subscription_alone(outsider: Outsider) -> None:
    outsider.client.patch("/api/v1/customers/acme", {"consolidate_invoices": True}, format="json")
    outsider.plan(FEE, key="other")
    outsider.post("coupons", **HALF | {"prices": ["calls"], "duration": "forever"})
    outsider.post("coupons", key="fifth", name="Fifth", percent_off="20")
    outsider.subscribe("2026-01-01T00:00:00Z", coupons=["half"])
    outsider.subscribe("2026-01-01T00:00:00Z", plan="other", coupons=["fifth"])
    assert nights(outsider, 1) == [("20.00", "180.00")]


def test_tax_is_on_what_is_left(outsider: Outsider) -> None:
    outsider.post("tax-rates", key="vat20", name="VAT", percent="20")
    outsider.client.patch("/api/v1/customers/acme", {"tax_rates": ["vat20"]}, format="json")
    outsider.post("coupons", **HALF)
    outsider.subscribe("2026-01-01T00:00:00Z", coupons=["half"])
    assert nights(outsider, 1) == [("50.00", "60.00")]


def test_what_is_given_back_is_given_back_less_its_discount(outsider: Outsider) -> None:
    outsider.post("coupons", **HALF)
    subscription = outsider.subscribe("2026-03-01T00:00:00Z", coupons=["half"])
    assert nights(outsider, 3) == [("50.00", "50.00")]
    outsider.post(f"subscriptions/{subscription}/cancel", at="2026-03-01T00:00:00Z")
    outsider.night("2026-03-03T00:00:00Z")
    note = CreditNote.objects.get()
    assert [str(sum) for sum in (note.subtotal, note.discount, note.total)] == [
        "100.00",
        "50.00",
        "50.00",
    ]
    call_command("prove_invoice", note.number)


def test_all_documents_of_a_charge_count_for_what_is_given_back_of_it(outsider: Outsider) -> None:
    """The late usage was free, and the rest was not."""
    ten = {"key": "ten", "name": "Ten", "amount_off": "10", "currency": "USD"}
    outsider.post("coupons", **ten, prices=["calls"], duration="forever")
    subscription = outsider.subscribe("2026-01-01T00:00:00Z", coupons=["ten"])
    outsider.use("2026-01-10T00:00:00Z", calls=50)
    nights(outsider, 2)
    outsider.use("2026-01-11T00:00:00Z", calls=5)
    assert nights(outsider, 3)[1:] == [("10.00", "190.00"), ("10.00", "100.00")]
    outsider.post(f"subscriptions/{subscription}/cancel", at="2026-01-01T00:00:00Z")
    outsider.night("2026-03-03T12:00:00Z")
    assert sum(note.total for note in CreditNote.objects.all()) == 100 + 190 + 100
    call_command("prove_invoice", str(CreditNote.objects.latest("pk")))


def test_a_preview_has_the_discount_and_uses_nothing_up(
    outsider: Outsider, operator: APIClient
) -> None:
    outsider.post("coupons", **HALF)
    outsider.subscribe("2026-01-01T00:00:00Z", coupons=["half"])
    path = "/api/v1/invoices/preview?customer=acme"
    first, second = (operator.get(path).json() for _ in range(2))
    assert first["discount"] == second["discount"] == "50.00"


def test_limits_are_kept(outsider: Outsider) -> None:
    outsider.customer(key="globex")
    outsider.plan(FEE, key="other")
    outsider.post("coupons", **HALF | {"max_redemptions": 1, "max_per_customer": None})
    outsider.post("coupons", key="own", name="Own", percent_off="5")
    outsider.post(
        "coupons", key="old", name="Old", percent_off="5", valid_until="2020-01-01T00:00Z"
    )
    outsider.subscribe("2026-01-01T00:00:00Z", coupons=["half", "own"])
    body = {"customer": "globex", "plan": "pro", "start_at": "2026-01-01T00:00:00Z"}
    again = body | {"customer": "acme", "plan": "other"}
    for wish in (body | {"coupons": ["half"]}, again | {"coupons": ["own"]}):
        answer = outsider.client.post("/api/v1/subscriptions", wish, format="json")
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "coupon_used_up")
    answer = outsider.client.post(
        "/api/v1/subscriptions", body | {"coupons": ["old"]}, format="json"
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "coupon_expired")
    assert not outsider.client.get("/api/v1/subscriptions?customer=globex").json()["results"]


def test_a_coupon_comes_to_a_running_subscription_and_goes_again(
    outsider: Outsider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is for the usage of the period it is redeemed in, not for the one that is a draft."""
    monkeypatch.setattr("django.utils.timezone.now", lambda: instant("2026-02-01T12:00"))
    outsider.post("coupons", **HALF | {"duration": "forever"})
    outsider.plan(CALLS, key="metered")
    path = f"subscriptions/{outsider.subscribe('2026-01-01T00:00:00Z', 'metered')}/coupons"
    for month in ("01", "02", "03"):
        outsider.use(f"2026-{month}-10T00:00:00Z", calls=5)
    outsider.night("2026-02-01T11:00:00Z")
    assert outsider.post(path, coupon="half")["coupons"] == ["half"]
    assert nights(outsider, 2, 3) == [("0.00", "10.00"), ("5.00", "5.00")]
    removed = outsider.client.delete(f"/api/v1/{path}/half")
    assert (removed.status_code, removed.json()["coupons"]) == (200, [])
    assert outsider.client.delete(f"/api/v1/{path}/half").status_code == 404
    assert nights(outsider, 4)[2:] == [("0.00", "10.00")]
    assert outsider.post(path, coupon="half")["coupons"] == ["half"]
    again = outsider.client.post(f"/api/v1/{path}", {"coupon": "half"}, format="json")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "already_redeemed")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("is_guarded", "redeemed"), [(True, 1), (False, 2)])
def test_the_last_coupon_is_redeemed_once(
    monkeypatch: pytest.MonkeyPatch, is_guarded: bool, redeemed: int
) -> None:
    """Without its lock both see the same count before either has redeemed it."""
    half = create_coupon(key="half", name="Half", percent_off=50, max_redemptions=1)
    version = publish_plan()
    runs = [subscribe(make_customer(key), "2026-01-01", version) for key in ("acme", "globex")]
    meeting = Barrier(2)
    if not is_guarded:
        monkeypatch.setattr(coupons, "locked_coupons", lambda keys: {"half": half})
        check = coupons.check_redeemable
        monkeypatch.setattr(
            coupons, "check_redeemable", lambda *what: (check(*what), meeting.wait(60))
        )

    def redeem(subscription: Subscription) -> None:
        try:
            redeem_coupon(subscription=subscription, coupon=half, at=instant("2026-01-05"))
        except DomainError:
            pass
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(redeem, runs))
    assert half.redemptions.count() == redeemed


@pytest.mark.parametrize("keys", [["nowhere"], ["half", "half"], ["yen"], "half", [None]])
def test_coupons_that_do_not_fit_are_refused(outsider: Outsider, keys: Any) -> None:
    outsider.post("coupons", **HALF)
    outsider.post("coupons", key="yen", name="Yen", amount_off="100", currency="JPY")
    body = {"customer": "acme", "plan": "pro", "coupons": keys}
    answer = outsider.client.post("/api/v1/subscriptions", body, format="json")
    assert answer.status_code == 422
    assert "coupons" in answer.json()["error"]["details"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"percent_off": "0"}, ""),
        ({"percent_off": "101"}, "percent_off"),
        ({"percent_off": None}, ""),
        ({"amount_off": "5"}, "currency"),
        ({"percent_off": None, "amount_off": "5", "currency": "XXY"}, "currency"),
        ({"percent_off": None, "amount_off": "0.001", "currency": "USD"}, "amount_off"),
        ({"duration": "repeating"}, ""),
        ({"duration_months": 3}, ""),
        ({"duration": "weekly"}, "duration"),
        ({"max_redemptions": 0}, "max_redemptions"),
        ({"prices": "calls"}, "prices"),
        ({"percentoff": "5"}, "percentoff"),
    ],
)
def test_a_wrong_coupon_is_refused(operator: APIClient, change: Any, field: str) -> None:
    answer = operator.post("/api/v1/coupons", HALF | change, format="json")
    assert answer.status_code == 422
    assert not field or field in answer.json()["error"]["details"]
    assert not Coupon.objects.exists()


def test_limits_change_and_the_promise_does_not(operator: APIClient) -> None:
    made = operator.post("/api/v1/coupons", HALF, format="json").json()
    assert operator.get("/api/v1/coupons/half").json() == made
    path = "/api/v1/coupons/half"
    closed = operator.patch(path, {"is_active": False, "percent_off": "50.0"}, format="json")
    assert closed.json() == made | {"is_active": False}
    refused = operator.patch(path, {"percent_off": "60"}, format="json")
    assert (refused.status_code, list(refused.json()["error"]["details"])) == (422, ["percent_off"])
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE billing_coupon SET percent_off = 1")
