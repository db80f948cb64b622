"""How commands read their arguments."""

from argparse import ArgumentTypeError
from datetime import UTC, datetime


def instant(text: str) -> datetime:
    """Return an RFC 3339 instant in UTC, as the `type` of an argument."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError(
            f"{text!r} is no instant: write one such as 2026-02-01T03:00:00Z."
        ) from error
    if at.tzinfo is None:
        raise ArgumentTypeError(f"{text!r} has no offset: write {text}Z or {text}+01:00.")
    return at.astimezone(UTC)
