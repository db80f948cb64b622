"""The tables that grow with events.

They keep the rules that let PostgreSQL be replaced by distributed PostgreSQL without a change of
code: `customer_id` leads every key and is named by every statement of the request path, and no
foreign key crosses to the ordinary tables. `tests/citus` proves both.
"""

EVENT = "metering_event"
EVENT_KEY = "metering_eventkey"
PENDING_BATCH = "metering_pendingbatch"
PENDING_CORRECTION = "metering_pendingcorrection"
CHANGED_DAY = "metering_changedday"
DAILY_TOTAL = "metering_dailytotal"
ARCHIVED_USAGE = "metering_archivedusage"
USAGE_BUCKET = "metering_usagebucket"
USAGE_LAYOUT = "metering_usagelayout"
USAGE_MEMBERS = "metering_usagemembers"

EVENT_TABLES = (
    EVENT,
    EVENT_KEY,
    PENDING_BATCH,
    PENDING_CORRECTION,
    CHANGED_DAY,
    DAILY_TOTAL,
    ARCHIVED_USAGE,
    USAGE_BUCKET,
    USAGE_LAYOUT,
    USAGE_MEMBERS,
)
