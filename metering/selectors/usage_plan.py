"""Where a question about usage is answered from: which roll-ups, and where raw events instead."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from metering import aggregations, windows
from metering.models import Meter
from metering.models.usage import Grain
from metering.selectors.cutoffs import Cutoff
from metering.windows import Range


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: a meter's usage in `[starts[0], end)`, cut at `starts`, by `group_by`.

    `filters` keeps the events whose property has that text, or with None is absent. `zone` is the
    customers' own, in which the windows of the meter itself are cut. `corrected` are instants
    around which roll-ups do not hold, by the batches `corrections`. With a `cutoff` the answer is
    that of an earlier reader. It has at most `limit` rows, or all there are.
    """

    meter: Meter
    customer_ids: Sequence[int]
    starts: Sequence[datetime]
    end: datetime
    zone: ZoneInfo
    limit: int | None
    group_by: Sequence[str] = ()
    filters: Mapping[str, str | None] = field(default_factory=dict)
    corrected: Sequence[datetime] = ()
    corrections: Sequence[int] = ()
    cutoff: Cutoff | None = None

    @property
    def start(self) -> datetime:
        return self.starts[0]

    @property
    def period(self) -> Range:
        return Range(self.start, self.end)


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the answer is read: roll-ups of `grain` in `whole`, raw events in `raw`.

    `by_dimensions` says which rows of the roll-ups: those of single dimensions, or the totals.
    `days` is where the days begin that windows of the meter itself are counted from.
    """

    whole: list[Range]
    raw: list[Range]
    grain: str = Grain.DAY
    by_dimensions: bool = False
    days: Sequence[datetime] = ()


def plan_reading(question: Question) -> Plan:
    meter, period = question.meter, question.period
    aggregation = aggregations.of_meter(meter)
    roll_ups = aggregation.roll_ups(meter)
    properties = {*question.group_by, *question.filters}
    days = (
        windows.day_starts(period.start, period.end, question.zone) if aggregation.windowed else []
    )
    answerable = not properties or (roll_ups.by_dimensions and properties <= set(meter.group_by))
    # Roll-ups hold what counts now.
    if meter.filled_at is None or not answerable or question.cutoff is not None:
        return Plan(whole=[], raw=[period], days=days)
    grain = Grain.DAY if properties else Grain(roll_ups.grain)
    whole, raw = windows.split_by_buckets(period, broken_buckets(question, days, grain))
    return Plan(whole, raw, grain, by_dimensions=bool(properties), days=days)


def broken_buckets(question: Question, days: Sequence[datetime], grain: Grain) -> Iterator[Range]:
    """Yield the buckets whose rows cannot be used: a cut goes through, or they were corrected."""
    step = windows.STEPS[grain]
    yield from windows.broken_by_cuts([*question.starts, question.end], step)
    for bucket in windows.buckets_around(question.corrected, step):
        if bucket.start < question.end and question.start < bucket.end:
            yield bucket
    if question.meter.window in windows.CALENDAR:
        yield from windows.broken_by_cuts(days, step)
    else:
        yield from windows.broken_by_hours(days, question.end, step)
