"""`manage.py delete_database`: remove the embedded database to start over."""

from typing import Any, override

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.embedded.server import EmbeddedServer


class Command(BaseCommand):
    help = "Delete the embedded database and all that is in it. A database of your own is safe."

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--yes", action="store_true", help="confirm")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        if settings.DATABASES["default"]["ENGINE"] != "config.embedded":
            raise CommandError("DATABASE_URL is set: only the embedded database can be deleted.")
        server = EmbeddedServer(settings.DATA_DIR)
        if not options["yes"]:
            raise CommandError(f"This deletes everything in {server.cluster_dir}. Add --yes.")
        try:
            server.delete()
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Deleted {server.cluster_dir}.")
