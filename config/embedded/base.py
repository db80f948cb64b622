"""Django's PostgreSQL backend, which starts the embedded server when nothing answers."""

from pathlib import Path
from typing import Any, override

from django.db.backends.postgresql import base
from psycopg import OperationalError

from config.embedded.server import EmbeddedServer


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection to the server whose cluster directory is HOST."""

    @override
    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        server = EmbeddedServer(Path(self.settings_dict["HOST"]).parent)
        server.hold()
        try:
            return super().get_new_connection(conn_params)
        except OperationalError:
            server.ensure_running()
            return super().get_new_connection(conn_params)
