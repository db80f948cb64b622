"""`manage.py import_log FILE --mapping FILE`: bill from an access log."""

import os
import signal
import threading
from argparse import ArgumentParser
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, override

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

from config.errors import DomainError
from config.management.arguments import instant
from metering.models.imports import COUNTS
from metering.selectors.customers import keys_by_id
from metering.services.log_following import follow_log
from metering.services.log_formats import AUTOMATIC, REGISTRY
from metering.services.log_import import ImportRun, import_log
from metering.services.log_lines import STANDARD_INPUT
from metering.services.log_mapping import parse_mapping

# Starting a process takes as long as importing a few megabytes.
SMALL_BYTES = 16 * 1024 * 1024
POLL_SECONDS = 1


class Command(BaseCommand):
    help = (
        "Count every request in an access log as an event. Importing a file again, or one that "
        "overlaps it, counts nothing twice."
    )

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="the log; - is the standard input")
        parser.add_argument("--mapping", type=Path, required=True, help="what its lines mean")
        parser.add_argument(
            "--format",
            default=AUTOMATIC,
            help=f"{', '.join(REGISTRY)}, an nginx log_format string or, by default, {AUTOMATIC}: "
            "found out from the file",
        )
        parser.add_argument(
            "--workers",
            type=int,
            help="processes that store the lines; by default as many as the machine has "
            "processors, and none for small files",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="store nothing, say what would count for whom"
        )
        parser.add_argument(
            "--follow",
            action="store_true",
            help="go on with what is written to the log, through its rotations, until stopped",
        )
        parser.add_argument(
            "--at", type=instant, help="the instant of the import, such as 2026-02-01T03:00:00Z"
        )

    @override
    def handle(self, *args: Any, at: datetime | None, **options: Any) -> None:
        path: Path = options["file"]
        clock = timezone.now if at is None else lambda: at
        try:
            if options["follow"]:
                self.follow(path, clock, options)
                return
            with self.progress_bar(path) as progress:
                task = progress.add_task(path.name, total=size_of(path))
                run = import_log(
                    path=path,
                    format_key=options["format"],
                    mapping=parse_mapping(options["mapping"].read_text()),
                    clock=clock,
                    is_dry_run=options["dry_run"],
                    workers=workers_for(path, options["workers"]),
                    on_progress=lambda size: progress.advance(task, size),
                )
        except DomainError as error:
            raise CommandError(error.message) from error
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"A file cannot be read: {error}.") from error
        self.report(run)

    def follow(self, path: Path, clock: Callable[[], datetime], options: dict[str, Any]) -> None:
        """Follow a log until SIGTERM or SIGINT arrives."""
        if options["dry_run"]:
            raise CommandError("--follow and --dry-run exclude each other; try the log as it is.")
        is_stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: is_stopping.set())
        self.stdout.write(f"Following {path}; stop it at any time.")
        follow_log(
            path=path,
            format_key=options["format"],
            mapping=parse_mapping(options["mapping"].read_text()),
            clock=clock,
            wait=lambda: not is_stopping.wait(POLL_SECONDS),
        )
        self.stdout.write("Stopped; start it again to go on.")

    def progress_bar(self, path: Path) -> Progress:
        columns = ("[progress.description]{task.description}", BarColumn(), DownloadColumn(),
                   TimeRemainingColumn())  # fmt: skip
        is_shown = self.stdout.isatty()
        return Progress(*columns, console=Console(stderr=True), disable=not is_shown)

    def report(self, run: ImportRun) -> None:
        log_import = run.log_import
        self.stdout.write(f"{log_import.name}, format {log_import.format}:")
        if run.bytes_done_before:
            self.stdout.write(
                f"Went on at byte {run.bytes_done_before:,}, where it had broken off."
            )
        for name, words in COUNTS.items():
            number = getattr(log_import, name)
            if number or name in {"lines", "accepted"}:
                self.stdout.write(f"{number:>12,} {words}")
        for key, number in self.by_customer(run):
            self.stdout.write(f"Customer {key}: {number:,}")
        for kept in run.examples:
            self.stdout.write(f"Line {kept.number}: {kept.reason}")
        if run.is_dry_run:
            self.stdout.write("This was a dry run; nothing was stored.")

    def by_customer(self, run: ImportRun) -> list[tuple[str, int]]:
        keys = keys_by_id(run.customers)
        return [(keys[customer_id], number) for customer_id, number in run.customers.most_common()]


def size_of(path: Path) -> int | None:
    """Return how many bytes will be read, or None where that cannot be told."""
    return path.stat().st_size if path.is_file() and path.suffix != ".gz" else None


def workers_for(path: Path, wanted: int | None) -> int:
    """Return how many processes to start; a small file is done before they are there."""
    if wanted is not None:
        return max(0, wanted)
    is_small = path.is_file() and path.stat().st_size < SMALL_BYTES
    return 0 if is_small or path == STANDARD_INPUT else os.cpu_count() or 1
