"""How a meter reads one event, as SQL: whether it counts, its value, its member and dimensions.

The fragments here and in the modules that compose them are constants; whatever users wrote
(property names, filter values) travels as a named parameter.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from metering import aggregations, filters
from metering.aggregations import Reads
from metering.models import Meter
from metering.numbers import decimal_sql

EPOCH = "timestamptz '1970-01-01 00:00:00+00'"
STEPS = {
    "minute": "interval '1 minute'",
    "hour": "interval '1 hour'",
    "day": "interval '24 hours'",
}
# The one condition under which a version of an event counts now; see metering.models.Event.
CURRENT = "e.voided_batch_id IS NULL"
TEXT = "(e.properties ->> %(value_property)s)"
NUMBER = decimal_sql("(e.properties -> %(value_property)s)")


@dataclass(frozen=True, slots=True)
class Reading:
    """What is read of the event `e`: its `number` and its `member`, the text to tell apart.

    `is_unparsed` says, over these two columns, that the event should have a value and has none.
    """

    number: str = "NULL::numeric"
    member: str = "NULL::text"
    is_unparsed: str = "FALSE"


READINGS = {
    Reads.NOTHING: Reading(),
    Reads.NUMBER: Reading(number=NUMBER, is_unparsed="number IS NULL"),
    Reads.TEXT: Reading(member=TEXT, is_unparsed="member IS NULL"),
}


def reading_of(meter: Meter) -> Reading:
    return READINGS[aggregations.of_meter(meter).measure(meter).reads]


def matches_sql(meter: Meter, *, counts: str = CURRENT) -> str:
    """Return SQL that says whether the event `e` counts: now, or as `counts` says otherwise."""
    conditions = [counts, "e.type = %(event_type)s"]
    for index, item in enumerate(meter.filters):
        name, value = f"%(filter_{index}_property)s", f"%(filter_{index}_value)s"
        conditions.append(filters.condition_sql(item, "e.properties", name, value))
    return " AND ".join(conditions)


def meter_params(meter: Meter) -> dict[str, Any]:
    """Return the parameters that the fragments of this module name."""
    params = {
        "meter": meter.pk,
        "event_type": meter.event_type,
        "value_property": meter.value_property,
    }
    for index, item in enumerate(meter.filters):
        params[f"filter_{index}_property"] = item["property"]
        params[f"filter_{index}_value"] = filters.condition_value(item)
    return params


def numbered(prefix: str, values: Iterable[str | None]) -> dict[str, str | None]:
    """Return parameters `prefix_0`, `prefix_1`, ..."""
    return {f"{prefix}_{index}": value for index, value in enumerate(values)}


def bucket_sql(at: str, grain: str) -> str:
    """Return SQL for the start of the bucket, cut in UTC, that an instant lies in."""
    return f"date_bin({STEPS[grain]}, {at}, {EPOCH})"


def digest_sql(text: str) -> str:
    """Return SQL for the 128-bit digest of a text, as a uuid."""
    return f"encode(substring(sha256(convert_to({text}, 'UTF8')) FOR 16), 'hex')::uuid"
