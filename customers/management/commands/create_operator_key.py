"""`manage.py create_operator_key NAME --scope admin`."""

from argparse import ArgumentParser
from typing import Any, override

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from config.errors import DomainError
from customers.principals import Scope
from customers.services import create_api_key


class Command(BaseCommand):
    help = "Make an API key that acts for every customer, and print its secret once."

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="Where the key will be used.")
        parser.add_argument(
            "--scope",
            dest="scopes",
            action="append",
            required=True,
            choices=[scope.value for scope in Scope],
            help="What the key may do; may be given several times. admin includes all others.",
        )

    @override
    def handle(self, *args: Any, name: str, scopes: list[str], **options: Any) -> None:
        try:
            issued = create_api_key(name=name, at=timezone.now(), scopes=scopes)
        except DomainError as error:
            raise CommandError(error.message) from error
        self.stdout.write(issued.secret)
        self.stderr.write("Keep this secret: only its digest is stored, and it is not shown again.")
