"""Programs of the project beside a test, on its database."""

from urllib.parse import quote

from django.db import connection


def address_of_database() -> str:
    """Return what DATABASE_URL has to say for another process to use the database of the test."""
    database = connection.settings_dict
    host = quote(str(database["HOST"]), safe="")
    return f"postgres://{database['USER']}@/{database['NAME']}?host={host}"
