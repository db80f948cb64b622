"""`manage.py detach_events --before DATE [--to FOLDER] [--dry-run] [--force]`."""

from argparse import ArgumentParser, ArgumentTypeError
from datetime import date, datetime
from pathlib import Path
from typing import Any, override

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from config.errors import DomainError
from config.management.arguments import instant
from metering.services.archiving import Detached, detach_events


def day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is no date: write one such as 2025-01-01.") from error


class Command(BaseCommand):
    help = (
        "Archive old months of events to gzip-compressed CSV files with manifests, and take them "
        "out of the database. Ids stay known and roll-ups go on answering; restore_events brings "
        "a month back. A run that was killed is finished by the next."
    )

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--before",
            type=day,
            required=True,
            metavar="DATE",
            help="Archive the months of UTC that end by this day.",
        )
        parser.add_argument(
            "--to",
            type=Path,
            default=settings.DATA_DIR / "archive",
            metavar="FOLDER",
            help="Where the files go (default: archive in the data directory).",
        )
        parser.add_argument("--dry-run", action="store_true", help="Only say what would be done.")
        parser.add_argument(
            "--force", action="store_true", help="Take months that late usage may still need."
        )
        parser.add_argument("--at", type=instant, help="Work as of this RFC 3339 instant.")

    @override
    def handle(
        self, *args: Any, before: date, to: Path, at: datetime | None, **options: Any
    ) -> None:
        count = 0
        try:
            for month in detach_events(
                before=before,
                folder=to,
                at=at or timezone.now(),
                force=options["force"],
                is_dry_run=options["dry_run"],
            ):
                count += 1
                self.stdout.write(sentence(month, is_dry_run=options["dry_run"]))
        except DomainError as error:
            raise CommandError(error.message) from error
        if not count:
            self.stdout.write(f"No month of events ends by {before}.")


def sentence(month: Detached, *, is_dry_run: bool) -> str:
    if month.left:
        return f"{month.partition}: left as it is, {month.left}."
    if is_dry_run:
        return f"{month.partition}: {month.rows} events would be archived."
    return f"{month.partition}: {month.rows} events are in {month.manifest}."
