"""The settings: what each variable may hold, and what the sentence says when it does not."""

import ast
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from tests.config.conftest import ROOT, documented_variables

PUBLIC = {"BASE_URL": "https://billing.example.com", "SECRET_KEY": "k" * 50}
LIVE_KEY = "sk_" + "live_51abc"

WRONG = [
    ({"PORT": "http"}, "PORT is 'http', but it must be a whole number from 1 to 65535."),
    ({"PORT": "70000"}, "must be a whole number from 1 to 65535"),
    ({"DEBUG": "maybe"}, "must be one of true, false"),
    ({"BASE_URL": "billing.example.com"}, "must be an address such as https://billing"),
    ({"BASE_URL": "https://example.com/billing"}, "without a path"),
    ({"BASE_URL": "https://example.com:port"}, "without a path"),
    ({"BASE_URL": PUBLIC["BASE_URL"]}, "SECRET_KEY must be set when BASE_URL is a public"),
    ({"BASE_URL": "http://127.0.0.1.example.com"}, "SECRET_KEY must be set when BASE_URL"),
    ({"SECRET_KEY": "short"}, "SECRET_KEY is set, but it must be at least 50 characters"),
    (PUBLIC | {"DEBUG": "on"}, "DEBUG must be off when BASE_URL is a public address"),
    (PUBLIC | {"ALLOWED_HOSTS": "example.com"}, "ALLOWED_HOSTS must contain billing.example.com"),
    ({"DATABASE_URL": "mysql://localhost/x"}, "DATABASE_URL must look like postgres://"),
    ({"DATABASE_URL": "postgres://localhost"}, "DATABASE_URL must look like postgres://"),
    ({"DATABASE_URL": "postgres://localhost:port/x"}, "Its port is not a number"),
    ({"DATABASE_URL": "postgres://localhost/x?pool=1"}, "an option that PostgreSQL does not know"),
    ({"EMAIL_URL": "mail.example.com"}, "EMAIL_URL must look like smtp://"),
    ({"EMAIL_URL": "smtp://mail.example.com:smtp"}, "EMAIL_URL must look like smtp://"),
    ({"DEFAULT_FROM_EMAIL": "billing"}, "must be an e-mail address"),
    ({"INGEST_MAX_AGE_DAYS": "0"}, "must be a whole number from 1 to 3650"),
    ({"STRIPE_SECRET_KEY": "pk_test_1"}, "STRIPE_SECRET_KEY is set, but it must be a secret or"),
    (
        {"STRIPE_WEBHOOK_SECRET": "whsec_1,we_2"},
        "must be one signing secret that starts with whsec",
    ),
    ({"STRIPE_API_BASE": "localhost:12111"}, "STRIPE_API_BASE is 'localhost:12111', but it must"),
    ({"STRIPE_API_BASE": "http://stripe.example.com"}, "carry the key unencrypted"),
    (
        {"STRIPE_SECRET_KEY": LIVE_KEY, "STRIPE_API_BASE": "http://127.0.0.1:12111"},
        "STRIPE_SECRET_KEY is a live key, but STRIPE_API_BASE is",
    ),
    ({"STRIPE_PUSH_SINCE": "2026-12-01T00:00:00"}, "must be an instant such as 2026-12-01T00:00"),
    ({"STRIPE_REQUESTS_PER_SECOND": "-1"}, "must be a whole number from 0 to 500"),
    ({"STRIPE_MINIMUM_AMOUNTS": "DKK=4,3"}, "must be amounts by currency such as DKK=4,ISK=80"),
    ({"STRIPE_ENVIRONMENT": "two words"}, "must be up to 80 letters"),
    ({"INVOICE_PREFIX": "2026-"}, "must be 1 to 20 letters, digits or hyphens that begin"),
    ({"CREDIT_NOTE_PREFIX": "1-"}, "must be 1 to 20 letters, digits or hyphens that begin"),
    ({"ZERO_INVOICES": "drop"}, "must be skip or issue"),
    ({"ADJUSTMENT_MINIMUM": "-1"}, "must be an amount of money such as 0.50"),
    ({"ADJUSTMENT_MONTHS": "-1"}, "must be a whole number from 0 to 120"),
    ({"CUSTOMER_EMAILS": "issued,receipts"}, "must be none, or some of issued, reminder, paid"),
    ({"DUNNING_REMINDERS": "1,week"}, "must be none, or whole numbers from -90 to 365"),
    ({"DUNNING_FLAG_DAYS": "0"}, "must be none, or from 1 to 3650"),
    ({"DUNNING_SUSPEND_DAYS": "never"}, "must be none, or from 1 to 3650"),
    ({"NIGHTLY_BATCH": "0"}, "must be a whole number from 1 to 5000"),
    ({"NIGHTLY_WORKERS": "0"}, "must be a whole number from 1 to 64"),
    ({"BRAND_COLOR": "teal"}, "must be a colour such as #2563eb"),
    ({"SENTRY_DSN": "https://sentry.example.com/1"}, "must be the DSN of a Sentry project"),
    ({"SENTRY_DSN": "https://key@sentry.example.com"}, "must be the DSN of a Sentry project"),
    ({"BRAND_LOGO": "/logo.png"}, "must be the https:// address of an image"),
]

