"""`manage.py send_emails [--at INSTANT]`."""

from argparse import ArgumentParser
from datetime import datetime
from typing import Any, override

from django.core.management.base import BaseCommand
from django.utils import timezone

from billing.services.emails import send_due_emails
from config.management.arguments import instant


class Command(BaseCommand):
    help = "Send the e-mails to customers that wait to be sent; the worker does it every minute."

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--at",
            type=instant,
            help="Work as of this RFC 3339 instant, such as 2026-02-01T03:00:00Z.",
        )

    @override
    def handle(self, *args: Any, at: datetime | None, **options: Any) -> None:
        count = send_due_emails(at=at or timezone.now())
        self.stdout.write(f"{count} e-mails sent.")
