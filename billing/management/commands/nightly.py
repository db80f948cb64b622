"""`manage.py nightly [--at INSTANT]`."""

from argparse import ArgumentParser
from datetime import datetime
from typing import Any, override

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from billing.models import BillingRun
from billing.services.nightly import run_nightly
from config.errors import DomainError
from config.management.arguments import instant


class Command(BaseCommand):
    help = (
        "Do all that is due: fold usage, draft ended periods, issue drafts past their grace, "
        "push open invoices. Running it again changes nothing."
    )

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--at",
            type=instant,
            help="Work as of this RFC 3339 instant, such as 2026-02-01T03:00:00Z.",
        )

    @override
    def handle(self, *args: Any, at: datetime | None, **options: Any) -> None:
        try:
            run = run_nightly(at=at or timezone.now())
        except DomainError as error:
            raise CommandError(error.message) from error
        self.stdout.write(
            f"As of {run.at.isoformat()}: {run.events_folded} events folded, "
            f"{run.invoices_drafted} invoices drafted, {run.invoices_finalized} issued, "
            f"{run.invoices_pushed} pushed."
        )
        if run.pushes_halted:
            self.stderr.write(run.pushes_halted)
        for failure in run.failures:
            self.stderr.write(", ".join(f"{name}: {value}" for name, value in failure.items()))
        if run.status != BillingRun.Status.COMPLETED:
            raise CommandError(f"{len(run.failures)} failures are listed above; run it again.")
