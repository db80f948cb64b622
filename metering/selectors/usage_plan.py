"""Where a question about usage is answered from: which roll-ups, and where raw events instead."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from metering import aggregations, windows
from metering.aggregations import Aggregation
from metering.models import Meter, UsageLayout
from metering.models.usage import Grain
from metering.selectors.cutoffs import Cutoff
from metering.windows import Grid, Range

# Before the first day, in any zone, that an event can be of.
BEGINNING = datetime(1969, 12, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: a meter's usage in `[starts[0], end)`, cut at `starts`, by `group_by`.

    `filters` keeps the events whose property has that text, or with None is absent. `zone` is the
    customers' own, in which the windows of the meter itself are cut. `layout` is that of the
    customers' roll-ups, None where there are none to rely on. `corrected` are instants around
    which they do not hold, by the batches `corrections`. With a `cutoff` the answer is that of an
    earlier reader. A reader who `takes_others` is content with `other` for the values of a capped
    dimension. The answer has at most `limit` rows, or all there are.
    """

    meter: Meter
    customer_ids: Sequence[int]
    starts: Sequence[datetime]
    end: datetime
    zone: ZoneInfo
    limit: int | None
    group_by: Sequence[str] = ()
    filters: Mapping[str, str | None] = field(default_factory=dict)
    layout: UsageLayout | None = None
    revisions: Sequence[object] = ()
    corrected: Sequence[datetime] = ()
    corrections: Sequence[int] = ()
    cutoff: Cutoff | None = None
    takes_others: bool = False

    @property
    def start(self) -> datetime:
        return self.starts[0]

    @property
    def period(self) -> Range:
        return Range(self.start, self.end)

    @property
    def aggregation(self) -> type[Aggregation]:
        return aggregations.of_meter(self.meter)

    @property
    def begin(self) -> datetime:
        """Return when the events begin that matter: before the period where a level carries in."""
        return BEGINNING if self.aggregation.carries else self.start


@dataclass(frozen=True, slots=True)
class Stretch:
    """Whole buckets of one grain that lie one after the other: totals, or single dimensions."""

    grain: str
    by_dimensions: bool
    ranges: list[Range]


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the answer is read: roll-ups in `carried` and `whole`, raw events in `raw`.

    `carried` lies before the period. `days` is where the days begin that windows of the meter
    itself are counted from, `grid` how the buckets of the period are cut.
    """

    raw: list[Range]
    whole: list[Stretch] = field(default_factory=list)
    carried: list[Stretch] = field(default_factory=list)
    days: Sequence[datetime] = ()
    grid: Grid | None = None

    @property
    def stretches(self) -> list[Stretch]:
        return [stretch for stretch in (*self.carried, *self.whole) if stretch.ranges]


def plan_reading(question: Question) -> Plan:
    period, layout = question.period, question.layout
    windowed = question.aggregation.windowed
    days = windows.day_starts(period.start, period.end, question.zone) if windowed else []
    if layout is None or not is_answerable(question, layout):
        return Plan(raw=[Range(question.begin, question.end)], days=days)
    grid = Grid(period.start, period.end, layout.zone)
    lacking = [month for month in months_lacking(layout) if month.start < period.end]
    by_dimensions = bool(question.group_by or question.filters)
    grain = Grain.DAY if by_dimensions else grain_of(question)
    whole, raw = windows.split_by_buckets(
        period, [*broken_buckets(question, grid, grain), *buckets_of(lacking, period, grid, grain)]
    )
    if by_dimensions and question.aggregation.ordered:
        whole, raw = [], [period]
    carried, before = carry_in(question, grid, by_dimensions=by_dimensions)
    if carried and any(month.start < period.start for month in lacking):
        carried, before = [], [Range(BEGINNING, period.start)]
    return Plan(
        raw=[*before, *raw],
        whole=[Stretch(grain, by_dimensions, whole)],
        carried=carried,
        days=days,
        grid=grid,
    )


def grain_of(question: Question) -> str:
    return question.aggregation.roll_ups(question.meter).grain


def is_answerable(question: Question, layout: UsageLayout) -> bool:
    """Tell whether the roll-ups hold what is asked for: they are of what counts now."""
    if question.cutoff is not None:
        return False
    if question.aggregation.windowed and layout.time_zone != question.zone.key:
        # The meter's windows are not those that the buckets were cut for.
        return False
    properties = {*question.group_by, *question.filters}
    roll_ups = question.aggregation.roll_ups(question.meter)
    if properties and not (roll_ups.by_dimensions and properties <= {*question.meter.group_by}):
        return False
    if not question.takes_others and not layout.kept.keys().isdisjoint(question.group_by):
        return False
    return all(
        text is None or text in layout.kept.get(name, [text])
        for name, text in question.filters.items()
    )


def broken_buckets(question: Question, grid: Grid, grain: str) -> Iterator[Range]:
    """Yield the buckets whose rows cannot be used: a cut goes through, or they were corrected."""
    yield from grid.broken_by([*question.starts, question.end], grain)
    for bucket in grid.around(question.corrected, grain):
        if bucket.start < question.end and question.start < bucket.end:
            yield bucket


def months_lacking(layout: UsageLayout) -> list[Range]:
    """Return the archived months that roll-ups were made without: nothing says what is in them."""
    months = (start.astimezone(UTC) for start in layout.lacks)
    return [Range(*windows.month_around(start, ZoneInfo("UTC"))) for start in months]


def buckets_of(months: Iterable[Range], period: Range, grid: Grid, grain: str) -> Iterator[Range]:
    """Yield the stretches of buckets of a period that these months have a part in."""
    for month in months:
        start, end = max(month.start, period.start), min(month.end, period.end)
        if start < end:
            yield Range(grid.floor(start, grain), grid.ceil(end, grain))


def carry_in(
    question: Question, grid: Grid, *, by_dimensions: bool
) -> tuple[list[Stretch], list[Range]]:
    """Return where the level before the period is read: days, then what is left of the last one."""
    if not question.aggregation.carries:
        return [], []
    start, day = question.start, grid.floor(question.start, Grain.DAY)
    days = Grid(min([day, *question.corrected]), day, grid.zone)
    broken = [each for each in days.around(question.corrected, Grain.DAY) if each.start < day]
    whole, raw = windows.split_by_buckets(Range(BEGINNING, day), broken)
    stretches = [Stretch(Grain.DAY, by_dimensions, whole)]
    if by_dimensions:
        return stretches, [*raw, Range(day, start)]
    grain = grain_of(question)
    last = grid.floor(start, grain)
    broken = [each for each in grid.around(question.corrected, grain) if each.end <= last]
    whole, cut = windows.split_by_buckets(Range(day, last), broken)
    return [*stretches, Stretch(grain, False, whole)], [*raw, *cut, Range(last, start)]
