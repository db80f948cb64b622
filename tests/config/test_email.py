"""Reading EMAIL_URL, and that a mailer made from it can be built by Django."""

from typing import Any

import pytest
from django.core.mail import mailers
from pytest_django import Settings

from config.email import mailer


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail.example.com", {"port": 587, "use_ssl": False, "use_tls": False}),
        ("smtp://ann:p%40ss@mail.example.com:2525", {"port": 2525, "use_tls": True}),
        ("smtp://ann:p%40ss@mail.example.com:2525", {"username": "ann", "password": "p@ss"}),
        ("smtps://ann:x@mail.example.com", {"port": 465, "use_ssl": True, "use_tls": False}),
    ],
)
def test_an_address_is_read_into_a_mailer(
    url: str, expected: dict[str, Any], settings: Settings
) -> None:
    settings.MAILERS = {"default": mailer(url)}
    made = mailers.default
    assert {name: getattr(made, name) for name in expected} == expected


def test_without_an_address_mail_is_printed() -> None:
    assert mailer("") == {"BACKEND": "django.core.mail.backends.console.EmailBackend"}
