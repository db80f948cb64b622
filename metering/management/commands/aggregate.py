"""`manage.py aggregate`."""

from typing import Any, override

from django.core.management.base import BaseCommand
from django.utils import timezone

from metering.services.folding import fold_pending


class Command(BaseCommand):
    help = "Fold accepted events into roll-ups, and fill new meters from older events."

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        folded = fold_pending(at=timezone.now())
        self.stdout.write(f"Folded {folded} events.")
