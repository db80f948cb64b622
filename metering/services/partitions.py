"""Monthly partitions of the event table, made before events need them.

Events of a month without a partition land in the default one; they move when the month's own is
made, so nothing is ever refused for lack of a partition.
"""

import time
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime

from django.db import OperationalError, connection, transaction
from django.db.backends.utils import CursorWrapper
from psycopg.errors import LockNotAvailable

from metering.selectors.months import waiting_months
from metering.windows import next_month

MONTHS_AHEAD = 3
# Bounds what one backfill with wild timestamps makes: planning takes longer with each partition.
MOST_MONTHS = 36
ATTEMPTS = 10
PAUSE_SECONDS = 0.2
# Whoever waits for a lock makes everybody behind wait too, so it is given up soon.
LOCK_TIMEOUT = "500ms"
# Names this work among the advisory locks of the database; any number that nothing else uses.
ADVISORY_LOCK = 7_025_518_301

# Writers wait from the start: one that had chosen the default partition for an event and then
# waited for it would find that it no longer takes that event. Readers wait for the last step alone.
MAKE_PARTITION = """
    LOCK TABLE ONLY metering_event, metering_event_default IN SHARE ROW EXCLUSIVE MODE;
    CREATE TABLE {name} (LIKE metering_event INCLUDING ALL);
    WITH moved AS (
        DELETE FROM metering_event_default
        WHERE timestamp >= '{start}' AND timestamp < '{end}'
        RETURNING *
    )
    INSERT INTO {name} SELECT * FROM moved;
    ALTER TABLE metering_event ATTACH PARTITION {name} FOR VALUES FROM ('{start}') TO ('{end}');
"""


def make_partitions_ahead(*, at: datetime) -> list[str]:
    """Make the partitions of this month and the next three; return the names of new ones.

    So are those of months whose events wait in the default partition, the latest first and
    MOST_MONTHS at a time; their events move.
    """
    months = [at.astimezone(UTC).date().replace(day=1)]
    for _ in range(MONTHS_AHEAD):
        months.append(next_month(months[-1]))
    return make_partitions(months=[*months, *waiting_months()[:MOST_MONTHS]])


def make_for_backfill(*, instants: Iterable[datetime]) -> list[str]:
    """Make the partitions that a backfill needs, as far as they are few and the table is not busy.

    Whatever has none waits in the default partition for the daily task; nothing is refused.
    """
    months = {at.astimezone(UTC).date().replace(day=1) for at in instants}
    if len(months) > MOST_MONTHS:
        return []
    try:
        return make_partitions(months=months)
    except OperationalError as error:
        if not isinstance(error.__cause__, LockNotAvailable):
            raise
        return []


def make_partitions(*, months: Iterable[date]) -> list[str]:
    """Make the partitions of the months that these days lie in; return the names of new ones.

    It may run at any time, any number of times at once, while events come in. Each partition is
    made in a transaction of its own.
    """
    starts = sorted({day.replace(day=1) for day in months})
    return [partition_name(start) for start in starts if make_partition(start)]


def partition_name(month: date) -> str:
    return f"metering_event_{month:%Y_%m}"


def placeholder_name(month: date) -> str:
    """Return the name of the empty partition that refuses events of an archived month."""
    return f"{partition_name(month)}_archived"


def make_partition(month: date) -> bool:
    """Make one month's partition; False when it is already there, or the month is archived.

    Raises OperationalError when the table stays too busy.
    """
    return in_quiet_moment(lambda: try_partition(month))


def in_quiet_moment[T](step: Callable[[], T]) -> T:
    """Do a step that needs locks of the event table, in a transaction of its own.

    It waits for locks as briefly as LOCK_TIMEOUT says (see `take_turns`) and is tried again while
    the table is busy. Raises OperationalError when it stays so.
    """
    failures = 0
    while True:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SHOW lock_timeout")
                (before,) = cursor.fetchone()
                result = step()
                # A caller's transaction, if there is one, goes on to wait as it did.
                cursor.execute("SELECT set_config('lock_timeout', %s, true)", [before])
                return result
        except OperationalError as error:
            failures += 1
            if failures == ATTEMPTS or not isinstance(error.__cause__, LockNotAvailable):
                raise
            time.sleep(PAUSE_SECONDS)


def try_partition(month: date) -> bool:
    name = partition_name(month)
    with connection.cursor() as cursor:
        take_turns(cursor)
        cursor.execute(
            "SELECT coalesce(to_regclass(%s), to_regclass(%s)) IS NOT NULL",
            [name, placeholder_name(month)],
        )
        (is_made,) = cursor.fetchone()
        if not is_made:
            cursor.execute(MAKE_PARTITION.format(name=name, **bounds_of(month)))
    return not is_made


def take_turns(cursor: CursorWrapper) -> None:
    """Let one transaction at a time change which partitions there are, and none wait for long."""
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ADVISORY_LOCK])
    cursor.execute("SELECT set_config('lock_timeout', %s, true)", [LOCK_TIMEOUT])


def bounds_of(month: date) -> dict[str, str]:
    return {"start": f"{month}T00:00:00Z", "end": f"{next_month(month)}T00:00:00Z"}
