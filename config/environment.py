"""Typed reading of environment variables.

Each reader names the variable, what it found and what to write instead: a wrong value stops the
start with that sentence and nothing else.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

TRUE_WORDS = frozenset({"1", "true", "yes", "on"})
FALSE_WORDS = frozenset({"0", "false", "no", "off"})


def read[T](name: str, parse: Callable[[str], T], default: T, *, expected: str) -> T:
    """Return the parsed variable, or `default` when it is unset or empty.

    Raises ImproperlyConfigured with a sentence that says what the variable must hold.
    """
    text = os.environ.get(name, "").strip()
    if not text:
        return default
    try:
        return parse(text)
    except ValueError as error:
        message = f"{name} is {text!r}, but it must be {expected}."
        raise ImproperlyConfigured(message) from error


def text(name: str, default: str = "") -> str:
    return os.environ.get(name, "").strip() or default


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


def items(name: str) -> list[str]:
    """Return a comma-separated variable as a list without blanks."""
    return [item.strip() for item in os.environ.get(name, "").split(",") if item.strip()]


def path(name: str, default: Path) -> Path:
    return read(name, lambda value: Path(value).expanduser().resolve(), default, expected="a path")


def web_address(name: str, default: str) -> str:
    def parse(value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(value)
        return value.rstrip("/")

    expected = "an address that starts with http:// or https:// and names a host"
    return read(name, parse, default, expected=expected)


def color(name: str, default: str) -> str:
    def parse(value: str) -> str:
        if not re.fullmatch(r"#[0-9a-fA-F]{6}", value):
            raise ValueError(value)
        return value.lower()

    return read(name, parse, default, expected="a colour such as #2563eb")


def hosts_for(address: str) -> list[str]:
    """Return the host names a server at `address` answers to."""
    host = urlsplit(address).hostname or "localhost"
    return [host] if host not in {"127.0.0.1", "localhost"} else ["127.0.0.1", "localhost", "[::1]"]
