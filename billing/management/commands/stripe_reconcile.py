"""`manage.py stripe_reconcile [--at INSTANT] [--since INSTANT]`."""

from argparse import ArgumentParser
from datetime import datetime
from typing import Any, override

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from billing.gateways.stripe import gateway_from_settings
from billing.services.stripe_reconcile import reconcile_stripe
from config.errors import DomainError
from config.management.arguments import instant


class Command(BaseCommand):
    help = (
        "Compare our invoices with Stripe's. Statuses are brought up to date, money is never "
        "touched; every difference is printed, and the exit status is 1 if there is one."
    )

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--at", type=instant, help="Compare as of this RFC 3339 instant.")
        parser.add_argument(
            "--since",
            type=instant,
            help="Compare what Stripe made since then (default: the oldest that is not settled).",
        )

    @override
    def handle(
        self, *args: Any, at: datetime | None, since: datetime | None, **options: Any
    ) -> None:
        try:
            report = reconcile_stripe(
                gateway=gateway_from_settings(), at=at or timezone.now(), since=since
            )
        except DomainError as error:
            raise CommandError(error.message) from error
        for each in report.differences:
            self.stdout.write(f"{each['kind']}: {each['message']}")
        self.stdout.write(
            f"{report.invoices_compared} invoices of Stripe's compared, "
            f"{report.statuses_repaired} statuses repaired, "
            f"{report.events_recovered} missed events fetched, "
            f"{len(report.differences)} differences."
        )
        if not report.is_clean:
            raise CommandError(
                report.halted or f"{len(report.differences)} differences, see above."
            )
