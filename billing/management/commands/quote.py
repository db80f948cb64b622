"""`manage.py quote [FILE|-]`: price quote documents, one JSON document a line."""

import os
import sys
from argparse import ArgumentParser
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO, override

import msgspec
from django.core.management.base import BaseCommand, CommandError

from billing.services.quotes import price_lines


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
                failures = self.answer(documents)
            except BrokenPipeError:
                # The reader has seen enough; nothing may be flushed to it at exit.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                failures = 1
        if failures:
            sys.exit(1)

    def answer(self, lines: Iterable[bytes]) -> int:
        """Write one result for each line that is not blank; return how many were errors."""
        failures = 0
        for result in price_lines(lines=lines):
            failures += "error" in result
            self.stdout.write(msgspec.json.encode(result).decode())
            # Whoever feeds one line at a time waits for its answer.
            self.stdout.flush()
        return failures


def _opened(file: str) -> BinaryIO:
    try:
        return sys.stdin.buffer if file == "-" else Path(file).open("rb")
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.") from error
