"""How a meter reads one event, as SQL: whether it counts, its value, its member and dimensions.

The fragments here and in the modules that compose them are constants; whatever users wrote
(property names, filter values) travels as a named parameter.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from metering import aggregations, filters
from metering.aggregations import Reads
from metering.models import Meter, UsageLayout
from metering.numbers import decimal_sql

STEPS = {
    "minute": "interval '1 minute'",
    "5minute": "interval '5 minutes'",
    "hour": "interval '1 hour'",
}
# What a dimension with too many values has in place of those without rows of their own.
OTHER = "other"
MIDNIGHTS = "%(midnights)s::timestamptz[]"
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


def dimension_sql(
    properties: str, prefix: str, index: int, name: str, layout: UsageLayout | None
) -> str:
    """Return SQL for the text of a property, as rows of dimensions hold it under a layout.

    The parameters are those of `numbered` and `kept_params`.
    """
    text = f"({properties} ->> %({prefix}_{index})s)"
    if layout is None or name not in layout.kept:
        return text
    is_kept = f"{text} IS NULL OR {text} = ANY(%(kept_{index})s::text[])"
    return f"(CASE WHEN {is_kept} THEN {text} ELSE '{OTHER}' END)"


def kept_params(names: Sequence[str], layout: UsageLayout | None) -> dict[str, list[str]]:
    kept = {} if layout is None else layout.kept
    return {f"kept_{index}": kept[name] for index, name in enumerate(names) if name in kept}


def utc_day_sql(at: str) -> str:
    """Return SQL for the start of the day of UTC that an instant lies in."""
    return f"date_bin(interval '24 hours', {at}, timestamptz '1970-01-01 00:00:00+00')"


def bucket_sql(at: str, grain: str) -> str:
    """Return SQL for the start of the bucket that an instant lies in; see `metering.windows.Grid`.

    The parameter `midnights` holds where the days begin.
    """
    midnight = f"({MIDNIGHTS})[width_bucket({at}, {MIDNIGHTS})]"
    return midnight if grain == "day" else f"date_bin({STEPS[grain]}, {at}, {midnight})"


def digest_sql(text: str) -> str:
    """Return SQL for the 128-bit digest of a text, as a uuid."""
    return f"encode(substring(sha256(convert_to({text}, 'UTF8')) FOR 16), 'hex')::uuid"
