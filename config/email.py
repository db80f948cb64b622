"""Where mail goes, from one address: `smtp://user:password@host:587`, `smtps://...`, `console:`."""

from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

BACKEND = "django.core.mail.backends"
CONSOLE = "console:"
EXPECTED = (
    "EMAIL_URL must look like smtp://user:password@mail.example.com:587, "
    "smtps://user:password@mail.example.com:465 or console:, with special characters "
    "percent-encoded."
)
TIMEOUT_SECONDS = 20


def mailer(url: str) -> dict[str, object]:
    """Return Django's default mailer; without an address mail is printed to the console.

    A name and a password are never sent over a plain connection: smtp:// with a user demands
    STARTTLS. Raises ImproperlyConfigured, without repeating the address, which may hold a
    password.
    """
    parts = urlsplit(url or CONSOLE)
    if parts.scheme == "console":
        return {"BACKEND": f"{BACKEND}.console.EmailBackend"}
    try:
        port = parts.port
    except ValueError as error:
        raise ImproperlyConfigured(EXPECTED) from error
    if parts.scheme not in {"smtp", "smtps"} or not parts.hostname or parts.path.strip("/"):
        raise ImproperlyConfigured(EXPECTED)
    is_tls = parts.scheme == "smtps"
    return {
        "BACKEND": f"{BACKEND}.smtp.EmailBackend",
        "OPTIONS": {
            "host": parts.hostname,
            "port": port or (465 if is_tls else 587),
            "username": unquote(parts.username or ""),
            "password": unquote(parts.password or ""),
            "use_ssl": is_tls,
            "use_tls": not is_tls and bool(parts.username),
            "timeout": TIMEOUT_SECONDS,
        },
    }
