"""`manage.py demo`: a made-up company with half a year of usage, invoices and payments, served."""

import os
import sys
from argparse import ArgumentParser
from typing import Any, override

from django.conf import settings
from django.core.management.base import BaseCommand

from demo import launch, seeding


class Command(BaseCommand):
    help = (
        "Serve a made-up company on this machine: made on the first start, kept afterwards. "
        "Invoices go to a Stripe sandbox on loopback."
    )

    # Its own settings say nothing about the servers it starts, which are checked as they start.
    requires_system_checks: list[str] = []

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=settings.PORT)
        parser.add_argument("--sandbox-port", type=int, default=launch.SANDBOX_PORT)
        parser.add_argument("--months", type=int, default=seeding.MONTHS, help="How far back.")
        parser.add_argument("--no-serve", action="store_true", help="Make the data and stop.")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        launch.run(
            manage=[sys.executable, str(settings.BASE_DIR / "manage.py")],
            environment=dict(os.environ),
            data_dir=settings.DATA_DIR,
            port=options["port"],
            sandbox_port=options["sandbox_port"],
            months=options["months"],
            is_serving=not options["no_serve"],
            say=self.say,
        )

    def say(self, message: str) -> None:
        self.stdout.write(message)
        # At once, also into a pipe: the servers run on.
        self.stdout.flush()
