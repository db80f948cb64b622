"""Partial results: what is kept of some events so that it adds up with what is kept of others.

Each is a column of the roll-ups. `highest` alone does not add up: it is worked out from a bucket's
events in order of time, and again whenever one is added.
"""

from dataclasses import dataclass

# Of an instant, since 1970.
MICROSECONDS = "(extract(epoch FROM {at}) * 1000000)"


@dataclass(frozen=True, slots=True)
class Partial:
    """A column, as SQL.

    `event` is what one event is worth, from its `{number}`, instant `{at}` and `{id}`; `add` adds
    rows up, and `merge` adds the row EXCLUDED to the stored row `b`.
    """

    type: str
    event: str
    add: str
    merge: str


PARTIALS = {
    "events": Partial(
        type="bigint",
        event="1",
        add="sum(events)::bigint",
        merge="b.events + EXCLUDED.events",
    ),
    "total": Partial(
        type="numeric",
        event="{number}",
        add="sum(total)",
        merge="COALESCE(b.total + EXCLUDED.total, b.total, EXCLUDED.total)",
    ),
    "greatest": Partial(
        type="numeric",
        event="{number}",
        add="max(greatest)",
        merge="GREATEST(b.greatest, EXCLUDED.greatest)",
    ),
    "least": Partial(
        type="numeric",
        event="{number}",
        add="min(least)",
        merge="LEAST(b.least, EXCLUDED.least)",
    ),
    "latest": Partial(
        type='text[] COLLATE "C"',
        event="CASE WHEN {number} IS NOT NULL THEN ARRAY["
        "to_char({at} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'), {id}, ({number})::text"
        "] END",
        add='max(latest COLLATE "C")',
        merge='GREATEST(b.latest COLLATE "C", EXCLUDED.latest COLLATE "C")',
    ),
    "moment": Partial(
        type="numeric",
        event=f"{{number}} * {MICROSECONDS}",
        add="sum(moment)",
        merge="COALESCE(b.moment + EXCLUDED.moment, b.moment, EXCLUDED.moment)",
    ),
}
