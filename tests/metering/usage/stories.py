"""Random meters, and random histories of events with a question about them."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from metering import aggregations
from metering.windows import WINDOWS
from tests.metering.usage.definition import NUMBERS
from tests.metering.usage.stored import TYPE, Use

ZONES = [
    "UTC",
    "Europe/Paris",
    "America/New_York",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Africa/Cairo",
]
# Around these instants a clock changes in one of the zones, some by half an hour or at midnight.
CLOCK_CHANGES = [
    datetime(2026, 3, 8, 7, tzinfo=UTC),
    datetime(2026, 3, 29, 1, tzinfo=UTC),
    datetime(2026, 4, 4, 15, tzinfo=UTC),
    datetime(2026, 10, 3, 15, 30, tzinfo=UTC),
    datetime(2026, 4, 23, 22, tzinfo=UTC),
    datetime(2026, 10, 29, 21, tzinfo=UTC),
    datetime(2026, 11, 1, 6, tzinfo=UTC),
]
# Where buckets and windows meet, and in between. Drawn from a list they come out evenly spread.
OFFSETS = [
    *(timedelta(hours=12 * number) for number in range(-6, 7)),
    *(timedelta(hours=number) for number in range(-70, 71, 7)),
    *(timedelta(minutes=15 * number) for number in range(-277, 278, 11)),
    *(timedelta(microseconds=number) for number in range(-(10**11), 10**11, 9_876_543_211)),
]
LENGTHS = [timedelta(minutes=20), timedelta(minutes=330), *(timedelta(days=n) for n in (1, 2, 3))]
PROPERTIES = st.fixed_dictionaries(
    {},
    optional={
        "endpoint": st.sampled_from(["a", "b", 5, True, None, ""]),
        "method": st.sampled_from(["GET", "PUT"]),
        "bytes": st.sampled_from([raw for raw, _ in NUMBERS]),
        "user": st.sampled_from(["u1", "u2", "u3", 1, "1", None]),
    },
)
CONDITIONS = [
    {"property": "endpoint", "op": "eq", "value": "a"},
    {"property": "endpoint", "op": "ne", "value": "a"},
    {"property": "endpoint", "op": "in", "value": ["b", "5"]},
    {"property": "user", "op": "exists", "value": True},
    {"property": "user", "op": "exists", "value": False},
    {"property": "bytes", "op": "lt", "value": "12.5"},
    {"property": "bytes", "op": "lte", "value": "12.5"},
    {"property": "bytes", "op": "gt", "value": "-7"},
    {"property": "bytes", "op": "gte", "value": "0.005"},
]
VALUE_PROPERTIES = {"unique_count": "user", "count": ""}


@st.composite
def meter_fields(draw: st.DrawFn, key: str) -> dict[str, Any]:
    """Draw the fields of a meter with this aggregation."""
    fields: dict[str, Any] = {"aggregation": key}
    measure = key
    if aggregations.REGISTRY[key].windowed:
        measure = draw(st.sampled_from(sorted(aggregations.windowable())))
        windows = aggregations.Peak.windows
        fields |= {"of": measure, "window": draw(st.sampled_from(windows))}
    if "percentile" in aggregations.REGISTRY[key].needs:
        fields["percentile"] = Decimal(draw(st.sampled_from(["0.5", "50", "66.6667", "99", "100"])))
    fields["value_property"] = VALUE_PROPERTIES.get(measure, "bytes")
    fields["filters"] = draw(st.lists(st.sampled_from(CONDITIONS), max_size=2))
    fields["group_by"] = draw(st.sampled_from([["endpoint", "method"], ["endpoint"], []]))
    return fields


@dataclass(frozen=True)
class Story:
    """Batches of events, some folded before the next comes, and what is asked then."""

    zone: str
    batches: list[list[Use]]
    folded: set[int]
    start: datetime
    end: datetime
    window: str | None
    asked_zone: str
    group_by: list[str]
    only: dict[str, str | None] = field(default_factory=dict)

    @property
    def uses(self) -> list[Use]:
        return [use for batch in self.batches for use in batch]


@st.composite
def stories(draw: st.DrawFn) -> Story:
    center = draw(st.sampled_from(CLOCK_CHANGES))
    instants = st.sampled_from(OFFSETS).map(lambda offset: center + offset)
    types = st.sampled_from([TYPE, TYPE, TYPE, "other"])
    use = st.builds(Use, instants, PROPERTIES, types, st.uuids().map(str))
    batches = st.lists(st.lists(use, min_size=3, max_size=10), min_size=1, max_size=4)
    return Story(
        zone=draw(st.sampled_from(ZONES)),
        batches=draw(batches),
        folded=draw(st.sets(st.integers(0, 3))),
        start=center - abs(draw(st.sampled_from(OFFSETS))),
        end=center + draw(st.sampled_from(LENGTHS)),
        window=draw(st.sampled_from([None, *WINDOWS])),
        asked_zone=draw(st.sampled_from(ZONES)),
        group_by=draw(st.sampled_from([[], [], ["endpoint"], ["method", "endpoint"], ["user"]])),
        only=draw(st.sampled_from([{}, {}, {"endpoint": "a"}, {"method": None}, {"user": "1"}])),
    )
