"""E-mail settings from one address: `smtp://user:password@host:port`, `smtps://…` or `console:`."""

from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

BACKEND = "django.core.mail.backends"


def email_settings(url: str) -> dict[str, object]:
    """Return Django's EMAIL_* settings; without an address mail is printed to the console."""
    parts = urlsplit(url or "console:")
    if parts.scheme == "console":
        return {"EMAIL_BACKEND": f"{BACKEND}.console.EmailBackend"}
    if parts.scheme not in {"smtp", "smtps"} or not parts.hostname:
        raise ImproperlyConfigured(
            "EMAIL_URL must look like smtp://user:password@mail.example.com:587, "
            "smtps://user:password@mail.example.com:465 or console:."
        )
    is_tls = parts.scheme == "smtps"
    return {
        "EMAIL_BACKEND": f"{BACKEND}.smtp.EmailBackend",
        "EMAIL_HOST": parts.hostname,
        "EMAIL_PORT": parts.port or (465 if is_tls else 587),
        "EMAIL_HOST_USER": unquote(parts.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
        "EMAIL_USE_SSL": is_tls,
        "EMAIL_USE_TLS": not is_tls and bool(parts.username),
        "EMAIL_TIMEOUT": 20,
    }
