"""`manage.py verify_usage [--customer KEY]`."""

from argparse import ArgumentParser
from typing import Any, override

from django.core.management.base import BaseCommand, CommandError

from customers.models import Customer
from metering.services.verification import verify_usage


class Command(BaseCommand):
    help = (
        "Prove that roll-ups equal a fresh aggregation of the raw events; otherwise name every "
        "difference and exit with 1."
    )

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--customer", metavar="KEY", help="Look at this customer alone.")

    @override
    def handle(self, *args: Any, customer: str | None, **options: Any) -> None:
        chosen = None if customer is None else Customer.objects.filter(key=customer).first()
        if customer is not None and chosen is None:
            raise CommandError(f"There is no customer {customer!r}.")
        count = 0
        for difference in verify_usage(customer=chosen):
            count += 1
            self.stdout.write(str(difference))
        if count:
            raise CommandError(f"{count} rows of the roll-ups differ from the events.")
        self.stdout.write("The roll-ups equal the events.")
