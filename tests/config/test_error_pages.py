"""What programs and people are told where nothing is, or something broke."""

import pytest
from django.test import Client, RequestFactory
from django.views import defaults
from pytest_django import Settings

from config import error_pages


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/api/v1/nowhere", "/api/v1/api-keys/abc", "/api/"])
def test_an_unknown_address_of_the_api_is_answered_as_the_api_answers(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No page is made for it, which would need the static files to be collected."""
    monkeypatch.setattr(defaults, "page_not_found", None)
    answer = Client().get(path)
    assert (answer.status_code, answer["Content-Type"]) == (404, "application/json")
    assert answer.json()["error"]["code"] == "not_found"


@pytest.mark.django_db
def test_an_unknown_address_elsewhere_is_answered_with_a_page() -> None:
    answer = Client().get("/nowhere/")
    assert (answer.status_code, "<html" in answer.content.decode()) == (404, True)


def test_a_request_for_another_host_is_refused_in_json_under_the_api(settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["billing.example.com"]
    answer = Client().get("/api/v1/customers", headers={"host": "evil.example.com"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")


def test_a_failure_of_the_server_is_told_in_json_under_the_api() -> None:
    answer = error_pages.server_error(RequestFactory().get("/api/v1/customers"))
    assert (answer.status_code, answer["Content-Type"]) == (500, "application/json")
