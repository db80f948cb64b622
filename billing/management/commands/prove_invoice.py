"""`manage.py prove_invoice NUMBER`."""

from argparse import ArgumentParser
from typing import Any, override

from django.core.management.base import BaseCommand, CommandError

from billing.services.proving import prove_document
from config.errors import NotFoundError


class Command(BaseCommand):
    help = (
        "Prove an issued invoice or credit note: work every line out once more from the raw "
        "events that it had seen. Every difference is named, and the exit status is 1 if there "
        "is one."
    )

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("number", metavar="NUMBER", help="Such as INV-000001.")

    @override
    def handle(self, *args: Any, number: str, **options: Any) -> None:
        try:
            proof = prove_document(number=number)
        except NotFoundError as error:
            raise CommandError(error.message) from error
        for difference in proof.differences:
            self.stdout.write(str(difference))
        if proof.differences:
            raise CommandError(f"{number} is not what it was made of, see above.")
        self.stdout.write(
            f"{number} is proved: {proof.lines} lines, {proof.metered} of them counted again "
            "from raw events."
        )
