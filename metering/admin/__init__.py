"""The admin of usage.

Events, their keys, pending batches and roll-ups have composite primary keys, which Django's admin
cannot register, and hold more rows than a list may count. Staff read them a customer at a time on
pages of their own: `metering.admin.events` and `metering.admin.usage`.
"""

from metering.admin import (
    archive,
    backfill,
    corrections,
    daily,
    events,
    imports,
    ingest,
    log_trial,
    meters,
    usage,
)

__all__ = [
    "archive",
    "backfill",
    "corrections",
    "daily",
    "events",
    "imports",
    "ingest",
    "log_trial",
    "meters",
    "usage",
]
