"""`manage.py seed_demo`: half a year of the demo company, made once."""

import logging
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, override

from django.core.management.base import BaseCommand
from django.utils import timezone

from demo import launch, seeding


class Command(BaseCommand):
    help = "Make the demo company's customers, usage, invoices and payments; nothing if they exist."

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--sandbox-port", type=int, default=launch.SANDBOX_PORT)
        parser.add_argument("--state", type=Path, required=True, help="The sandbox's own file.")
        parser.add_argument("--months", type=int, default=seeding.MONTHS)

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        if seeding.is_complete():
            return
        logging.getLogger("django-q").setLevel(logging.WARNING)
        seeding.clear()
        seeding.seed(
            until=timezone.now(),
            months=options["months"],
            sandbox_port=options["sandbox_port"],
            sandbox_state=options["state"],
        )
