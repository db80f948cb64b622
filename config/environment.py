"""Typed reading of environment variables.

Each reader names the variable, what it found and what to write instead: a wrong value stops the
start with that sentence and nothing else. The value of a secret is never repeated.
"""

import hashlib
import os
import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.validators import validate_email

TRUE_WORDS = frozenset({"1", "true", "yes", "on"})
FALSE_WORDS = frozenset({"0", "false", "no", "off"})
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def read[T](
    name: str,
    parse: Callable[[str], T],
    default: T,
    *,
    expected: str,
    is_secret: bool = False,
) -> T:
    """Return the parsed variable, or `default` when it is unset or empty.

    Raises ImproperlyConfigured with a sentence that says what the variable must hold.
    """
    found = text(name)
    if not found:
        return default
    try:
        return parse(found)
    except ValueError as error:
        shown = "set" if is_secret else repr(found)
        raise ImproperlyConfigured(f"{name} is {shown}, but it must be {expected}.") from error


def text(name: str, default: str = "") -> str:
    return os.environ.get(name, "").strip() or default


def lines(name: str) -> list[str]:
    """Return the lines of a text, which `|` stands between."""
    return [line.strip() for line in text(name).split("|") if line.strip()]


def matching(name: str, pattern: str, *, expected: str) -> str:
    """Return a secret that matches `pattern` from end to end, or nothing."""

    def parse(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(name)
        return value

    return read(name, parse, "", expected=expected, is_secret=True)


def matching_items(name: str, pattern: str, *, expected: str) -> list[str]:
    """Return a comma-separated list of secrets that all match `pattern`."""

    def parse(value: str) -> list[str]:
        found = split(value)
        if not all(re.fullmatch(pattern, item) for item in found):
            raise ValueError(name)
        return found

    return read(name, parse, [], expected=expected, is_secret=True)


def boolean(name: str, *, default: bool) -> bool:
    def parse(value: str) -> bool:
        if value.lower() in TRUE_WORDS | FALSE_WORDS:
            return value.lower() in TRUE_WORDS
        raise ValueError(value)

    return read(name, parse, default, expected="one of true, false, 1, 0, yes, no, on, off")


def integer(name: str, default: int, *, minimum: int, maximum: int) -> int:
    def parse(value: str) -> int:
        number = int(value)
        if not minimum <= number <= maximum:
            raise ValueError(value)
        return number

    expected = f"a whole number from {minimum} to {maximum}"
    return read(name, parse, default, expected=expected)


def choice(name: str, default: str, options: tuple[str, ...]) -> str:
    def parse(value: str) -> str:
        if value not in options:
            raise ValueError(value)
        return value

    return read(name, parse, default, expected=" or ".join(options))


def choices(name: str, options: tuple[str, ...], *, nothing: str = "none") -> tuple[str, ...]:
    """Return the options that are named with commas between them; all if the variable is not set."""

    def parse(value: str) -> tuple[str, ...]:
        named = split(value)
        if named == [nothing]:
            return ()
        if not named or not {*named} <= {*options}:
            raise ValueError(value)
        return tuple(option for option in options if option in named)

    expected = f"{nothing}, or some of {', '.join(options)} with commas between them"
    return read(name, parse, options, expected=expected)


def whole_numbers(
    name: str, default: tuple[int, ...], *, minimum: int, maximum: int, nothing: str = "none"
) -> tuple[int, ...]:
    """Return whole numbers that are written with commas between them, in ascending order."""

    def parse(value: str) -> tuple[int, ...]:
        numbers = [] if value == nothing else [int(item) for item in split(value)]
        if value != nothing and not numbers:
            raise ValueError(value)
        if any(not minimum <= number <= maximum for number in numbers):
            raise ValueError(value)
        return tuple(sorted({*numbers}))

    expected = f"{nothing}, or whole numbers from {minimum} to {maximum} with commas between them"
    return read(name, parse, default, expected=expected)


def integer_or_nothing(
    name: str, default: int | None, *, minimum: int, maximum: int, nothing: str = "none"
) -> int | None:
    def parse(value: str) -> int | None:
        if value == nothing:
            return None
        number = int(value)
        if not minimum <= number <= maximum:
            raise ValueError(value)
        return number

    return read(name, parse, default, expected=f"{nothing}, or from {minimum} to {maximum}")


def amount(name: str, default: str) -> Decimal:
    """Return an amount of money that is not negative, exactly as it is written."""

    def parse(value: str) -> Decimal:
        if not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,4})?", value):
            raise ValueError(value)
        return Decimal(value)

    expected = "an amount of money such as 0.50"
    return read(name, parse, Decimal(default), expected=expected)


