"""Settings that are right one by one and wrong together."""

from collections.abc import Collection
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from django.http.request import validate_host

from config.environment import is_loopback

MAKE_A_KEY = 'make one with: python -c "import secrets; print(secrets.token_urlsafe(64))"'
STRIPE_API = "https://api.stripe.com"


def check_address(
    base_url: str, *, debug: bool, secret_key: str, allowed_hosts: Collection[str]
) -> None:
    """Raise ImproperlyConfigured when the site could not be reached, or not safely."""
    if not is_loopback(base_url) and not secret_key:
        raise ImproperlyConfigured(
            f"SECRET_KEY must be set when BASE_URL is a public address; {MAKE_A_KEY}"
        )
    if not is_loopback(base_url) and debug:
        raise ImproperlyConfigured(
            "DEBUG must be off when BASE_URL is a public address: its error pages show settings "
            "and data to strangers."
        )
    host = urlsplit(base_url).hostname or ""
    if not validate_host(f"[{host}]" if ":" in host else host, allowed_hosts):
        raise ImproperlyConfigured(
            f"ALLOWED_HOSTS must contain {host}, the host of BASE_URL, or every page is refused."
        )


def check_stripe(api_base: str, *, secret_key: str) -> None:
    """Raise ImproperlyConfigured when the Stripe key would be handed to somebody it should not."""
    if secret_key.startswith(("sk_live_", "rk_live_")) and api_base != STRIPE_API:
        raise ImproperlyConfigured(
            f"STRIPE_SECRET_KEY is a live key, but STRIPE_API_BASE is {api_base}, which is not "
            "Stripe. Use a test key there, or unset STRIPE_API_BASE."
        )
    if api_base.startswith("http://") and not is_loopback(api_base):
        raise ImproperlyConfigured(
            f"STRIPE_API_BASE is {api_base}, which would carry the key unencrypted. Use https:// "
            "for a server that is not on this machine."
        )
