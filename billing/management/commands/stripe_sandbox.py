"""`manage.py stripe_sandbox`: a Stripe-compatible server on this machine."""

import signal
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, Never, override

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from billing.sandbox.server import StripeSandbox
from billing.services.stripe_events import SUBSCRIBED_EVENTS

STATE_FILE = "stripe-sandbox.jsonl"
WEBHOOK_PATH = "/webhooks/stripe/"


class Command(BaseCommand):
    help = "Run a Stripe-compatible server on 127.0.0.1 for trying things out; no real money."
    requires_system_checks = []

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=12111)
        parser.add_argument(
            "--webhook-url",
            default=settings.BASE_URL + WEBHOOK_PATH,
            help="Where signed webhooks are posted (default: %(default)s).",
        )
        parser.add_argument(
            "--webhook-secret",
            default=next(iter(settings.STRIPE_WEBHOOK_SECRETS), ""),
            help="What they are signed with (default: the first of STRIPE_WEBHOOK_SECRET).",
        )
        parser.add_argument(
            "--state",
            type=Path,
            default=settings.DATA_DIR / STATE_FILE,
            help="The file that keeps customers and invoices (default: %(default)s).",
        )
        parser.add_argument("--log", type=Path, help="A file for every request, as lines of JSON.")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        sandbox = self.sandbox(options)
        signal.signal(signal.SIGTERM, leave)
        if options["webhook_secret"]:
            sandbox.add_endpoint(
                options["webhook_url"], options["webhook_secret"], list(SUBSCRIBED_EVENTS)
            )
        self.stdout.write(f"Stripe sandbox on {sandbox.url}; its invoices are listed there.")
        self.stdout.write(f"Use it with STRIPE_API_BASE={sandbox.url} and any sk_test_ key.")
        if not options["webhook_secret"]:
            self.stdout.write("No webhooks: give --webhook-secret or set STRIPE_WEBHOOK_SECRET.")
        self.stdout.flush()
        try:
            sandbox.serve()
        except KeyboardInterrupt:
            self.stdout.write("Stopped.")

    def sandbox(self, options: dict[str, Any]) -> StripeSandbox:
        try:
            return StripeSandbox(port=options["port"], state=options["state"], log=options["log"])
        except BlockingIOError as error:
            raise CommandError(
                f"Another sandbox keeps its state in {options['state']}: stop it, or give --state."
            ) from error
        except OSError as error:
            raise CommandError(
                f"Port {options['port']} cannot be used ({error.strerror}): give another --port."
            ) from error


def leave(*_: object) -> Never:
    raise KeyboardInterrupt
