"""`manage.py serve`: the web server, the background worker and the aggregator, together."""

import os
import socket
import sys
from typing import Any, override

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection, connections
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from config.processes import Program, run_together
from config.schedules import setup_schedules
from config.static import collect_if_changed

# Each thread keeps a database connection open.
THREADS_PER_WORKER = 4
STOP_SECONDS = 10


class Command(BaseCommand):
    help = "Run web server, background worker and aggregator together until SIGTERM or Ctrl-C."

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
        parser.add_argument("--port", type=int, default=settings.PORT)
        parser.add_argument(
            "--web-workers", type=int, default=2, help="processes of the web server"
        )

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        host, port = options["host"], options["port"]
        refuse_pending_migrations()
        refuse_taken_port(host, port)
        if collect_if_changed():
            self.stdout.write("Collected the static files.")
        setup_schedules(at=timezone.now())
        connections.close_all()
        ending = run_together(
            [
                Program("web", web_server(host, port, options["web_workers"])),
                Program("worker", [sys.executable, manage_py(), "qcluster"]),
                Program("aggregator", [sys.executable, manage_py(), "aggregate", "--follow"]),
            ],
            environment=os.environ | {"PORT": str(port)},
        )
        if ending.crashed:
            raise CommandError(
                f"The {ending.crashed} process ended by itself with exit code {ending.exit_code}, "
                "so the others were stopped too; the lines above say why. Start again, or let a "
                "service manager do it."
            )


def web_server(host: str, port: int, workers: int) -> list[str]:
    return [
        sys.executable, "-m", "granian", "--interface", "wsgi",
        "--host", host, "--port", str(port), "--workers", str(workers),
        "--blocking-threads", str(THREADS_PER_WORKER), "--respawn-failed-workers", "--no-ws",
        "--workers-kill-timeout", str(STOP_SECONDS), "--working-dir", str(settings.BASE_DIR),
        "config.wsgi:application",
    ]  # fmt: skip


def manage_py() -> str:
    return str(settings.BASE_DIR / "manage.py")


def refuse_pending_migrations() -> None:
    executor = MigrationExecutor(connection)
    pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if pending:
        raise CommandError(
            f"The database lacks {len(pending)} migrations. Run: python manage.py migrate"
        )


def refuse_taken_port(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CommandError(
                f"Cannot listen on {host}:{port} ({error.strerror}). Choose another --port."
            ) from error
