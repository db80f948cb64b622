"""From a subscription's changes to its phases: what holds from when until when."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

from billing.models import (
    PlanVersion,
    Subscription,
    SubscriptionChange,
    SubscriptionPhase,
)

type Anchors = dict[tuple[datetime, str, int], date | None]
Kind = SubscriptionChange.Kind
State = SubscriptionPhase.State


def write_phases(subscription: Subscription, at: datetime) -> list[SubscriptionPhase]:
    """Replace a subscription's phases by what its changes come to, and note what holds at `at`.

    The caller has locked the customer.
    """
    changes = subscription.changes.filter(withdrawn_at=None).exclude(kind=Kind.CANCEL)
    ordered = changes.select_related("plan_version").order_by("effective_at", "pk")
    found = phases_of(subscription, list(ordered), anchors_of(subscription))
    phases = until_end(found, subscription.end_at)
    subscription.phases.all().delete()
    SubscriptionPhase.objects.bulk_create(phases)
    begun = [phase for phase in phases if phase.start_at <= max(at, subscription.start_at)]
    subscription.plan_version = begun[-1].plan_version
    subscription.save(update_fields=["plan_version"])
    return phases


def anchors_of(subscription: Subscription) -> Anchors:
    """Return the days that rhythms were counted from so far, by their start, interval and count.

    They stay what they were where the customer lived then, wherever it has moved to since.
    """
    rows = list(subscription.phases.select_related("plan_version").order_by("start_at"))
    begun = rows[:1] + [
        after
        for before, after in pairwise(rows)
        if rhythm_of(before.plan_version) != rhythm_of(after.plan_version)
    ]
    return {(row.start_at, *rhythm_of(row.plan_version)): row.anchor_on for row in begun}


def rhythm_of(version: PlanVersion) -> tuple[str, int]:
    return version.interval, version.interval_count


def until_end(phases: list[SubscriptionPhase], end_at: datetime | None) -> list[SubscriptionPhase]:
    """Return the phases that a subscription comes to before it ends, its first in any case."""
    if end_at is None:
        return phases
    kept = [phase for phase in phases if phase.start_at < end_at]
    if not kept:
        return phases[:1]
    kept[-1].end_at = end_at
    return kept


def phases_of(
    subscription: Subscription, changes: Sequence[SubscriptionChange], anchors: Anchors
) -> list[SubscriptionPhase]:
    """Return the phases that changes come to, in the order of the instants they hold from.

    Of several changes at one instant the last one asked for wins where they contradict each other.
    """
    phases: list[SubscriptionPhase] = []
    for change in with_end_of_trial(subscription, changes):
        phase = SubscriptionPhase(
            subscription=subscription,
            start_at=change.effective_at,
            **terms_after(subscription, phases[-1] if phases else None, change, anchors),
        )
        if phases and phases[-1].start_at == phase.start_at:
            phases.pop()
        if phases:
            phases[-1].end_at = phase.start_at
        phases.append(phase)
    return phases


def with_end_of_trial(
    subscription: Subscription, changes: Sequence[SubscriptionChange]
) -> list[SubscriptionChange]:
    """Add the end of the trial to the changes, as one that nobody has to ask for."""
    if subscription.trial_end_at is None:
        return list(changes)
    end = SubscriptionChange(
        subscription=subscription, kind=Kind.TRIAL_END, effective_at=subscription.trial_end_at
    )
    return sorted([*changes, end], key=lambda change: change.effective_at)


def terms_after(
    subscription: Subscription,
    before: SubscriptionPhase | None,
    change: SubscriptionChange,
    anchors: Anchors,
) -> dict[str, Any]:
    """Return what holds after a change: what it says, and for the rest what held before."""
    version = change.plan_version
    if version is None:
        assert before is not None  # noqa: S101  # The first change names one.
        version = before.plan_version
    quantities = {**(before.quantities if before else {}), **change.quantities}
    return {
        "plan_version": version,
        "quantities": {key: units for key, units in quantities.items() if units is not None},
        "state": state_after(subscription, before, change),
        "anchor_on": anchor_after(subscription, before, version, change.effective_at, anchors),
    }


def state_after(
    subscription: Subscription, before: SubscriptionPhase | None, change: SubscriptionChange
) -> State:
    trial_end = subscription.trial_end_at
    if change.kind == Kind.PAUSE:
        return State.PAUSED
    is_paused = before is not None and before.state == State.PAUSED
    if is_paused and change.kind != Kind.RESUME:
        return State.PAUSED
    is_trial = trial_end is not None and change.effective_at < trial_end
    return State.TRIAL if is_trial else State.ACTIVE


def anchor_after(
    subscription: Subscription,
    before: SubscriptionPhase | None,
    version: PlanVersion,
    at: datetime,
    anchors: Anchors,
) -> date | None:
    """Return the day whose anniversaries cut periods: that of the start, or of a new rhythm.

    A trial comes before the first period, so its end is the day. `anchors` are those known already.
    """
    if subscription.anchor == Subscription.Anchor.CALENDAR:
        return None
    if before is not None and rhythm_of(before.plan_version) == rhythm_of(version):
        return before.anchor_on
    begun = (subscription.trial_end_at or at) if before is None else at
    today = begun.astimezone(subscription.customer.zone).date()
    return anchors.get((at, *rhythm_of(version)), today)


def end_of_trial(subscription: Subscription, days: int) -> datetime | None:
    """Return when a trial of so many days ends: at the same time of day, where the customer is."""
    if not days:
        return None
    zone = subscription.customer.zone
    # Wall-clock arithmetic: a day with a changed clock is a day.
    return (subscription.start_at.astimezone(zone) + timedelta(days=days)).astimezone(UTC)
