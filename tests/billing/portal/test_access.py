"""Who may open which page: one table over every address of the portal."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse

from billing.models import Invoice
from billing.portal.urls import urlpatterns
from billing.services.crediting import CreditWish, create_credit_note
from customers.models import ApiKey, Customer, User
from tests import factories
from tests.billing.portal.conftest import bill_february

pytestmark = pytest.mark.django_db

# Status for: nobody, a member of another customer, a member, staff.
OPEN_TO_MEMBERS = (302, 404, 200, 200)
PAGES = {
    "portal-home": (302, 302, 302, 302),
    "brand-stylesheet": (200, 200, 200, 200),
    "portal-customers": (302, 200, 200, 200),
    "portal-overview": OPEN_TO_MEMBERS,
    "portal-usage": OPEN_TO_MEMBERS,
    "portal-usage-csv": OPEN_TO_MEMBERS,
    "portal-events": OPEN_TO_MEMBERS,
    "portal-events-csv": OPEN_TO_MEMBERS,
    "portal-keys": OPEN_TO_MEMBERS,
    "portal-key-create": OPEN_TO_MEMBERS,
    "portal-key-revoke": OPEN_TO_MEMBERS,
    "portal-invoices": OPEN_TO_MEMBERS,
    "portal-invoice": OPEN_TO_MEMBERS,
    "portal-invoice-pay": (302, 404, 302, 302),
    "portal-payment-method": (405, 405, 405, 405),
    "portal-invoice-line": OPEN_TO_MEMBERS,
    "portal-invoice-pdf": OPEN_TO_MEMBERS,
    "portal-credit-note-pdf": OPEN_TO_MEMBERS,
}
WRITES = ["portal-key-create", "portal-key-revoke", "portal-payment-method"]
PEOPLE = ["nobody", "stranger", "member", "staff"]


@pytest.fixture(scope="module")
def acme(standing: None) -> Customer:
    return factories.make_customer("acme", name="Acme")


@pytest.fixture(scope="module")
def key(acme: Customer) -> ApiKey:
    return factories.make_key(acme).api_key


@pytest.fixture(scope="module")
def invoice(acme: Customer) -> Invoice:
    return bill_february(acme)


@pytest.fixture
def people(acme: Customer, owner: User, log_in: Callable[[User], Client]) -> dict[str, Client]:
    stranger = factories.make_member(factories.make_customer("other"))
    return {
        "nobody": Client(),
        "stranger": log_in(stranger),
        "member": log_in(owner),
        "viewer": log_in(factories.make_member(acme, role="viewer")),
        "staff": log_in(factories.make_staff()),
    }


@pytest.fixture(scope="module")
def address(acme: Customer, key: ApiKey, invoice: Invoice) -> Callable[[str], str]:
    """Return a maker of addresses of Acme's pages by their name."""
    values = {"customer_key": acme.key, "key_id": key.pk, "number": invoice.number, "position": 2}
    note = create_credit_note(wish=CreditWish(invoice, amount=Decimal(1)), at=factories.NOW)

    def made(name: str) -> str:
        if name == "portal-credit-note-pdf":
            return reverse(name, args=[acme.key, note.number])
        [pattern] = [pattern for pattern in urlpatterns if pattern.name == name]
        wanted = pattern.pattern.converters
        return reverse(name, kwargs={part: values[part] for part in wanted})

    return made


@pytest.mark.parametrize("name", PAGES)
def test_a_page_opens_for_its_members_and_staff_alone(
    people: dict[str, Client], address: Callable[[str], str], name: str
) -> None:
    answers = tuple(people[person].get(address(name)).status_code for person in PEOPLE)

    assert answers == PAGES[name]


def test_no_page_is_missing_from_the_table() -> None:
    assert {pattern.name for pattern in urlpatterns} == PAGES.keys()


@pytest.mark.parametrize("name", WRITES)
def test_only_members_whose_role_may_write_can_write(
    people: dict[str, Client], address: Callable[[str], str], name: str
) -> None:
    answers = {
        person: people[person].post(address(name)).status_code
        for person in ["nobody", "stranger", "viewer", "staff"]
    }

    assert answers == {"nobody": 302, "stranger": 404, "viewer": 403, "staff": 403}
    assert ApiKey.objects.get().revoked_at is None


@pytest.mark.parametrize("name", [name for name in PAGES if name not in WRITES])
def test_pages_that_only_show_take_nothing_in(
    people: dict[str, Client], address: Callable[[str], str], name: str
) -> None:
    assert people["member"].post(address(name)).status_code == 405


def test_nobody_is_led_to_the_log_in_and_back(address: Callable[[str], str]) -> None:
    page = address("portal-invoices")

    assert Client().get(page)["Location"] == f"/accounts/login/?next={page}"


def test_another_customers_key_and_invoice_are_not_found_under_ones_own_name(
    people: dict[str, Client], key: ApiKey, invoice: Invoice
) -> None:
    stranger = people["stranger"]

    assert stranger.get("/portal/other/").status_code == 200
    assert stranger.get(f"/portal/other/keys/{key.pk}/revoke/").status_code == 404
    assert stranger.post(f"/portal/other/keys/{key.pk}/revoke/").status_code == 404
    assert stranger.get(f"/portal/other/invoices/{invoice.number}/").status_code == 404
    key.refresh_from_db()
    assert key.revoked_at is None


def test_staff_are_told_that_they_look_from_outside(
    people: dict[str, Client], address: Callable[[str], str]
) -> None:
    assert "Viewing as staff" in people["staff"].get(address("portal-overview")).text
    assert "Viewing as staff" not in people["member"].get(address("portal-overview")).text


@pytest.mark.parametrize("name", [name for name in PAGES if PAGES[name] == OPEN_TO_MEMBERS])
def test_no_cache_keeps_a_customers_page(
    people: dict[str, Client], address: Callable[[str], str], name: str
) -> None:
    assert "no-store" in people["member"].get(address(name))["Cache-Control"]


@pytest.mark.parametrize("path", ["%00/", "a%00b/usage/", "acme/invoices/%00/"])
def test_nothing_is_at_an_address_with_a_zero_character(
    people: dict[str, Client], path: str
) -> None:
    assert people["member"].get(f"/portal/{path}").status_code == 404
