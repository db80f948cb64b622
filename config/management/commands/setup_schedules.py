"""`manage.py setup_schedules`: create the recurring background tasks; run it as often as you like."""

from typing import Any, override

from django.core.management.base import BaseCommand
from django.utils import timezone

from config.schedules import RECURRING, setup_schedules


class Command(BaseCommand):
    help = "Create the recurring background tasks that are missing; the admin shows them all."

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        created = setup_schedules(at=timezone.now())
        for recurring in RECURRING:
            state = "created" if recurring.name in created else "kept"
            self.stdout.write(f"{state}: {recurring.name} ({recurring.task})")
