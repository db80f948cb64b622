"""`manage.py restore_events MANIFEST`.

A command of its own: it takes a file where detach_events takes a date, and what turns a command
into its opposite should not be an option that one may forget.
"""

from argparse import ArgumentParser
from datetime import datetime
from pathlib import Path
from typing import Any, override

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from config.errors import DomainError
from config.management.arguments import instant
from metering.services.restoring import restore_events


class Command(BaseCommand):
    help = (
        "Bring a month of events back that detach_events archived. Refuses a file that is not the "
        "one that was archived; a month that is there already is left as it is."
    )

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("manifest", type=Path, help="The JSON file beside the month's own.")
        parser.add_argument("--at", type=instant, help="Work as of this RFC 3339 instant.")

    @override
    def handle(self, *args: Any, manifest: Path, at: datetime | None, **options: Any) -> None:
        try:
            rows = restore_events(path=manifest, at=at or timezone.now())
        except DomainError as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"{rows} events are back.")
