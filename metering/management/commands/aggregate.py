"""`manage.py aggregate`."""

import logging
import signal
import threading
from argparse import ArgumentTypeError
from contextlib import ExitStack
from types import FrameType
from typing import Any, override

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, close_old_connections
from django.utils import timezone

from config.errors import DomainError
from metering.services.folding import fold_pending

PAUSE_SECONDS = 2
LONGEST_PAUSE = 60
logger = logging.getLogger(__name__)


def pause(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= LONGEST_PAUSE:
        raise ArgumentTypeError(f"a whole number of seconds from 1 to {LONGEST_PAUSE}")
    return int(text)


class Command(BaseCommand):
    help = (
        "Fold accepted events into roll-ups, and fill new meters from older events: once, or with "
        "--follow again and again until SIGTERM or Ctrl-C."
    )

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--follow", action="store_true", help="go on until told to stop")
        parser.add_argument(
            "--pause",
            type=pause,
            default=PAUSE_SECONDS,
            metavar="SECONDS",
            help=f"between two rounds of --follow (default: {PAUSE_SECONDS})",
        )

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        if options["follow"]:
            follow(options["pause"])
            return
        try:
            folded = fold_pending(at=timezone.now())
        except DomainError as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"Folded {folded} events.")


def follow(seconds: int) -> None:
    """Fold in rounds. What a round could not fold, and a database that is away, wait for the next."""
    is_stopping = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        is_stopping.set()

    with ExitStack() as stack:
        for number in (signal.SIGTERM, signal.SIGINT):
            stack.callback(signal.signal, number, signal.signal(number, stop))
        while not is_stopping.is_set():
            close_old_connections()
            fold_round()
            is_stopping.wait(seconds)


def fold_round() -> None:
    try:
        fold_pending(at=timezone.now())
    except DomainError as error:
        logger.warning(error.message)
    except DatabaseError:
        logger.exception("The database did not let the aggregator work; it tries again.")