type Load = Callable[[dict[str, str]], dict[str, Any]]


@pytest.fixture
def load(clean_environment: pytest.MonkeyPatch) -> Load:
    """Return a way to read the settings file with only the given variables set."""

    def load_with(variables: dict[str, str]) -> dict[str, Any]:
        for name, value in variables.items():
            clean_environment.setenv(name, value)
        return runpy.run_path(str(ROOT / "config" / "settings.py"))

    return load_with


@pytest.mark.parametrize(("variables", "sentence"), WRONG)
def test_a_wrong_value_stops_the_start(
    load: Load, variables: dict[str, str], sentence: str
) -> None:
    with pytest.raises(ImproperlyConfigured, match=re.escape(sentence)):
        load(variables)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "postgres://user:hunter2@host:port/x"),
        ("EMAIL_URL", "smtp://user:hunter2@host:port"),
        ("STRIPE_SECRET_KEY", "hunter2"),
        ("STRIPE_WEBHOOK_SECRET", "hunter2"),
        ("SECRET_KEY", "hunter2"),
        ("SENTRY_DSN", "https://hunter2@sentry.example.com"),
    ],
)
def test_a_wrong_secret_is_not_repeated(load: Load, name: str, value: str) -> None:
    with pytest.raises(ImproperlyConfigured) as refusal:
        load({name: value})
    assert "hunter2" not in str(refusal.value)


def test_every_variable_has_a_wrong_value_in_the_table() -> None:
    free_text = {
        "BRAND_NAME",
        "SELLER_NAME",
        "SELLER_ADDRESS",
        "SELLER_TAX_ID",
        "TALLYPORT_DATA_DIR",
    }
    assert {name for variables, _ in WRONG for name in variables} | free_text == (
        documented_variables()
    )


def test_the_settings_page_lists_exactly_the_variables_that_are_read() -> None:
    tree = ast.parse((ROOT / "config" / "settings.py").read_text())
    read = {
        call.args[0].value
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and ast.unparse(call.func).startswith("environment.")
        and isinstance(call.args[0], ast.Constant)
    }
    assert read == documented_variables()


def test_nothing_has_to_be_set_on_ones_own_machine(load: Load, tmp_path: Path) -> None:
    settings = load({})
    assert settings["DATABASES"]["default"]["ENGINE"] == "config.embedded"
    assert settings["BASE_URL"] == "http://127.0.0.1:8000"
    assert settings["SECRET_KEY"] == (tmp_path / "secret_key").read_text()


def test_a_public_https_address_turns_the_safeguards_on(load: Load) -> None:
    settings = load(PUBLIC)
    assert settings["ALLOWED_HOSTS"] == ["billing.example.com"]
    assert settings["SESSION_COOKIE_SECURE"] is True
    assert settings["SECURE_HSTS_SECONDS"] > 0


def test_the_logo_may_come_from_its_own_host(load: Load) -> None:
    settings = load({"BRAND_LOGO": "https://cdn.example.com/logo.png"})
    assert "https://cdn.example.com" in settings["SECURE_CSP"]["img-src"]


def test_two_webhook_secrets_are_read_while_one_replaces_the_other(load: Load) -> None:
    settings = load({"STRIPE_WEBHOOK_SECRET": "whsec_old, whsec_new"})
    assert settings["STRIPE_WEBHOOK_SECRETS"] == ["whsec_old", "whsec_new"]


def test_a_command_ends_with_the_sentence_and_no_traceback(clean_variables: dict[str, str]) -> None:
    finished = subprocess.run(
        [sys.executable, "manage.py", "check"], cwd=ROOT, text=True, capture_output=True,
        check=False, env=clean_variables | {"PORT": "http"},
    )  # fmt: skip
    assert finished.returncode == 1
    assert finished.stderr == (
        "Tallyport cannot start: PORT is 'http', but it must be a whole number from 1 to 65535.\n"
    )


def test_the_deployment_check_is_clean_with_production_settings(
    clean_variables: dict[str, str],
) -> None:
    production = PUBLIC | {
        "DATABASE_URL": "postgres://user:password@db.example.com/tallyport",
        "EMAIL_URL": "smtp://user:password@mail.example.com",
        "STRIPE_SECRET_KEY": "sk_test_check",
        "STRIPE_WEBHOOK_SECRET": "whsec_check",
        "SECRET_KEY": "q8ZkT3vW6xR1nB5mJ9cLfY2hDsPgUaEo7iKtNwXyVbMzQr4CjH",
    }
    finished = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=ROOT, text=True, capture_output=True, check=False, env=clean_variables | production,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
