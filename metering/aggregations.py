"""The aggregations: one class each, and the only place that knows what they mean.

An aggregation reads partial results, which roll-ups hold for whole buckets and raw events give for
the rest; any mixture of the two combines by the SQL written here. Partial results are rows of
`events`, `total`, `greatest` and `least`, or the distinct values (`member`) that were seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Protocol, override

# The fields of a meter that only some aggregations take, and how a sentence names them.
OPTIONS = {
    "value_property": "the event property to read, such as bytes",
    "window": "a window",
    "of": "what to measure in each window",
}
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

    With `members` the distinct values of the same buckets are kept too.
    """

    grain: str
    by_dimensions: bool = True
    members: bool = False


class Aggregation:
    """What an aggregation is called, means, needs and keeps.

    `combine` is the SQL that turns partial results into the value. Where a meter is `windowed` it
    gives the value of each window, and `across` turns these (`value`) into one.
    """

    key: ClassVar[str]
    label: ClassVar[str]
    definition: ClassVar[str]
    needs: ClassVar[frozenset[str]] = frozenset()
    reads: ClassVar[Reads] = Reads.NOTHING
    combine: ClassVar[str]
    across: ClassVar[str] = "max(value)"
    windowed: ClassVar[bool] = False
    fits_windows: ClassVar[bool] = False

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
    combine = "sum(events)"
    fits_windows = True


@register
class Sum(Aggregation):
    key = "sum"
    label = "Sum"
    definition = "The sum of the events' values in the period, exact to the last decimal."
    needs = frozenset({"value_property"})
    reads = Reads.NUMBER
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
    combine = "max(greatest)"


@register
class Peak(Aggregation):
    key = "peak"
    label = "Peak"
    definition = (
        "The greatest windowed value in the period: the period is cut into minutes, hours or days "
        "of the customer's time zone, the count, sum or unique count of each window is taken, and "
        "the greatest of them is the value. Windows without events are left out; a window that "
        "the period cuts short counts with what lies inside. It is a high watermark of what many "
        "events add up to."
    )
    needs = frozenset({"window", "of"})
    windowed = True
    windows: ClassVar[tuple[str, ...]] = ("minute", "hour", "day")

    @override
    @classmethod
    def measure(cls, meter: MeterDefinition) -> type[Aggregation]:
        return REGISTRY[meter.of]

    @override
    @classmethod
    def roll_ups(cls, meter: MeterDefinition) -> RollUps:
        # Days are cut in the customer's zone, which buckets of a UTC day would not fit.
        grain = "minute" if meter.window == "minute" else "hour"
        members = cls.measure(meter).roll_ups(meter).members
        return RollUps(grain=grain, by_dimensions=False, members=members)

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
