"""Usage as pages show it: a chart, the numbers behind it, and what each group took."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from billing import formatting
from billing.charts import BarChart, Column, bar_chart, share
from customers.models import Customer
from metering.models import Meter
from metering.selectors.cardinality import capped_dimensions
from metering.selectors.meter_sql import OTHER
from metering.selectors.usage import UsageRow, usage
from metering.windows import window_cuts

ZERO = Decimal(0)
# A chart tells so many colours apart; the rest is one more.
MOST_SERIES = 6
MOST_COLUMNS_OF_TABLE = 8
MOST_GROUPS_LISTED = 100
# With more groups than this, only their totals are read, not each window of each.
MOST_GROUPS_BY_WINDOW = 200
OTHERS = "All others"
NO_VALUE = "(none)"

# The value of the property that usage is grouped by; events without the property have none.
type Name = str | None
type Matrix = dict[Name, list[Decimal]]


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody wants to know: a meter over `[start, end)`, cut into windows."""

    customer: Customer
    meter: Meter
    start: datetime
    end: datetime
    window: str
    at: datetime
    group_by: str = ""
    only: str = ""

    @property
    def read_until(self) -> datetime:
        return min(self.end, self.at)


@dataclass(frozen=True, slots=True)
class Group:
    """One value of the property that usage is grouped by, and what it took in all.

    `share` is in percent of the greatest group; `filter_value` is None where nothing can be
    filtered by, `series` where the group has no colour of its own in the chart.
    """

    name: str
    filter_value: Name
    value: Decimal
    share: Decimal
    series: int | None


@dataclass(frozen=True, slots=True)
class TableRow:
    """A window in the table under the chart: a cell for each named group, then the total."""

    label: str
    cells: Sequence[Decimal]
    total: Decimal


@dataclass(frozen=True, slots=True)
class Report:
    """The answer to a Question. `groups` is empty when it asks for none.

    `series` names what the chart stacks. It is empty where the groups of a window do not sum to
    its total, as with distinct users: such a chart shows the totals alone. `is_capped` says that
    the property has too many values to keep apart, so that one group is the rest of them.
    """

    question: Question
    total: Decimal
    chart: BarChart
    series: Sequence[str]
    columns: Sequence[str]
    rows: Sequence[TableRow]
    groups: Sequence[Group]
    groups_in_all: int
    is_capped: bool

    @property
    def has_usage(self) -> bool:
        return any(row.total for row in self.rows)

    @property
    def column_groups(self) -> Sequence[Group]:
        """Return the groups that have a column, in the order of `columns`."""
        return self.groups[: len(self.columns)]

    @property
    def summary(self) -> str:
        """Return the chart in a sentence, for those who do not see it."""
        question, customer = self.question, self.question.customer
        meter = question.meter
        total = formatting.quantity(self.total, customer.locale)
        period = formatting.period(question.start, question.end, customer.zone, customer.locale)
        return f"{meter.name} by {question.window}, {period}: {total} {meter.unit}".rstrip()


type Labeller = Callable[[datetime, datetime, ZoneInfo, str], str]


def label_of_hour(start: datetime, end: datetime, zone: ZoneInfo, locale: str) -> str:
    day = formatting.short_day(start, zone, locale)
    return f"{day}, {formatting.time_of_day(start, zone, locale)}"


def label_of_day(start: datetime, end: datetime, zone: ZoneInfo, locale: str) -> str:
    return formatting.short_day(start, zone, locale)


def label_of_month(start: datetime, end: datetime, zone: ZoneInfo, locale: str) -> str:
    return formatting.month(start, zone, locale)


WINDOW_LABELS: dict[str, Labeller] = {
    "hour": label_of_hour,
    "day": label_of_day,
    "week": label_of_day,
    "month": label_of_month,
}
"""What a window is called under a chart; a week is called by its first day."""


def usage_report(question: Question) -> Report:
    """Return the answer, every number of it exact for the meter's own aggregation."""
    starts = window_starts(question)
    totals = by_group(read(question, window=question.window), starts).get(None, zeros(starts))
    groups = group_totals(question) if question.group_by else {}
    is_capped = bool(groups) and question.group_by in capped_dimensions(
        question.meter, question.customer
    )
    matrix: Matrix = {}
    if 0 < len(groups) <= MOST_GROUPS_BY_WINDOW:
        rows = read(question, window=question.window, group_by=question.group_by)
        matrix = by_group(rows, starts, question.group_by)
    adds_up = bool(matrix) and sums_of(matrix) == totals
    series = list(groups)[:MOST_SERIES] if adds_up else []
    columns = list(groups)[:MOST_COLUMNS_OF_TABLE] if matrix else []
    labels = window_labels(question, starts)
    stacks = stacked_values(matrix, series, totals)
    return Report(
        question=question,
        total=sum((row.value for row in read(question)), ZERO),
        chart=chart_of(question, starts, labels, totals, stacks),
        series=series_names(series, groups),
        columns=[shown_name(name) for name in columns],
        rows=table_rows(labels, matrix, columns, totals),
        groups=listed_groups(groups, series, is_capped=is_capped),
        groups_in_all=len(groups),
        is_capped=is_capped,
    )


