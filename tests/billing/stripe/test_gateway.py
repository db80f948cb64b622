"""The gateway's own rules: money, text, speed, and errors sorted by what to do."""

import logging
import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from billing.checks import check_stripe
from billing.gateways import errors
from billing.gateways.minor_units import DECIMALS, from_minor, to_minor
from billing.gateways.requests import clean, payload_digest
from billing.gateways.shared_pace import SharedPace
from billing.gateways.stripe import StripeGateway, default_rate, gateway_from_settings
from billing.gateways.token_bucket import TokenBucket
from billing.gateways.values import CustomerDraft, InvoiceDraft
from billing.models import Invoice, StripePush, StripeQueue
from billing.sandbox.faults import Fault, Kind
from billing.sandbox.lifecycle import DECLINED
from billing.sandbox.server import StripeSandbox
from billing.services.stripe_lines import line_chunks
from billing.services.stripe_push import push_invoice
from tests.billing.stripe import cases

HOUR = 3_600_000_000


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("12.34", "USD", 1234),
        ("12.3", "EUR", 1230),
        ("500", "JPY", 500),
        ("500", "ISK", 50_000),
        ("7", "UGX", 700),
        ("1.25", "HUF", 125),
        ("5.120", "KWD", 5120),
        ("-0.01", "USD", -1),
        ("1E+2", "USD", 10_000),
    ],
)
def test_money_is_counted_in_stripes_units(amount: str, currency: str, minor: int) -> None:
    assert to_minor(Decimal(amount), currency) == minor
    assert from_minor(minor, currency.lower()) == Decimal(amount)


@pytest.mark.parametrize(
    ("amount", "currency"),
    [("0.001", "USD"), ("0.5", "JPY"), ("0.5", "ISK"), ("5.124", "KWD"), ("1", "XYZ")],
)
def test_money_stripe_has_no_number_for_is_refused(amount: str, currency: str) -> None:
    with pytest.raises(errors.RefusedError, match=currency):
        to_minor(Decimal(amount), currency)


@given(st.sampled_from(sorted(DECIMALS)), st.integers(-(10**12), 10**12))
def test_minor_units_survive_the_way_there_and_back(currency: str, number: int) -> None:
    minor = number * 1000
    assert to_minor(from_minor(minor, currency), currency) == minor


@given(st.text(), st.integers(1, 20))
def test_cleaned_text_fits_and_has_no_control_characters(text: str, limit: int) -> None:
    found = clean(text, limit)
    assert len(found) <= limit
    assert not {chr(code) for code in range(32)} & set(found)


def test_a_digest_changes_with_what_is_sent_and_with_nothing_else() -> None:
    def digest(name: str) -> str:
        address = {"line1": "", "country": "FR"}
        return payload_digest(CustomerDraft(name, "a@example.com", "fr", address, {"env": "x"}))

    assert digest("Acme") == digest("Acme ")
    assert digest("Acme") != digest("Acme SA")


def test_the_bucket_lets_a_burst_through_and_then_no_more_than_its_rate() -> None:
    bucket = TokenBucket(100)
    started = time.monotonic_ns()
    for _ in range(120):
        bucket.take()
    assert 150 <= (time.monotonic_ns() - started) // 1_000_000 < 1000


def test_a_blocked_bucket_lets_nothing_through() -> None:
    bucket = TokenBucket(1000)
    bucket.block(50)
    assert bucket.try_take() > 0
    started = time.monotonic_ns()
    bucket.take()
    assert (time.monotonic_ns() - started) // 1_000_000 >= 45


def test_the_rate_follows_the_account() -> None:
    assert default_rate("https://api.stripe.com", livemode=True) == 10
    assert default_rate("https://api.stripe.com", livemode=False) == 5
    assert default_rate("http://127.0.0.1:12111", livemode=False) == 200


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (Kind.DROP_BEFORE, errors.OutcomeUnknownError),
        (Kind.TRUNCATE, errors.OutcomeUnknownError),
        (Kind.BAD_GATEWAY, errors.OutcomeUnknownError),
        (Kind.SERVER_ERROR_BEFORE, errors.ServerFailureError),
        (Kind.CONFLICT, errors.BusyError),
        (Kind.RATE_LIMIT, errors.BusyError),
        (Kind.UNAUTHORIZED, errors.CredentialsError),
        (Kind.FORBIDDEN, errors.CredentialsError),
        (Kind.INVALID, errors.RefusedError),
        (Kind.KEY_REUSED, errors.KeyReusedError),
    ],
)
def test_each_failure_is_sorted_by_what_has_to_be_done(
    sandbox: StripeSandbox, gateway: StripeGateway, kind: Kind, error: type[Exception]
) -> None:
    sandbox.api.faults.add(Fault(kind))
    with pytest.raises(errors.StripeGatewayError) as caught:
        gateway.retrieve_invoice("in_1")
    assert type(caught.value) is error
    assert caught.value.message


