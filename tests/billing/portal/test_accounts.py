"""Log-in, passwords and the other pages of accounts, in the portal's clothes."""

import re

import pytest
from django.core import mail
from django.core.cache import cache
from django.test import Client

from customers.models import Customer, User
from tests.billing.portal.pages import words
from tests.factories import PASSWORD

NEW_PASSWORD = "a horse of another colour"
OPEN_PAGES = ["login", "signup", "inactive", "password/reset", "password/reset/done"]
MEMBER_PAGES = ["logout", "email", "password/change", "reauthenticate"]


@pytest.fixture(autouse=True)
def unspent_attempts() -> None:
    """Forget the attempts that other tests made: they are limited for each address."""
    cache.clear()


def log_in(password: str) -> Client:
    client = Client()
    client.post("/accounts/login/", {"login": "owner@acme.example", "password": password})
    return client


def is_logged_in(client: Client) -> bool:
    return client.get("/")["Location"] == "/portal/acme/"


@pytest.mark.parametrize("page", OPEN_PAGES)
def test_pages_before_the_log_in_wear_the_portals_frame(db: None, page: str) -> None:
    response = Client().get(f"/accounts/{page}/")

    assert response.status_code == 200
    assert '<body class="entrance">' in response.text
    assert "tallyport.css" in response.text


@pytest.mark.parametrize("page", MEMBER_PAGES)
def test_pages_of_an_account_wear_the_portals_frame(client: Client, page: str) -> None:
    response = client.get(f"/accounts/{page}/")

    assert response.status_code == 200
    assert "tallyport.css" in response.text


def test_a_member_logs_in_with_e_mail_and_password(owner: User) -> None:
    assert is_logged_in(log_in(PASSWORD))


def test_a_wrong_password_is_refused_without_saying_which_part_is_wrong(owner: User) -> None:
    page = Client().post("/accounts/login/", {"login": owner.email, "password": "wrong"})

    assert "are not correct" in words(page)


def test_nobody_signs_up_alone(db: None) -> None:
    account = {"email": "me@example.com", "password1": NEW_PASSWORD, "password2": NEW_PASSWORD}

    page = Client().post("/accounts/signup/", account)

    assert "Accounts are made for you" in words(page)
    assert not User.objects.exists()


def test_logging_out_asks_first(client: Client) -> None:
    assert "Log out?" in words(client.get("/accounts/logout/"))
    assert is_logged_in(client)

    assert client.post("/accounts/logout/")["Location"] == "/accounts/login/"
    assert not is_logged_in(client)


def test_a_forgotten_password_is_replaced_through_a_link_that_works_once(owner: User) -> None:
    client = Client()
    client.post("/accounts/password/reset/", {"email": owner.email})
    body = str(mail.outbox[0].body)
    [link] = re.findall(r"http://testserver(/\S+)", body)
    assert body.startswith("Hello,")

    form = client.get(link, follow=True)
    action = form.redirect_chain[-1][0]
    client.post(action, {"password1": NEW_PASSWORD, "password2": NEW_PASSWORD})

    assert is_logged_in(log_in(NEW_PASSWORD))
    assert "This link no longer works" in words(Client().get(link))


def test_asking_for_a_link_does_not_tell_who_has_an_account(owner: User) -> None:
    pages = [
        Client().post("/accounts/password/reset/", {"email": email}, follow=True)
        for email in (owner.email, "nobody@example.com")
    ]

    assert words(pages[0]) == words(pages[1])
    assert "no account has this address" in mail.outbox[1].body
    assert "sign up" not in mail.outbox[1].body


def test_a_member_changes_their_password(owner: User) -> None:
    client = log_in(PASSWORD)
    change = {"oldpassword": PASSWORD, "password1": NEW_PASSWORD, "password2": NEW_PASSWORD}

    client.post("/accounts/password/change/", change)

    assert is_logged_in(log_in(NEW_PASSWORD))


def test_guessing_is_slowed_down(owner: User) -> None:
    client = Client()
    attempt = {"login": owner.email, "password": "wrong"}

    answers = [client.post("/accounts/login/", attempt) for _ in range(12)]

    assert "Too many failed login attempts" in words(answers[-1])


def test_words_stay_english_for_every_browser(acme: Customer) -> None:
    page = Client().post("/accounts/login/", {}, headers={"accept-language": "fr"})

    assert "This field is required." in words(page)
