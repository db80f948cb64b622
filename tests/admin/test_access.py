"""Who gets into the admin, what the browser is allowed there, and what it never runs."""

from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from billing.models import Invoice
from customers.models import Customer, User
from tests.factories import PASSWORD, make_key, make_member, make_staff
from tests.metering.ingest.reports import event, report

INDEX = reverse("admin:index")
ATTACK = '<script>alert(1)</script>" x-data="alert(1)"'
OWN_PAGES = [
    "admin:index",
    "admin:usage",
    "admin:events",
    "admin:log_trial",
    "admin:billing_invoice_changelist",
]


def permit(user: User, *codenames: str) -> None:
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))


@pytest.fixture
def helper_desk(client: Client, db: None) -> tuple[Client, User]:
    """Return a client logged in as staff without any permission."""
    user = User.objects.create_user("helper@example.com", PASSWORD, is_staff=True)
    client.force_login(user)
    return client, user


@pytest.mark.parametrize("page", OWN_PAGES)
def test_a_stranger_is_sent_to_the_log_in(client: Client, db: None, page: str) -> None:
    response = client.get(reverse(page))

    assert response.status_code == 302
    assert response["Location"].startswith(reverse("admin:login"))


@pytest.mark.parametrize("page", OWN_PAGES)
def test_a_customers_member_is_sent_to_the_log_in(
    client: Client, acme: Customer, page: str
) -> None:
    client.force_login(make_member(acme))

    response = client.get(reverse(page))

    assert response["Location"].startswith(reverse("admin:login"))


@pytest.mark.parametrize("page", ["admin:usage", "admin:events", "admin:log_trial"])
def test_staff_without_the_permission_are_refused(
    helper_desk: tuple[Client, User], page: str
) -> None:
    assert helper_desk[0].get(reverse(page)).status_code == 403


def test_staff_without_permissions_get_an_overview_without_figures(
    helper_desk: tuple[Client, User],
) -> None:
    client, user = helper_desk

    blank = client.get(INDEX).content.decode()
    permit(user, "view_ingestbatch")
    usage = client.get(INDEX).content.decode()

    assert "Open invoices" not in blank
    assert "Events today" not in blank
    assert "Open invoices" not in usage
    assert "Events today" in usage


def test_staff_who_may_only_look_are_offered_no_action(
    helper_desk: tuple[Client, User], shop: Customer
) -> None:
    client, user = helper_desk
    permit(user, "view_invoice")
    invoice = Invoice.objects.get(number=None)

    page = client.get(reverse("admin:billing_invoice_change", args=[invoice.pk]))
    refused = client.post(reverse("admin:billing_invoice_finalize", args=[invoice.pk]))

    assert b"/finalize/" not in page.content
    assert refused.status_code == 403
    invoice.refresh_from_db()
    assert invoice.is_draft


def test_staff_log_in_with_their_e_mail_address(client: Client, db: None) -> None:
    make_staff()
    form = {"username": "staff@example.com", "password": PASSWORD}

    page = client.get(reverse("admin:login")).content.decode()
    action = page.partition('<form action="')[2].partition('"')[0]
    response = client.post(unescape(action), form)

    assert response["Location"] == INDEX


def test_too_many_wrong_passwords_lock_the_staff_log_in(client: Client, db: None) -> None:
    make_staff()
    form = {"username": "staff@example.com", "password": "wrong"}
    for _ in range(12):
        client.post(reverse("admin:login"), form)

    response = client.post(reverse("admin:login"), form | {"password": PASSWORD})

    assert response.status_code == 200
    assert "Too many failed login attempts" in response.content.decode()


@pytest.mark.parametrize("page", [*OWN_PAGES, "admin:login"])
def test_the_theme_may_evaluate_on_its_own_pages_alone(desk: Client, page: str) -> None:
    policy = desk.get(reverse(page), follow=True)["Content-Security-Policy"]

    assert "script-src 'self' 'unsafe-eval'" in policy
    assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]


@pytest.mark.parametrize("address", ["/accounts/login/", "/portal/", "/api/v1/invoices"])
def test_the_rest_of_the_site_stays_strict(desk: Client, address: str) -> None:
    policy = desk.get(address)["Content-Security-Policy"]

    assert "unsafe" not in policy


def test_what_customers_write_is_never_markup(desk: Client, db: None) -> None:
    customer = Customer.objects.create(key="evil", name=ATTACK, email="evil@example.com")
    row = event("evil-1", customer="evil", properties={"note": ATTACK}, type="api.request")
    report([row, event(ATTACK, customer="evil", timestamp=ATTACK)])
    api_key = make_key(customer).api_key
    pages = [
        reverse("admin:customers_apikey_change", args=[api_key.pk]),
        reverse("admin:customers_customer_changelist"),
        reverse("admin:customers_customer_change", args=[customer.pk]),
        reverse("admin:metering_refusedevent_changelist"),
        f"{reverse('admin:events')}?customer={customer.pk}",
        f"{reverse('admin:search')}?s=evil",
    ]

    for page in pages:
        text = desk.get(page).content.decode()
        assert "alert(1)" in text, page
        assert "<script>alert" not in text, page
        assert 'x-data="alert' not in text, page


def test_the_palette_finds_only_what_one_may_see(
    helper_desk: tuple[Client, User], shop: Customer
) -> None:
    client, user = helper_desk
    permit(user, "view_plan")

    found: Any = client.get(f"{reverse('admin:search')}?s=acme").content.decode()

    assert "Plan plan-acme" in found
    assert "Customer acme" not in found
