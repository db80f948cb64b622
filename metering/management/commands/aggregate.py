"""`manage.py aggregate`."""

from typing import Any, override

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from config.errors import DomainError
from metering.services.folding import fold_pending


class Command(BaseCommand):
    help = "Fold accepted events into roll-ups, and fill new meters from older events."

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        try:
            folded = fold_pending(at=timezone.now())
        except DomainError as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"Folded {folded} events.")
