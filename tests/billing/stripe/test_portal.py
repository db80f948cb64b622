"""The way from our portal to Stripe's pages: addresses that are good, and the payment method."""

from datetime import datetime, timedelta

import pytest
from django.test import Client
from pytest_django import Settings

from billing.gateways.stripe import StripeGateway
from billing.models import StripePush
from billing.sandbox import actions
from billing.sandbox.faults import Fault, Kind
from billing.sandbox.server import StripeSandbox
from billing.services.stripe_push import push_invoice
from tests import factories
from tests.billing.portal.pages import words
from tests.billing.stripe import cases


@pytest.fixture
def push(
    sandbox: StripeSandbox, gateway: StripeGateway, db: None, at: datetime,
    client: Client, settings: Settings,
) -> StripePush:  # fmt: skip
    """An invoice at Stripe, and its customer's owner logged in."""
    settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE = cases.KEY, sandbox.url
    invoice = cases.make_invoice(at=at, buyer={"name": "Acme", "time_zone": "UTC"})
    client.force_login(factories.make_member(invoice.customer))
    push_invoice(invoice=invoice, gateway=gateway, at=at)
    return StripePush.objects.select_related("invoice__customer").get()


def page_of(push: StripePush, name: str = "") -> str:
    return f"/portal/{push.invoice.customer.key}/invoices/{push.invoice.number}/{name}"


def method_of(push: StripePush) -> str:
    return f"/portal/{push.invoice.customer.key}/payment-method/"


def test_paying_leads_to_stripes_page_of_the_invoice(client: Client, push: StripePush) -> None:
    assert f'href="{page_of(push, "pay/")}"' in client.get(page_of(push)).text
    assert client.get(page_of(push, "pay/"))["Location"] == push.hosted_invoice_url


def test_a_stale_address_is_read_anew(client: Client, push: StripePush, at: datetime) -> None:
    stale = at - timedelta(days=2)
    StripePush.objects.update(hosted_invoice_url="https://old.example/", links_read_at=stale)
    assert client.get(page_of(push, "pay/"))["Location"] == push.hosted_invoice_url


def test_an_invoice_paid_meanwhile_is_not_paid_again(
    client: Client, push: StripePush, sandbox: StripeSandbox
) -> None:
    StripePush.objects.update(links_read_at=None)
    actions.pay(sandbox.account, push.stripe_invoice_id)
    assert "There is nothing to pay" in words(client.get(page_of(push, "pay/"), follow=True))
    push.invoice.refresh_from_db()
    assert push.invoice.status == "paid"


def test_without_an_answer_the_stored_address_is_used(
    client: Client, push: StripePush, sandbox: StripeSandbox
) -> None:
    StripePush.objects.update(links_read_at=None)
    sandbox.api.faults.add(Fault(Kind.UNAUTHORIZED))
    assert client.get(page_of(push, "pay/"))["Location"] == push.hosted_invoice_url


def test_a_failed_payment_is_told_beside_the_way_to_pay(client: Client, push: StripePush) -> None:
    StripePush.objects.update(collection_problem="Declined.")
    assert "The last payment did not go through." in words(client.get(page_of(push)))


def test_the_payment_method_is_kept_at_stripe(client: Client, push: StripePush) -> None:
    page = client.get(f"/portal/{push.invoice.customer.key}/invoices/")
    assert "Payment method" in words(page)
    answer = client.post(method_of(push))
    assert (answer.status_code, "/portal/cus_" in answer["Location"]) == (302, True)


def test_a_customer_who_was_never_billed_can_leave_a_payment_method(
    client: Client, push: StripePush, sandbox: StripeSandbox
) -> None:
    other = factories.make_customer()
    client.force_login(factories.make_member(other))
    client.post(f"/portal/{other.key}/payment-method/")
    assert len(cases.records(sandbox, "customer")) == 2


def test_what_stripe_does_not_answer_is_told(
    client: Client, push: StripePush, sandbox: StripeSandbox, settings: Settings
) -> None:
    sandbox.api.faults.add(Fault(Kind.UNAUTHORIZED))
    assert "does not answer" in words(client.post(method_of(push), follow=True))
    settings.STRIPE_SECRET_KEY = ""
    assert "not set up here" in words(client.post(method_of(push), follow=True))
