"""Where the bare address leads, and the list of customers."""

from collections.abc import Callable

from django.test import Client

from customers.models import Customer, User
from customers.services import add_member
from tests import factories


def test_home_leads_a_member_to_their_customer(client: Client) -> None:
    assert client.get("/")["Location"] == "/portal/acme/"


def test_home_tells_somebody_without_a_customer_what_to_do(
    db: None, log_in: Callable[[User], Client]
) -> None:
    user = User.objects.create_user("new@example.com", factories.PASSWORD)

    page = log_in(user).get("/")

    assert page.status_code == 200
    assert "Ask the person who invited you" in page.text


def test_home_leads_staff_to_the_list_of_all_customers(
    acme: Customer, log_in: Callable[[User], Client]
) -> None:
    staff = log_in(factories.make_staff())

    assert staff.get("/")["Location"] == "/portal/"
    assert "Acme" in staff.get("/portal/").text


def test_the_list_is_searched_by_name_and_key(
    acme: Customer, log_in: Callable[[User], Client]
) -> None:
    factories.make_customer("other", name="Zebra")
    staff = log_in(factories.make_staff())

    found = staff.get("/portal/?q=zeb").text

    assert "Zebra" in found
    assert "/portal/acme/" not in found
    assert "No customer matches" in staff.get("/portal/?q=nowhere").text


def test_a_member_of_two_customers_can_change_between_them(
    acme: Customer, owner: User, client: Client
) -> None:
    assert "choose another customer" not in client.get("/portal/acme/").text
    add_member(customer=factories.make_customer("other"), user=owner)

    assert "choose another customer" in client.get("/portal/acme/").text
    assert "/portal/other/" in client.get("/portal/").text
