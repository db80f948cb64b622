"""System checks of the installation as a whole; KernelConfig registers them."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning


def check_clock(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Instants are stored, and buckets are cut, in UTC."""
    if settings.USE_TZ and settings.TIME_ZONE == "UTC":
        return []
    return [
        Error(
            "TIME_ZONE must be UTC and USE_TZ must be on.",
            hint="Customers have their own time zones; the server's has to be UTC.",
            id="config.E001",
        )
    ]


def check_webhooks(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    if not settings.STRIPE_SECRET_KEY or settings.STRIPE_WEBHOOK_SECRETS:
        return []
    return [
        Warning(
            "STRIPE_SECRET_KEY is set without STRIPE_WEBHOOK_SECRET: invoices are pushed to "
            "Stripe, but payments are not heard of.",
            hint="Create a webhook endpoint in Stripe and set its signing secret.",
            id="config.W001",
        )
    ]


def check_mail(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    if "console" not in str(settings.MAILERS["default"]["BACKEND"]):
        return []
    return [
        Warning(
            "Mail is printed to the console.",
            hint="Set EMAIL_URL to your mail server.",
            id="config.W002",
        )
    ]


def check_database(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    if settings.DATABASES["default"]["ENGINE"] != "config.embedded":
        return []
    return [
        Warning(
            "The embedded PostgreSQL is for development and demonstrations: nothing backs it up.",
            hint="Set DATABASE_URL to a PostgreSQL of your own.",
            id="config.W003",
        )
    ]
