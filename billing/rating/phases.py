"""Phases: which price list and quantities hold from when until when, and what a period has of them.

A change of plan splits a period at its instant. What a fee or a meter's usage is charged for is a
stretch: the part of a period in which nothing that its price depends on has changed.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Phase:
    """One price list with one set of quantities over `[start, end)`; without an end it goes on.

    `version` names the price list. Nothing is charged for a phase that is not `is_billed`: a trial
    or a pause.
    """

    start: datetime
    end: datetime | None
    version: int
    is_billed: bool
    quantities: Mapping[str, str]


class Stretch(NamedTuple):
    """What one charge is for: `[start, end)` under one price list and one quantity, if it has any."""

    start: datetime
    end: datetime
    phase: Phase


def known_phases(phases: Sequence[Phase], at: datetime) -> list[Phase]:
    """Return the phases that have begun by `at`; the one that holds then is taken to go on.

    What is planned for later is left out, so that what is billed as of an instant is the same
    whether it was worked out then or long afterwards.
    """
    known = [phase for phase in phases if phase.start <= at]
    if known and known[-1].end is not None:
        known[-1] = replace(known[-1], end=None)
    return known


def stretches(
    phases: Iterable[Phase],
    start: datetime,
    end: datetime,
    *,
    same: Callable[[Phase], Hashable],
) -> Iterator[Stretch]:
    """Cut `[start, end)` where `same` of the billed phases changes, and where nothing is billed.

    The phase of a stretch is its first.
    """
    current: Stretch | None = None
    for phase in phases:
        first = max(phase.start, start)
        last = end if phase.end is None else min(phase.end, end)
        if not phase.is_billed or first >= last:
            continue
        if current is not None and current.end == first and same(current.phase) == same(phase):
            current = current._replace(end=last)
            continue
        if current is not None:
            yield current
        current = Stretch(first, last, phase)
    if current is not None:
        yield current
