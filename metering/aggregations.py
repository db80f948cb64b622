"""The aggregations: one class each, and the only place that knows what they mean.

A meter reads partial results: `events`, `total`, `greatest`, `least` per bucket, or the distinct
values (`member`) seen in it. Both come from roll-ups for whole buckets and from raw events for
the rest, and any mixture of them combines by the SQL given here.
"""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Aggregation:
    """What an aggregation is called, means and needs.

    `combine` is the SQL that turns partial results into the value.
    """

    key: ClassVar[str]
    label: ClassVar[str]
    definition: ClassVar[str]
    needs_value: ClassVar[bool] = False


REGISTRY: dict[str, type[Aggregation]] = {}


def choices() -> list[tuple[str, str]]:
    return [(key, aggregation.label) for key, aggregation in REGISTRY.items()]


def window_choices() -> list[tuple[str, str]]:
    """Return the aggregations that peak may take in each of its windows."""
    return choices()