def amounts_by_currency(name: str) -> dict[str, Decimal]:
    """Return a comma-separated list of amounts such as `DKK=4`, by their currency."""

    def parse(value: str) -> dict[str, Decimal]:
        found = [
            re.fullmatch(r"([A-Z]{3})=([0-9]{1,12}(?:\.[0-9]{1,4})?)", each)
            for each in split(value)
        ]
        if not all(found):
            raise ValueError(value)
        return {each[1]: Decimal(each[2]) for each in found if each}

    return read(name, parse, {}, expected="amounts by currency such as DKK=4,ISK=80")


def instant(name: str) -> datetime | None:
    """Return an instant with its offset, nothing if the variable is not set."""

    def parse(value: str) -> datetime:
        found = datetime.fromisoformat(value)
        if found.tzinfo is None:
            raise ValueError(value)
        return found

    return read(name, parse, None, expected="an instant such as 2026-12-01T00:00:00Z")


def items(name: str) -> list[str]:
    """Return a comma-separated variable as a list without blanks."""
    return split(text(name))


def path(name: str, default: Path) -> Path:
    return read(name, lambda value: Path(value).expanduser().resolve(), default, expected="a path")


def web_address(name: str, default: str) -> str:
    """Return the address of a server: scheme, host and port, without a path."""

    def parse(value: str) -> str:
        parts = urlsplit(value.rstrip("/"))
        is_bare = not (parts.path or parts.query or parts.fragment or parts.username)
        if parts.scheme not in {"http", "https"} or not parts.hostname or not is_bare:
            raise ValueError(value)
        # Reading the port is what checks it.
        return value.rstrip("/") if parts.port is None or parts.port > 0 else ""

    expected = "an address such as https://billing.example.com, without a path"
    return read(name, parse, default, expected=expected)


def image_address(name: str) -> str:
    def parse(value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme != "https" or not parts.hostname or not parts.path.strip("/"):
            raise ValueError(value)
        return value

    expected = "the https:// address of an image"
    return read(name, parse, "", expected=expected)


def error_tracker(name: str) -> str:
    """Return the DSN of a Sentry project; it is never repeated, since it lets anybody report."""
    value = text(name)
    parts = urlsplit(value)
    is_dsn = parts.username and parts.hostname and parts.path.strip("/").isdecimal()
    if value and not (parts.scheme in {"http", "https"} and is_dsn):
        message = (
            f"{name} is set, but it must be the DSN of a Sentry project, such as "
            "https://key@sentry.example.com/1."
        )
        raise ImproperlyConfigured(message)
    return value


def email_address(name: str, default: str) -> str:
    def parse(value: str) -> str:
        try:
            validate_email(value)
        except ValidationError as error:
            raise ValueError(value) from error
        return value

    return read(name, parse, default, expected="an e-mail address such as billing@example.com")


def color(name: str, default: str) -> str:
    def parse(value: str) -> str:
        if not re.fullmatch(r"#[0-9a-fA-F]{6}", value):
            raise ValueError(value)
        return value.lower()

    return read(name, parse, default, expected="a colour such as #2563eb")


def number_prefix(name: str, default: str) -> str:
    """Return what document numbers begin with. A letter first: digits alone are an id."""

    def parse(value: str) -> str:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,19}", value):
            raise ValueError(value)
        return value

    expected = "1 to 20 letters, digits or hyphens that begin with a letter, such as INV-"
    return read(name, parse, default, expected=expected)


def split(value: str) -> list[str]:
    return [item.strip() for item in value.split(",") if item.strip()]


def is_loopback(address: str) -> bool:
    """Tell whether a server at `address` can only be reached from its own machine."""
    return urlsplit(address).hostname in LOOPBACK


def hosts_for(address: str) -> list[str]:
    """Return the host names a server at `address` answers to."""
    if is_loopback(address):
        return ["127.0.0.1", "localhost", "[::1]"]
    return [urlsplit(address).hostname or ""]


def installation_name(address: str, *, secret_key: str) -> str:
    """Return what tells this installation from others that share an account elsewhere.

    A public server is named by its host. On somebody's own machine the host says nothing, so a
    digest of the secret key, which is made anew with the data directory, is added.
    """
    host = urlsplit(address).hostname or "localhost"
    if not is_loopback(address):
        return host
    return f"{host}-{hashlib.sha256(secret_key.encode()).hexdigest()[:8]}"
