"""Verbs on subscriptions: start, change, pause, resume, cancel."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal

from django.db import transaction
from django.db.models import F, Q

from billing.models import (
    Coupon,
    Plan,
    PlanVersion,
    Subscription,
    SubscriptionChange,
    SubscriptionPhase,
)
from billing.rating.arithmetic import QUANTITY_PLACES, plain
from billing.rating.documents import parse_unsigned
from billing.selectors.catalog import sold_version
from billing.selectors.price_lists import price_lists
from billing.selectors.subscriptions import (
    contract_of,
    current_period,
    end_of_rhythm,
    period_from,
)
from billing.services.coupons import redeem_coupons
from billing.services.invoicing import lock_customers, lock_subscription, recompute_drafts
from billing.services.phases import end_of_trial, write_phases
from billing.services.quotes import invalid_input_for_price_errors
from config.errors import DomainError, InvalidInputError, NotFoundError
from customers.models import Customer

# A mistyped year must not make thousands of invoices, nor reach the end of the calendar.
EARLIEST_START = datetime(2000, 1, 1, tzinfo=UTC)
END_OF_TIME = datetime(2100, 1, 1, tzinfo=UTC)
Kind = SubscriptionChange.Kind
# What of a period depends on how often it is billed.
RHYTHM_FIELDS = ("period_end", "full_start", "full_end", "starts_rhythm")
type When = datetime | Literal["period_end"] | None


@transaction.atomic
def create_subscription(
    *,
    customer: Customer,
    plan: Plan,
    start_at: datetime,
    at: datetime | None = None,
    anchor: str = Subscription.Anchor.CALENDAR,
    quantities: Mapping[str, object] | None = None,
    trial_days: int | None = None,
    coupons: Sequence[Coupon] = (),
) -> Subscription:
    """Subscribe a customer from `start_at` on to the version of a plan that is sold to it.

    `quantities` are units by the key of their price, `trial_days` those of the plan unless given;
    `coupons` are taken off in their order. `at` is when it was asked for. Raises
    DomainError for a plan without a published version for this customer, for a plan it already has
    at that time and for an add-on without a base plan, and InvalidInputError for a plan in another
    currency, for quantities that the plan does not take, and for a start before EARLIEST_START or
    from END_OF_TIME on.
    """
    if start_at < EARLIEST_START:
        raise InvalidInputError(
            f"A subscription starts in {EARLIEST_START.year} at the earliest.", field="start_at"
        )
    check_not_too_late(start_at, field="start_at")
    # Two requests may subscribe the customer at once.
    [customer] = lock_customers([customer.pk])
    version = version_for(customer, plan)
    check_not_subscribed(customer, version, start_at)
    check_base_plan(customer, version, start_at)
    subscription = Subscription(
        customer=customer, plan_version=version, start_at=start_at, anchor=check_anchor(anchor)
    )
    days = version.trial_days if trial_days is None else trial_days
    subscription.trial_end_at = end_of_trial(subscription, days)
    units = parsed_quantities(quantities or {}, version)
    check_complete(units, version)
    subscription.save()
    SubscriptionChange.objects.create(
        subscription=subscription,
        kind=Kind.START,
        requested_at=at or start_at,
        effective_at=start_at,
        plan_version=version,
        quantities=units,
    )
    write_phases(subscription, start_at)
    redeem_coupons(subscription=subscription, coupons=coupons, at=at or start_at)
    return subscription


def check_not_too_late(instant: datetime, field: str) -> None:
    if instant >= END_OF_TIME:
        raise InvalidInputError(f"Name an instant before {END_OF_TIME.year}.", field=field)


def check_anchor(anchor: str) -> str:
    if anchor not in Subscription.Anchor.values:
        raise InvalidInputError(
            f"Write {' or '.join(Subscription.Anchor.values)}, not {anchor:.40}.", field="anchor"
        )
    return anchor


def version_for(customer: Customer, plan: Plan) -> PlanVersion:
    """Return the version of a plan that a customer gets; raises as `create_subscription` does."""
    version = sold_version(plan, customer)
    if version is not None:
        return version
    other = plan.current_version()
    if other is None:
        raise DomainError(
            f"{plan} has no published version that {customer} may have.", code="not_published"
        )
    raise InvalidInputError(
        f"{plan} is priced in {other.currency}, but {customer} pays in {customer.currency}: "
        "choose a plan in the customer's currency.",
        field="plan",
    )


def check_base_plan(customer: Customer, version: PlanVersion, start_at: datetime) -> None:
    """Refuse an add-on to nothing: it is sold beside a plan that is no add-on."""
    base = Subscription.objects.filter(customer=customer, plan_version__is_addon=False)
    if version.is_addon and not base.active(start_at).exists():
        raise DomainError(
            f"{version.plan} is an add-on, and {customer} has no plan at that time to add it to: "
            "subscribe it to a base plan first.",
            code="no_base_plan",
        )


def check_not_subscribed(
    customer: Customer, version: PlanVersion, start_at: datetime, *, but: int | None = None
) -> None:
    """Refuse a second subscription to one plan: it would bill the same usage twice."""
    plans = Q(phases__plan_version__plan=version.plan_id) & (
        Q(phases__end_at=None) | Q(phases__end_at__gt=start_at)
    )
    same = Subscription.objects.filter(plans, customer=customer)
    if but is not None:
        same = same.exclude(pk=but)
    lasting = same.filter(Q(end_at=None) | Q(end_at__gt=start_at)).exclude(end_at=F("start_at"))
    earlier = lasting.first()
    if earlier is not None:
        raise DomainError(
            f"{customer} already has {version.plan} from {earlier.start_at.isoformat()} on: "
            "cancel that subscription first.",
            code="already_subscribed",
        )


def parsed_quantities(quantities: Mapping[str, object], version: PlanVersion) -> dict[str, str]:
    """Return units by price; raises InvalidInputError for a price that takes none."""
    licensed = price_lists([version.pk])[version.pk].licensed
    units: dict[str, str] = {}
    for key, value in quantities.items():
        field = f"quantities.{key}"
        if key not in licensed:
            known = f"It takes {', '.join(licensed)}." if licensed else "It takes none."
            raise InvalidInputError(
                f"{version.plan} takes no quantity of {key!r:.40}. {known}", field=field
            )
        with invalid_input_for_price_errors():
            units[key] = plain(parse_unsigned(value, field, places=QUANTITY_PLACES))
    return units


def check_complete(quantities: Mapping[str, str], version: PlanVersion) -> None:
    for key in price_lists([version.pk])[version.pk].licensed:
        if key not in quantities:
            raise InvalidInputError(
                f'{version.plan} charges for units of {key}: say how many, such as {{"{key}": "5"}}.',
                field="quantities",
            )


@transaction.atomic
def change_subscription(
    *,
    subscription: Subscription,
    at: datetime,
    plan: Plan | None = None,
    quantities: Mapping[str, object] | None = None,
    effective_at: When = None,
) -> Subscription:
    """Move a subscription to another plan or other quantities, now, at an instant or at period end.

    What was used before the instant stays priced as it was; prepaid fees for the time after it are
    given back. An instant in the past is possible: what was billed since is put right on the next
    document. Raises DomainError for a subscription that has ended by then, InvalidInputError for
    a change of nothing, a plan or quantities that do not fit, and an instant before the start.
    """
    if plan is None and not quantities:
        raise InvalidInputError("Name a plan or quantities to change.", field="plan")
    locked = lock_subscription(subscription)
    instant = chosen_instant(locked, at, effective_at)
    check_runs(locked, instant)
    phase = phase_at(locked, instant)
    version = phase.plan_version if plan is None else version_for(locked.customer, plan)
    if plan is not None:
        check_rhythm(locked, phase.plan_version, version, instant)
        check_not_subscribed(locked.customer, version, instant, but=locked.pk)
    units = parsed_quantities(quantities or {}, version)
    licensed = price_lists([version.pk])[version.pk].licensed
    kept = {key: value for key, value in phase.quantities.items() if key in licensed}
    check_complete({**kept, **units}, version)
    SubscriptionChange.objects.create(
        subscription=locked,
        kind=Kind.CHANGE,
        requested_at=at,
        effective_at=instant,
        plan_version=version if plan is not None else None,
        quantities=units,
    )
    return changed(locked, at, instant)


def check_rhythm(
    subscription: Subscription, old: PlanVersion, new: PlanVersion, instant: datetime
) -> None:
    """Refuse another interval from within a period that has been closed."""
    if (old.interval, old.interval_count) == (new.interval, new.interval_count):
        return
    closed = subscription.periods.filter(period_end__gt=instant).exclude(closed_at=None)
    if (latest := closed.order_by("-period_end").first()) is not None:
        raise DomainError(
            f"{new.plan} is billed in another rhythm, and what came until "
            f"{latest.period_end.isoformat()} is billed already: change from then on.",
            code="already_invoiced",
        )


@transaction.atomic
def pause_subscription(
    *, subscription: Subscription, at: datetime, effective_at: When = None
) -> Subscription:
    """Charge nothing from an instant on until it is resumed; prepaid fees are given back.

    Usage meanwhile is counted and not charged. Raises DomainError for a subscription that has ended
    or is paused by then.
    """
    return switch(subscription, at, effective_at, Kind.PAUSE)


@transaction.atomic
def resume_subscription(
    *, subscription: Subscription, at: datetime, effective_at: When = None
) -> Subscription:
    """Charge again from an instant on. Raises DomainError for one that is not paused then."""
    return switch(subscription, at, effective_at, Kind.RESUME)


def switch(
    subscription: Subscription, at: datetime, effective_at: When, kind: Kind
) -> Subscription:
    locked = lock_subscription(subscription)
    instant = chosen_instant(locked, at, effective_at)
    check_runs(locked, instant)
    is_paused = phase_at(locked, instant).state == SubscriptionPhase.State.PAUSED
    if is_paused == (kind == Kind.PAUSE):
        state = "already paused" if is_paused else "not paused"
        raise DomainError(f"The subscription is {state} at that time.", code="not_applicable")
    SubscriptionChange.objects.create(
        subscription=locked, kind=kind, requested_at=at, effective_at=instant
    )
    return changed(locked, at, instant)


@transaction.atomic
def cancel_subscription(
    *, subscription: Subscription, at: datetime, end_at: When = None
) -> Subscription:
    """End a subscription at an instant (now, by default) or with its current billing period.

    An end in the past is possible: what was billed beyond it is given back. Raises DomainError for
    a subscription that has ended, InvalidInputError for an end before the start.
    """
    locked = lock_subscription(subscription)
    if locked.end_at is not None and locked.end_at <= at:
        raise DomainError("This subscription has already ended.", code="already_ended")
    before = locked.end_at
    locked.end_at = chosen_instant(locked, at, end_at)
    locked.canceled_at = at
    locked.save(update_fields=["end_at", "canceled_at"])
    SubscriptionChange.objects.create(
        subscription=locked, kind=Kind.CANCEL, requested_at=at, effective_at=locked.end_at
    )
    return changed(locked, at, min(locked.end_at, before or locked.end_at))


@transaction.atomic
def withdraw_change(*, subscription: Subscription, change_id: int, at: datetime) -> Subscription:
    """Take a planned change back before it holds; a planned end too.

    Raises NotFoundError for one that is not the subscription's, DomainError for one that holds already, that was taken back, or that began it all.
    """
    locked = lock_subscription(subscription)
    change = locked.changes.filter(pk=change_id).first()
    if change is None:
        raise NotFoundError(f"The subscription has no change {change_id}.")
    if change.kind == Kind.START or change.effective_at <= at or change.withdrawn_at is not None:
        raise DomainError(
            "Only a change that is still to come can be taken back.", code="not_withdrawable"
        )
    change.withdrawn_at = at
    change.save(update_fields=["withdrawn_at"])
    if change.kind == Kind.CANCEL:
        ends = locked.changes.filter(kind=Kind.CANCEL, withdrawn_at=None)
        last = ends.order_by("-pk").first()
        locked.end_at = None if last is None else last.effective_at
        locked.canceled_at = None if last is None else last.requested_at
        locked.save(update_fields=["end_at", "canceled_at"])
    return changed(locked, at, change.effective_at)


def chosen_instant(subscription: Subscription, at: datetime, wish: When) -> datetime:
    """Return the instant that a wish names; nothing means now, but not before the start.

    Raises InvalidInputError for an instant before the start, and from END_OF_TIME on.
    """
    if wish is None:
        return max(at, subscription.start_at)
    if wish == "period_end":
        now = max(at, subscription.start_at)
        return current_period(contract_of(subscription), now).end
    if wish < subscription.start_at:
        raise InvalidInputError(
            f"The subscription starts at {subscription.start_at.isoformat()}: "
            "name that instant or a later one.",
            field="at",
        )
    check_not_too_late(wish, field="at")
    return wish


def check_runs(subscription: Subscription, instant: datetime) -> None:
    if subscription.end_at is not None and subscription.end_at <= instant:
        raise DomainError(
            f"The subscription ends at {subscription.end_at.isoformat()}, before that change.",
            code="already_ended",
        )


def phase_at(subscription: Subscription, instant: datetime) -> SubscriptionPhase:
    begun = subscription.phases.filter(start_at__lte=instant).select_related("plan_version__plan")
    phase = begun.order_by("-start_at").first()
    if phase is None:
        raise DomainError("This subscription has no phases.", code="not_started")
    return phase


def changed(subscription: Subscription, at: datetime, since: datetime) -> Subscription:
    """Have everything follow from a change that holds `since` an instant: phases, periods, drafts."""
    write_phases(subscription, at)
    fit_periods(subscription, at, since)
    recompute_drafts(customer=subscription.customer, at=at)
    return subscription


def fit_periods(subscription: Subscription, at: datetime, since: datetime) -> None:
    """Let stored periods follow: cut where the rhythm changes, compared anew where they are billed.

    A period whose end no instant to come will bill is closed, so that what it is worth is settled
    by comparison.
    """
    affected = subscription.periods.filter(period_end__gt=since)
    affected.exclude(closed_at=None).update(is_stale=True)
    contract = contract_of(subscription)
    for period in affected.filter(closed_at=None):
        period.period_end = end_of_rhythm(contract, period.period_start, period.full_end)
        if since <= period.period_start:
            # It may be of another rhythm now.
            fitting = period_from(contract, period.period_start, period.time_zone)
            for name in RHYTHM_FIELDS:
                setattr(period, name, getattr(fitting, name))
        period.is_stale = period.is_stale or subscription.is_billed(since)
        if subscription.is_billed(contract.end_of(period)):
            period.closed_at, period.is_stale = at, True
        period.save(update_fields=[*RHYTHM_FIELDS, "closed_at", "is_stale"])
