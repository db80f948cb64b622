"""The portal in a real browser, at the width of a phone."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from billing.models import Invoice
from billing.services.invoicing import bill_customers
from customers.models import ApiKey, User
from tests import factories
from tests.billing.plans import publish_plan, subscribe
from tests.billing.portal.events import report
from tests.browser.conftest import Visit

SECRET = re.compile(r"^tp_[0-9a-f]{12}_[\w-]{43}$")
LONG_PATH = "/v1/" + "an-endpoint-with-a-very-long-name" * 3


@pytest.fixture
def owner(transactional_db: None) -> User:
    """Return the owner of a customer with a plan, usage, a key and issued invoices."""
    acme = factories.make_customer("acme", name="Acme " + "Donaudampfschifffahrt" * 3)
    now = timezone.now()
    factories.make_meter("calls", name="Calls", group_by=["endpoint"], filled_at=None)
    subscribe(acme, (now - timedelta(days=100)).replace(day=1), publish_plan())
    for days in (0, 1, 40, 70):
        report(acme, (now - timedelta(days=days)).isoformat(), 3, endpoint=LONG_PATH)
        report(acme, (now - timedelta(days=days)).isoformat(), 12, endpoint="/v1/search")
    bill_customers(customer_ids=[acme.pk], at=now)
    factories.make_key(acme)
    return factories.make_member(acme, email="owner@acme.example")


def invoice_page() -> str:
    invoice = Invoice.objects.issued().first()
    assert invoice is not None
    return f"/portal/acme/invoices/{invoice.number}/"


def pages() -> list[str]:
    """Return the address of every page that a member may open."""
    key = ApiKey.objects.get()
    usage = ["usage/", "usage/?group_by=endpoint", "usage/?window=hour&start=2001-01-01"]
    portal = ["", *usage, "events/", "keys/", "keys/new/", f"keys/{key.pk}/revoke/", "invoices/"]
    account = ["password/change/", "email/", "logout/", "login/", "password/reset/", "signup/"]
    return [
        *(f"/portal/acme/{path}" for path in portal),
        *(f"/accounts/{path}" for path in account),
        invoice_page(),
        "/portal/",
    ]


def test_a_member_logs_in_and_sees_the_secret_of_a_new_key_once(
    owner: User, visit: Callable[..., Visit]
) -> None:
    here = visit()
    here.open("/portal/acme/keys/new/")
    here.page.get_by_label("Email").fill(owner.email)
    here.page.get_by_label("Password").fill(factories.PASSWORD)
    here.page.get_by_role("button", name="Log in").click()
    here.page.get_by_label("Name").fill("Phone")
    here.page.get_by_role("button", name="Create the key").click()
    expect(here.page.locator("#secret")).to_have_text(SECRET)

    here.page.reload()

    expect(here.page.get_by_role("heading", name="API keys")).to_be_visible()
    expect(here.page.get_by_text("not shown again")).to_be_visible()
    assert not re.search(r"tp_\w+_\w{20}", here.page.content())
    assert here.faults == []


def test_no_page_breaks_the_content_security_policy_or_the_width_of_a_phone(
    owner: User, visit: Callable[..., Visit]
) -> None:
    here = visit(owner)
    too_wide = {}

    for path in pages():
        here.open(path)
        width = here.page.evaluate("document.documentElement.scrollWidth")
        if width > 390:
            too_wide[path] = width

    assert here.faults == []
    assert too_wide == {}


def test_a_line_of_an_invoice_opens_by_keyboard(owner: User, visit: Callable[..., Visit]) -> None:
    here = visit(owner)
    here.open(invoice_page())
    line = here.page.locator("summary", has_text="API calls")
    steps = here.page.get_by_role("rowheader", name="First 10")
    expect(steps).to_be_hidden()

    line.focus()
    here.page.keyboard.press("Enter")

    expect(steps).to_be_visible()


def test_the_first_tab_skips_to_the_content(owner: User, visit: Callable[..., Visit]) -> None:
    here = visit(owner)
    here.open("/portal/acme/")

    here.page.keyboard.press("Tab")
    expect(here.page.get_by_text("Skip to the content")).to_be_focused()
    here.page.keyboard.press("Enter")

    expect(here.page.locator("main")).to_be_focused()


def test_a_filter_changes_the_report_in_place(owner: User, visit: Callable[..., Visit]) -> None:
    here = visit(owner)
    here.open("/portal/acme/usage/")
    here.page.evaluate("window.isTheSamePage = true")

    here.page.get_by_label("Broken down by").select_option("endpoint")

    expect(here.page.get_by_role("heading", name="By endpoint")).to_be_visible()
    assert here.page.evaluate("window.isTheSamePage")
    assert "group_by=endpoint" in here.page.url
    assert here.faults == []


def test_a_filter_that_cannot_be_applied_says_so(owner: User, visit: Callable[..., Visit]) -> None:
    here = visit(owner)
    here.open("/portal/acme/usage/")
    here.page.route("**/usage/?**", lambda route: route.abort())

    here.page.get_by_label("Shown by").select_option("week")
    expect(here.page.get_by_text("could not be loaded")).to_be_visible()

    here.page.unroute("**/usage/?**")
    here.page.get_by_role("button", name="Show").click()
    expect(here.page.get_by_text("could not be loaded")).to_be_hidden()


def test_the_filters_work_without_scripts(owner: User, visit: Callable[..., Visit]) -> None:
    here = visit(owner, scripts=False)
    here.open("/portal/acme/usage/")

    here.page.get_by_label("Broken down by").select_option("endpoint")
    here.page.get_by_role("button", name="Show").click()

    expect(here.page.get_by_role("heading", name="By endpoint")).to_be_visible()


def test_the_pages_of_the_api_are_served_from_here(visit: Callable[..., Visit]) -> None:
    here = visit()
    here.open("/api/v1/docs/")
    expect(here.page.get_by_text("/api/v1/events", exact=True).first).to_be_visible()
    assert here.faults == []
