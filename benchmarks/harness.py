"""What every benchmark shares: alternating runs, medians, one JSON object per result."""

import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Result:
    """What the project reached, beside the limit measured in the same run.

    Both are in `unit`; `ratio` is ours divided by the limit. `peer` says that it is no limit but
    something to compare with, `figures` what else there is to say.
    """

    name: str
    ours: Decimal
    limit: Decimal
    unit: str
    figures: Mapping[str, Decimal | str] = field(default_factory=dict)
    peer: bool = False

    def as_json(self) -> str:
        figures = {
            name: figure if isinstance(figure, str) else rounded(figure)
            for name, figure in self.figures.items()
        }
        return json.dumps(
            {
                "name": self.name,
                **figures,
                "ours": rounded(self.ours),
                "peer" if self.peer else "limit": rounded(self.limit),
                "ratio": rounded(self.ours / self.limit),
                "unit": self.unit,
            }
        )


@dataclass(frozen=True, slots=True)
class Skipped:
    """A benchmark that cannot be run here, and why."""

    name: str
    reason: str

    def as_json(self) -> str:
        return json.dumps({"name": self.name, "skipped": self.reason})


def rounded(value: Decimal) -> str:
    """Return a figure with three significant digits, in plain notation."""
    return f"{Decimal(f'{value:.3g}'):f}"


def milliseconds(begin: int) -> Decimal:
    """Return the time since a reading of `time.perf_counter_ns`."""
    return Decimal(time.perf_counter_ns() - begin) / 1_000_000


def quantile(values: Sequence[Decimal], percent: int) -> Decimal:
    """Return the least value that so many percent of the values do not exceed."""
    return sorted(values)[-(-len(values) * percent // 100) - 1]


class Work[Prepared](Protocol):
    """Something to measure: what it prepares is not timed."""

    def prepare(self) -> Prepared: ...

    def __call__(self, prepared: Prepared, /) -> int:
        """Do the work and return how many things were done."""


def per_second[Prepared](work: Work[Prepared]) -> Decimal:
    """Do the work once and return how many things it did in a second."""
    prepared = work.prepare()
    begin = time.perf_counter_ns()
    done = work(prepared)
    return Decimal(done) * 1_000_000_000 / (time.perf_counter_ns() - begin)


def compare[Ours, Limit](
    name: str, unit: str, ours: Work[Ours], limit: Work[Limit], rounds: int = ROUNDS
) -> Result:
    """Measure both in turn, so that a slow minute of the machine hits both; take the medians."""
    pairs = [(per_second(ours), per_second(limit)) for _ in range(rounds)]
    ours_each, limit_each = zip(*pairs, strict=True)
    return Result(name, statistics.median(ours_each), statistics.median(limit_each), unit)
