"""`manage.py quote [FILE|-]`: price quote documents, one JSON document a line."""

import os
import sys
from argparse import ArgumentParser
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, BinaryIO, override

import msgspec
from django.core.management.base import BaseCommand, CommandError

from billing.rating.errors import PriceError
from billing.rating.quotes import quote

# A decimal literal without quotes keeps its digits; it never becomes a binary number.
_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, InvalidOperation)


class Command(BaseCommand):
    help = (
        "Price quote documents (docs/pricing.md): one JSON document a line in, one result a line "
        "out, in the same order. A line that cannot be priced gives an error object, and the exit "
        "code is 1 after the last line. Needs no database."
    )
    requires_system_checks = ()

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "file", nargs="?", default="-", help="the documents, or - for standard input (default)"
        )

    @override
    def handle(self, *args: Any, file: str, **options: Any) -> None:
        with _opened(file) as documents:
            try:
                failures = self.price_lines(documents)
            except BrokenPipeError:
                # The reader has seen enough; nothing may be flushed to it at exit.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                failures = 1
        if failures:
            sys.exit(1)

    def price_lines(self, lines: Iterable[bytes]) -> int:
        """Write one result for each line that is not blank; return how many were errors."""
        failures = 0
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            result, is_priced = _price(line, number)
            failures += not is_priced
            self.stdout.write(msgspec.json.encode(result).decode())
            # Whoever feeds one line at a time waits for its answer.
            self.stdout.flush()
        return failures


def _opened(file: str) -> BinaryIO:
    try:
        return sys.stdin.buffer if file == "-" else Path(file).open("rb")
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.") from error


def _price(line: bytes, number: int) -> tuple[dict[str, object], bool]:
    """Return the result of a line or its error, and whether it could be priced."""
    try:
        return quote(_DECODER.decode(line)), True
    except PriceError as error:
        return _error("invalid", error.message, error.field, number), False
    except _UNREADABLE as error:
        reason = "a number is too large" if isinstance(error, InvalidOperation) else error
        return _error("invalid_json", f"Write one JSON object a line: {reason}.", "", number), False


def _error(code: str, message: str, field: str, line: int) -> dict[str, object]:
    return {"error": {"code": code, "message": message, "field": field, "line": line}}
