"""What a reader has seen of usage, so that the same question can be answered the same way later.

Batches commit in another order than they are numbered. A cut-off is therefore the highest number
that was seen and the numbers below it that were not, as far as they may still appear.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from django.db import connection

# A batch that is still being written belongs to a transaction that has begun by now and has not
# ended. It is asked for first: whoever ends between the two statements is seen by the second.
OLDEST_WRITER = """
    SELECT LEAST(min(xact_start), clock_timestamp()) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
# Numbers are drawn in order: what is missing below a batch that was numbered before the oldest
# writer began has no writer any more, and never appears.
SEEN = """
    WITH floor AS (
        SELECT COALESCE(max(id), 0) AS id FROM metering_ingestbatch WHERE numbered_at < %(writing)s
    ), recent AS (
        SELECT b.id, lag(b.id, 1, floor.id) OVER (ORDER BY b.id) AS before
        FROM metering_ingestbatch b, floor WHERE b.id > floor.id
    )
    SELECT COALESCE((SELECT max(id) FROM recent), (SELECT id FROM floor)),
        ARRAY(SELECT generate_series(before + 1, id - 1) FROM recent ORDER BY 1)
"""


@dataclass(frozen=True, slots=True)
class Cutoff:
    """The ingest batches that a reader has seen: up to `highest`, but for `missing`."""

    highest: int
    missing: tuple[int, ...] = ()

    @classmethod
    def parse(cls, document: dict[str, Any]) -> Self:
        """Read what `document` wrote."""
        return cls(document["highest"], tuple(document["missing"]))

    @property
    def document(self) -> dict[str, Any]:
        """Return the cut-off as JSON, to be kept with what was worked out from it."""
        return {"highest": self.highest, "missing": list(self.missing)}

    @property
    def params(self) -> dict[str, Any]:
        return {"highest_batch": self.highest, "missing_batches": list(self.missing)}


def is_seen(batch: str) -> str:
    return f"({batch} <= %(highest_batch)s AND {batch} <> ALL(%(missing_batches)s::bigint[]))"


# Under which a version of the event `e` counted for a reader with a cut-off: its own batch had
# been seen, and the one that ended it had not. The parameters are those of the cut-off.
COUNTED = f"({is_seen('e.batch_id')} AND {is_seen('e.voided_batch_id')} IS NOT TRUE)"


def current_cutoff() -> Cutoff:
    """Return what a reader sees now. Read usage with this cut-off, not beside it.

    In a transaction that reads by one snapshot throughout, batches may be taken for seen that are
    not; ask outside of one.
    """
    with connection.cursor() as cursor:
        cursor.execute(OLDEST_WRITER)
        writing: datetime
        [(writing,)] = cursor.fetchall()
        cursor.execute(SEEN, {"writing": writing})
        [(highest, missing)] = cursor.fetchall()
    return Cutoff(highest, tuple(missing))
