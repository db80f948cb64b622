"""Imports of logs, and which of them are being worked on."""

from django.db.models import BooleanField, Case, QuerySet, Value, When
from django.db.models.expressions import RawSQL

from metering.models import LogImport

# Names the lock of a running import, beside its number, among the advisory locks of the database.
LOCK = 702_551_831
IS_HELD = """
    EXISTS (
        SELECT FROM pg_locks l WHERE l.locktype = 'advisory' AND l.granted
            AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND l.classid = %s AND l.objid = metering_logimport.id::oid AND l.objsubid = 2
    )
"""


def imports_with_liveness() -> QuerySet[LogImport]:
    """Return all imports with `is_alive`: whether a process is at work on one that is running.

    One that was killed cannot say so; the next import notes it.
    """
    is_held = When(status=LogImport.Status.RUNNING, then=RawSQL(IS_HELD, [LOCK]))  # noqa: S611
    is_alive = Case(is_held, default=Value(False), output_field=BooleanField())
    return LogImport.objects.annotate(is_alive=is_alive)