def test_what_is_not_there_is_gone(gateway: StripeGateway, db: None) -> None:
    draft = InvoiceDraft("cus_no", "USD", "INV-1", 14, {})
    with pytest.raises(errors.GoneError):
        gateway.retrieve_invoice("in_no")
    with pytest.raises(errors.GoneError, match="No such customer"):
        gateway.create_invoice(draft, key="tests:gone")


def test_an_invoice_that_has_moved_on_says_so(
    gateway: StripeGateway, invoice: Invoice, at: datetime
) -> None:
    push_invoice(invoice=invoice, gateway=gateway, at=at)
    invoice_id = StripePush.objects.get().stripe_invoice_id
    with pytest.raises(errors.StateMovedError, match="already finalized"):
        gateway.finalize_invoice(invoice_id, key=f"tests:{invoice_id}:finalize")
    (chunk,) = line_chunks(invoice)
    with pytest.raises(errors.StateMovedError, match="no longer editable"):
        gateway.add_lines(invoice_id, chunk, key=f"tests:{invoice_id}:lines")


def test_a_declined_card_is_an_error_of_its_own(
    gateway: StripeGateway, invoice: Invoice, at: datetime
) -> None:
    push_invoice(invoice=invoice, gateway=gateway, at=at)
    invoice_id = StripePush.objects.get().stripe_invoice_id
    card: Any = {"payment_method": DECLINED}
    key: Any = {"idempotency_key": f"tests:{invoice_id}:pay"}
    with pytest.raises(errors.CardDeclinedError) as caught:
        gateway.call(lambda: gateway.api.invoices.pay(invoice_id, card, key))
    assert caught.value.code == "card_declined"
    assert caught.value.request_id.startswith("req_")


def test_s7_after_429_no_call_goes_out_before_the_wait_is_over(sandbox: StripeSandbox) -> None:
    patient = cases.gateway_to(sandbox, busy_waits_ms=(50,))
    sandbox.api.faults.add(Fault(Kind.RATE_LIMIT))
    started = time.monotonic_ns()
    assert patient.customers_created_since(datetime(2026, 1, 1, tzinfo=UTC)) == []
    assert (time.monotonic_ns() - started) // 1_000_000 >= 50


def test_telemetry_is_off_and_requests_are_not_logged() -> None:
    assert stripe.enable_telemetry is False
    assert not logging.getLogger("stripe").isEnabledFor(logging.INFO)


def test_the_settings_make_one_gateway_and_none_without_a_key(settings: Settings) -> None:
    settings.STRIPE_SECRET_KEY = ""
    assert gateway_from_settings() is None
    settings.STRIPE_SECRET_KEY = "rk_live_x"
    gateway = gateway_from_settings()
    assert gateway is gateway_from_settings()
    assert gateway
    assert gateway.account == f"{settings.STRIPE_ENVIRONMENT}:live"


@pytest.mark.django_db(transaction=True)
def test_all_processes_of_an_account_share_one_pace(
    sandbox: StripeSandbox, settings: Settings
) -> None:
    # An hour between two calls, so that the time this test takes does not count.
    first, second, other = (
        SharedPace(account, interval=HOUR) for account in ("here:live", "here:live", "here:test")
    )
    places = [round(each.reserve() / HOUR) for each in (first, second, other, first, second)]
    assert places == [0, 1, 0, 2, 3]
    settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE = "sk_test_x", sandbox.url
    settings.STRIPE_REQUESTS_PER_SECOND = 400
    gateway = gateway_from_settings()
    assert gateway
    gateway.customers_created_since(datetime(2026, 1, 1, tzinfo=UTC))
    paced_to = StripeQueue.objects.get(account=gateway.account).paced_to
    assert paced_to
    assert gateway.pace
    assert gateway.pace.interval == 2500


@pytest.mark.parametrize(("key", "ids"), [("", ["billing.W001"]), ("sk_test_x", [])])
def test_the_system_check_says_when_nothing_is_pushed(
    settings: Settings, key: str, ids: list[str]
) -> None:
    settings.STRIPE_SECRET_KEY = key
    assert [message.id for message in check_stripe()] == ids
