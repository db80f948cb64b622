"""The aggregations: one class each, and the only place that knows what they mean.

An aggregation reads partial results, which roll-ups hold for whole buckets and raw events give for
the rest; any mixture of the two combines by the SQL written here. Partial results are some of the
columns of `metering.selectors.partials`, or the distinct values (`member`) that were seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar, Protocol, override

# The fields of a meter that only some aggregations take, and how a sentence names them.
OPTIONS = {
    "value_property": "the event property to read, such as bytes",
    "window": "a window",
    "of": "what to measure in each window",
    "percentile": "the percentile to take, such as 95",
}
HIGHEST_PERCENTILE = 100
type Problem = tuple[str, str]


class MeterDefinition(Protocol):
    """What an aggregation reads of a meter."""

    @property
    def aggregation(self) -> str: ...
    @property
    def window(self) -> str: ...
    @property
    def of(self) -> str: ...


class Reads(StrEnum):
    """What an aggregation reads of an event beside its being there."""

    NOTHING = "nothing"
    NUMBER = "number"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class RollUps:
    """What is kept of a meter: totals per bucket of `grain`, and per day and dimensions.

    With `members` the distinct values of the same buckets are kept too, with `daily` the totals
    of days, so that the level before a period is found among few rows.
    """

    grain: str
    by_dimensions: bool = True
    members: bool = False
    daily: bool = False


class Aggregation:
    """What an aggregation is called, means, needs and keeps.

    `combine` is the SQL that turns the partial results named by `partials` into the value. Where a
    meter is `windowed` it gives the value of each window, and `across` turns these (`value`) into
    one.

    Where the total before a period `carries` into it, `across` works on `value`, the sum `total`
    of the period, the `carried` sum of everything before, and the instants `begin` and `past` in
    microseconds. Where partial results are `ordered`, those of a bucket hold only until an event
    is added to it, and do not combine across dimensions.
    """

    key: ClassVar[str]
    label: ClassVar[str]
    definition: ClassVar[str]
    needs: ClassVar[frozenset[str]] = frozenset()
    reads: ClassVar[Reads] = Reads.NOTHING
    partials: ClassVar[tuple[str, ...]]
    combine: ClassVar[str]
    across: ClassVar[str] = "max(value)"
    windowed: ClassVar[bool] = False
    windows: ClassVar[tuple[str, ...]] = ()
    fits_windows: ClassVar[bool] = False
    carries: ClassVar[bool] = False
    ordered: ClassVar[bool] = False

    @classmethod
    def measure(cls, meter: MeterDefinition) -> type[Aggregation]:
        """Return the aggregation that reads the events: this one, or that of each window."""
        return cls

    @classmethod
    def roll_ups(cls, meter: MeterDefinition) -> RollUps:
        return RollUps(grain="hour")

    @classmethod
    def needed(cls, fields: Mapping[str, object]) -> frozenset[str]:
        return cls.needs

    @classmethod
    def problems(cls, fields: Mapping[str, object]) -> Iterator[Problem]:
        needed = cls.needed(fields)
        for option, words in OPTIONS.items():
            if option in needed and not fields.get(option):
                yield option, f"{cls.label} needs {words}: fill in {option}."
            if option not in needed and fields.get(option):
                yield option, f"{cls.label} takes no {option}; leave it out."


REGISTRY: dict[str, type[Aggregation]] = {}


def register(aggregation: type[Aggregation]) -> type[Aggregation]:
    REGISTRY[aggregation.key] = aggregation
    return aggregation


@register
class Count(Aggregation):
    key = "count"
    label = "Count"
    definition = "The number of events in the period."
    partials = ("events",)
    combine = "sum(events)"
    fits_windows = True


@register
class Sum(Aggregation):
    key = "sum"
    label = "Sum"
    definition = "The sum of the events' values in the period, exact to the last decimal."
    needs = frozenset({"value_property"})
    reads = Reads.NUMBER
    partials = ("total",)
    combine = "sum(total)"
    fits_windows = True


@register
class UniqueCount(Aggregation):
    key = "unique_count"
    label = "Unique count"
    definition = (
        "The number of distinct values in the whole period, counted exactly and compared as text. "
        "It is never a sum of days: a user seen on ten days of a month is one user of that month. "
        "Over a month of user ids it is the number of monthly active users."
    )
    needs = frozenset({"value_property"})
    reads = Reads.TEXT
    partials = ()
    combine = "count(member)"
    fits_windows = True

    @override
    @classmethod
    def roll_ups(cls, meter: MeterDefinition) -> RollUps:
        return RollUps(grain="day", members=True)


@register
class Max(Aggregation):
    key = "max"
    label = "Maximum"
    definition = (
        "The greatest of the events' values in the period; it may be negative. It is a high "
        "watermark where events report a level, such as the storage in use."
    )
    needs = frozenset({"value_property"})
    reads = Reads.NUMBER
    partials = ("greatest",)
    combine = "max(greatest)"


@register
class Min(Aggregation):
    key = "min"
    label = "Minimum"
    definition = "The least of the events' values in the period; it may be negative."
    needs = frozenset({"value_property"})
    reads = Reads.NUMBER
    partials = ("least",)
    combine = "min(least)"


@register
class Latest(Aggregation):
    key = "latest"
    label = "Latest"
    definition = (
        "The value of the latest event in the period that has one. Of several events at the same "
        "instant the one with the greatest id counts, its characters compared by their codes. When "
        "events came in does not matter. It fits levels that are billed as they stand at the end, "
        "such as seats."
    )
    needs = frozenset({"value_property"})
    reads = Reads.NUMBER
    partials = ("latest",)
    combine = "(max(latest))[3]::numeric"


@register
class WeightedSum(Aggregation):
    key = "weighted_sum"
    label = "Time-weighted sum"
    definition = (
        "The average level over the period. Values are changes, up or down, of a level that began "
        "at zero before the first event; the level before the period carries in. Each level counts "
        "for as long as it stood: the area under it is divided by the period's length and rounded "
        "half away from zero to 15 decimal places. A gigabyte stored for half the month is half a "
        "gigabyte of that month."
    )
    needs = frozenset({"value_property"})
    reads = Reads.NUMBER
    partials = ("total", "moment")
    combine = "sum(moment)"
    # Zeros after the point keep the division from rounding before ROUND does.
    across = (
        "round(carried + (past * total - COALESCE(value, 0)) * 1.000000000000000000000000000000"
        " / (past - begin), 15)"
    )
    carries = True

    @override
    @classmethod
    def roll_ups(cls, meter: MeterDefinition) -> RollUps:
        return RollUps(grain="hour", daily=True)


@register
class Peak(Aggregation):
    key = "peak"
    label = "Peak"
    definition = (
        "The greatest windowed value in the period: the period is cut into minutes, spans of five "
        "minutes, hours or days of the customer's time zone, the count, sum or unique count of "
        "each window is taken, and the greatest of them is the value. Windows without events are "
        "left out; a window that the period cuts short counts with what lies inside. It is a high "
        "watermark of what many events add up to."
    )
    needs = frozenset({"window", "of"})
    windowed = True
    windows = ("minute", "5minute", "hour", "day")

    @override
    @classmethod
    def measure(cls, meter: MeterDefinition) -> type[Aggregation]:
        return REGISTRY[meter.of]

    @override
    @classmethod
    def roll_ups(cls, meter: MeterDefinition) -> RollUps:
        members = cls.measure(meter).roll_ups(meter).members
        return RollUps(grain=meter.window, by_dimensions=False, members=members)

    @override
    @classmethod
    def needed(cls, fields: Mapping[str, object]) -> frozenset[str]:
        measure = windowable().get(str(fields.get("of")))
        return cls.needs | measure.needs if measure else cls.needs

    @override
    @classmethod
    def problems(cls, fields: Mapping[str, object]) -> Iterator[Problem]:
        choices = {"window": cls.windows, "of": tuple(windowable())}
        for option, known in choices.items():
            chosen = fields.get(option)
            if chosen and chosen not in known:
                yield option, f"{cls.label} takes no {option} {chosen!r}; use {one_of(known)}."
        if fields.get("of") in windowable():
            yield from super().problems(fields)
        else:
            # What it measures decides whether it needs a value.
            yield from super().problems({**fields, "value_property": None})


@register
class RunningPeak(Aggregation):
    key = "running_peak"
    label = "Running peak"
    definition = (
        "The greatest level that a running total reaches in the period. Values are changes, up or "
        "down, of a level that began at zero before the first event; the level that carries into "
        "the period is reached in it too. Changes at the same instant take effect together. It is "
        "a high watermark of what is open or taken at a time, such as seats or connections."
    )
    needs = frozenset({"value_property"})
    reads = Reads.NUMBER
    partials = ("total", "highest")
    combine = "max(reached)"
    across = "GREATEST(carried, value)"
    carries = True
    ordered = True

    @override
    @classmethod
    def roll_ups(cls, meter: MeterDefinition) -> RollUps:
        return RollUps(grain="hour", daily=True)


@register
class Percentile(Peak):
    key = "percentile"
    label = "Percentile"
    definition = (
        "A windowed value that few windows exceed: the period is cut into windows as for a peak, "
        "windows without events count as zero, the highest 100 - p percent of the windows are "
        "discarded (a fraction of a window is not), and the highest that remains is the value. At "
        "95 over five-minute windows it is the usual measure of bandwidth."
    )
    needs = frozenset({"window", "of", "percentile"})
    # Of the values in falling order, those above zero stand before the empty windows, the
    # others behind them. `discarded` and `windows` are the numbers for each part of the period.
    across = """
        CASE WHEN (%(discarded)s::int[])[number] < count(*) FILTER (WHERE value > 0)
            THEN (array_agg(value ORDER BY value DESC NULLS LAST))[1 + (%(discarded)s::int[])[number]]
        WHEN (%(discarded)s::int[])[number]
                < count(*) FILTER (WHERE value > 0) + (%(windows)s::int[])[number] - count(value)
            THEN 0
        ELSE (array_agg(value ORDER BY value DESC NULLS LAST))[
            1 + (%(discarded)s::int[])[number] - (%(windows)s::int[])[number] + count(value)]
        END
    """

    @override
    @classmethod
    def problems(cls, fields: Mapping[str, object]) -> Iterator[Problem]:
        yield from super().problems(fields)
        chosen = fields.get("percentile")
        if isinstance(chosen, Decimal) and chosen and not 0 < chosen <= HIGHEST_PERCENTILE:
            yield "percentile", "A percentile is greater than 0 and at most 100, such as 95."

    @classmethod
    def discarded(cls, windows: int, percentile: Decimal) -> int:
        """Return how many of so many windows are left out."""
        return int(windows * (HIGHEST_PERCENTILE - percentile) // HIGHEST_PERCENTILE)


def windowable() -> dict[str, type[Aggregation]]:
    """Return the aggregations that can be taken in each window of another."""
    return {key: item for key, item in REGISTRY.items() if item.fits_windows}


def choices() -> list[tuple[str, str]]:
    return [(key, aggregation.label) for key, aggregation in REGISTRY.items()]


def window_choices() -> list[tuple[str, str]]:
    return [(key, aggregation.label) for key, aggregation in windowable().items()]


def of_meter(meter: MeterDefinition) -> type[Aggregation]:
    return REGISTRY[meter.aggregation]


def problems(fields: Mapping[str, object]) -> list[Problem]:
    """Return what is wrong with a meter's fields, as pairs of a field and a sentence."""
    key = fields.get("aggregation")
    aggregation = REGISTRY.get(str(key))
    if aggregation is None:
        sentence = f"There is no aggregation {key!r}; use {one_of(tuple(REGISTRY))}."
        return [("aggregation", sentence)]
    return list(aggregation.problems(fields))


def one_of(words: tuple[str, ...]) -> str:
    *first, last = words
    return f"{', '.join(first)} or {last}"