def read(question: Question, *, window: str | None = None, group_by: str = "") -> list[UsageRow]:
    if question.read_until <= question.start:
        return []
    return usage(
        meter=question.meter,
        customer=question.customer,
        start=question.start,
        end=question.read_until,
        window=window,
        zone=question.customer.zone,
        group_by=[group_by] if group_by else [],
        filters={question.group_by: question.only} if question.only else {},
        takes_others=True,
    )


def window_starts(question: Question) -> list[datetime]:
    zone = question.customer.zone
    cuts = window_cuts(question.start, question.end, question.window, zone)
    return [question.start, *cuts]


def zeros(starts: Sequence[datetime]) -> list[Decimal]:
    return [ZERO] * len(starts)


def by_group(rows: Sequence[UsageRow], starts: Sequence[datetime], group_by: str = "") -> Matrix:
    """Return each group's values in the order of `starts`, zero where there was no usage."""
    matrix: Matrix = {}
    places = {start: place for place, start in enumerate(starts)}
    for row in rows:
        values = matrix.setdefault(row.group.get(group_by), zeros(starts))
        values[places[row.start]] = row.value
    return matrix


def group_totals(question: Question) -> dict[Name, Decimal]:
    """Return each group's value over the whole range, the greatest first."""
    rows = read(question, group_by=question.group_by)
    totals = {row.group.get(question.group_by): row.value for row in rows}
    return dict(sorted(totals.items(), key=lambda item: (-item[1], item[0] or "")))


def sums_of(matrix: Matrix) -> list[Decimal]:
    return [sum(values, ZERO) for values in zip(*matrix.values(), strict=True)]


def shown_name(name: Name) -> str:
    return NO_VALUE if name is None else name


def series_names(series: Sequence[Name], groups: dict[Name, Decimal]) -> list[str]:
    """Return the legend: the stacked groups, and the rest if there is one."""
    rest = [OTHERS] if 0 < len(series) < len(groups) else []
    return [*map(shown_name, series), *rest]


def stacked_values(
    matrix: Matrix, series: Sequence[Name], totals: Sequence[Decimal]
) -> list[list[Decimal]]:
    """Return the values to stack in each window: the series, then all that is left."""
    if not series:
        return [[total] for total in totals]
    stacks = []
    for place, total in enumerate(totals):
        parts = [matrix[name][place] for name in series]
        stacks.append([*parts, total - sum(parts, ZERO)])
    return stacks


def window_labels(question: Question, starts: Sequence[datetime]) -> list[str]:
    label, customer = WINDOW_LABELS[question.window], question.customer
    ends = [*starts[1:], question.end]
    return [
        label(start, end, customer.zone, customer.locale)
        for start, end in zip(starts, ends, strict=True)
    ]


def chart_of(
    question: Question,
    starts: Sequence[datetime],
    labels: Sequence[str],
    totals: Sequence[Decimal],
    stacks: Sequence[Sequence[Decimal]],
) -> BarChart:
    ends = [*starts[1:], question.end]
    locale, unit = question.customer.locale, question.meter.unit
    return bar_chart(
        [
            Column(
                label=label,
                values=values,
                title=f"{label}: {formatting.quantity(total, locale)} {unit}".rstrip(),
                is_current=start <= question.at < end,
            )
            for label, values, total, start, end in zip(
                labels, stacks, totals, starts, ends, strict=True
            )
        ]
    )


def table_rows(
    labels: Sequence[str], matrix: Matrix, columns: Sequence[Name], totals: Sequence[Decimal]
) -> list[TableRow]:
    return [
        TableRow(label, [matrix[name][place] for name in columns], total)
        for place, (label, total) in enumerate(zip(labels, totals, strict=True))
    ]


def listed_groups(
    groups: dict[Name, Decimal], series: Sequence[Name], *, is_capped: bool
) -> list[Group]:
    greatest = max(groups.values(), default=ZERO)
    numbers = {name: number for number, name in enumerate(series)}
    return [
        Group(
            name=shown_name(name),
            # What is left of a capped property is no value of an event.
            filter_value=None if is_capped and name == OTHER else name,
            value=value,
            share=share(value, greatest),
            series=numbers.get(name),
        )
        for name, value in list(groups.items())[:MOST_GROUPS_LISTED]
    ]
