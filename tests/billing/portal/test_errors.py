"""What people see when something is not there, not theirs or broken."""

import pytest
from django.core.exceptions import SuspiciousOperation
from django.test import Client

from billing.portal.views import keys
from customers.models import Customer
from tests import factories


def test_a_missing_page_says_so_and_leads_back(client: Client) -> None:
    page = client.get("/nowhere/")

    assert page.status_code == 404
    assert "There is nothing here" in page.text
    assert 'href="/"' in page.text


def test_a_refusal_says_who_may(acme: Customer) -> None:
    client = Client()
    client.force_login(factories.make_member(acme, role="viewer"))

    page = client.post("/portal/acme/keys/new/")

    assert page.status_code == 403
    assert "Ask an owner or a developer" in page.text


def test_a_form_without_its_token_says_what_to_do(client: Client) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = client.cookies

    page = strict.post("/portal/acme/keys/new/")

    assert page.status_code == 403
    assert "Go back, reload the page" in page.text


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (RuntimeError("broken"), 500, "Something broke on our side"),
        (SuspiciousOperation("odd"), 400, "The request could not be read"),
    ],
)
def test_a_failure_is_a_page_that_needs_nothing_to_work(
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    status: int,
    words: str,
) -> None:
    def fail(*args: object) -> None:
        raise error

    monkeypatch.setattr(keys, "customer_render", fail)
    client.raise_request_exception = False

    page = client.get("/portal/acme/keys/")

    assert page.status_code == status
    assert words in page.text


@pytest.mark.parametrize("page", ["/portal/acme/", "/accounts/login/", "/nowhere/"])
def test_every_page_forbids_inline_scripts_and_styles(client: Client, page: str) -> None:
    response = client.get(page, follow=True)

    policy = response["Content-Security-Policy"]
    assert "script-src 'self';" in policy
    assert "style-src 'self';" in policy
    assert " style=" not in response.text
    assert "<style" not in response.text
    assert "<script>" not in response.text
