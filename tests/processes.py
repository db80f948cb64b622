"""Programs of the project beside a test, on its database."""

import os
from urllib.parse import quote

from django.db import connection


def address_of_database() -> str:
    """Return what DATABASE_URL has to say for another process to use the database of the test."""
    database = connection.settings_dict
    host = quote(str(database["HOST"]), safe="")
    return f"postgres://{database['USER']}@/{database['NAME']}?host={host}"


def on_this_database() -> dict[str, str]:
    """Return the variables for a process that works on the database of the test."""
    return unmeasured() | {"DATABASE_URL": address_of_database()}


def unmeasured() -> dict[str, str]:
    """Return the variables for a process whose lines other tests cover: it starts twice as fast."""
    return {name: value for name, value in os.environ.items() if name != "COVERAGE_PROCESS_CONFIG"}
