"""The system checks of an installation."""

import pytest
from pytest_django import Settings

from config import checks


def test_a_clock_that_is_not_utc_is_an_error(settings: Settings) -> None:
    assert checks.check_clock(None) == []
    settings.TIME_ZONE = "Europe/Paris"
    assert [message.id for message in checks.check_clock(None)] == ["config.E001"]


def test_a_stripe_key_without_a_webhook_secret_is_a_warning(settings: Settings) -> None:
    settings.STRIPE_SECRET_KEY, settings.STRIPE_WEBHOOK_SECRETS = "sk_test_1", []
    assert [message.id for message in checks.check_webhooks(None)] == ["config.W001"]
    settings.STRIPE_WEBHOOK_SECRETS = ["whsec_1"]
    assert checks.check_webhooks(None) == []


def test_printed_mail_is_a_warning_where_it_is_deployed(settings: Settings) -> None:
    settings.MAILERS = {"default": {"BACKEND": "django.core.mail.backends.console.EmailBackend"}}
    assert [message.id for message in checks.check_mail(None)] == ["config.W002"]
    settings.MAILERS = {"default": {"BACKEND": "django.core.mail.backends.smtp.EmailBackend"}}
    assert checks.check_mail(None) == []


def test_the_embedded_database_is_a_warning_where_it_is_deployed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(settings.DATABASES["default"], "ENGINE", "config.embedded")
    assert [message.id for message in checks.check_database(None)] == ["config.W003"]
    monkeypatch.setitem(settings.DATABASES["default"], "ENGINE", "django.db.backends.postgresql")
    assert checks.check_database(None) == []
