"""Where the data lives: `DATABASE_URL`, or the embedded PostgreSQL under the data directory."""

from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured
from psycopg import ProgrammingError, conninfo

from config.embedded.server import DATABASE, SUPERUSER, EmbeddedServer

EXPECTED = (
    "DATABASE_URL must look like postgres://user:password@host:5432/database, with special "
    "characters percent-encoded."
)
COMMON = {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}


def settings_for(url: str, data_dir: Path) -> dict[str, object]:
    """Return Django's settings for the database at `url`, or for the embedded one.

    Nothing is started or connected to. Raises ImproperlyConfigured for an unusable address,
    without repeating it: it may hold a password.
    """
    return from_url(url) if url else embedded(data_dir)


def from_url(url: str) -> dict[str, object]:
    parts = urlsplit(url)
    name = unquote(parts.path.strip("/"))
    if parts.scheme not in {"postgres", "postgresql"} or not name or "/" in name:
        raise ImproperlyConfigured(EXPECTED)
    options = connection_options(parts)
    return COMMON | {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": options.pop("host", unquote(parts.hostname or "")),
        "PORT": options.pop("port", port_of(parts)),
        "OPTIONS": options,
    }


def port_of(parts: SplitResult) -> str:
    try:
        return str(parts.port or "")
    except ValueError as error:
        raise ImproperlyConfigured(f"{EXPECTED} Its port is not a number up to 65535.") from error


def connection_options(parts: SplitResult) -> dict[str, str]:
    """Return the address's `?sslmode=require&...`, all of them known to libpq."""
    options = dict(parse_qsl(parts.query))
    try:
        conninfo.make_conninfo("", **options)
    except ProgrammingError as error:
        reason = str(error).strip()
        raise ImproperlyConfigured(
            f"DATABASE_URL ends with an option that PostgreSQL does not know ({reason}). "
            "Known ones are sslmode, connect_timeout and the others of libpq."
        ) from error
    return options


def embedded(data_dir: Path) -> dict[str, object]:
    return COMMON | {
        "ENGINE": "config.embedded",
        "NAME": DATABASE,
        "USER": SUPERUSER,
        "HOST": str(EmbeddedServer(data_dir).cluster_dir),
    }
