"""Verbs on coupons: made, limited, redeemed on subscriptions."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Max

from billing.models import Coupon, CouponRedemption, Subscription
from billing.models.coupons import PROMISE
from billing.rating.errors import PriceError
from billing.rating.money import round_amount
from billing.rating.periods import months_later
from billing.selectors.subscriptions import contract_of, current_period
from billing.services.invoicing import lock_subscription, recompute_drafts
from config.errors import DomainError, InvalidInputError, NotFoundError
from config.validation import validate


@transaction.atomic
def create_coupon(*, key: str, name: str, **fields: Any) -> Coupon:
    """Make a coupon; `fields` are those of Coupon.

    Raises InvalidInputError naming the first wrong field, DomainError for a key that is taken.
    """
    coupon = Coupon(key=key, name=name, **fields)
    if coupon.amount_off is not None:
        coupon.amount_off = whole_amount(coupon)
    validate(coupon)
    coupon.save()
    return coupon


def whole_amount(coupon: Coupon) -> Any:
    try:
        amount = round_amount(coupon.amount_off, coupon.currency)
    except PriceError as error:
        raise InvalidInputError(
            "Name the currency of the amount, such as USD.", field="currency"
        ) from error
    if amount != coupon.amount_off:
        raise InvalidInputError(
            f"{coupon.amount_off} is no amount of {coupon.currency}: it has too many places.",
            field="amount_off",
        )
    return amount


@transaction.atomic
def update_coupon(*, coupon: Coupon, **fields: Any) -> Coupon:
    """Rename a coupon or change its limits. What it takes off was promised and is refused."""
    for name in PROMISE:
        if fields.pop(name, getattr(coupon, name)) != getattr(coupon, name):
            raise InvalidInputError(
                f"The {name} of a coupon never changes: make another one.", field=name
            )
    for name, value in fields.items():
        setattr(coupon, name, value)
    validate(coupon)
    coupon.save(update_fields=list(fields))
    return coupon


@transaction.atomic
def redeem_coupon(*, subscription: Subscription, coupon: Coupon, at: datetime) -> CouponRedemption:
    """Take a coupon off a subscription that runs, from its current period on and after the others.

    Drafts follow at once. One that was removed goes on where it was. Raises as `redeem_coupons`
    does, and DomainError for one that is on it and for a subscription that has ended.
    """
    locked = lock_subscription(subscription)
    if locked.end_at is not None and locked.end_at <= at:
        raise DomainError("This subscription has ended.", code="already_ended")
    redemption = locked.redemptions.filter(coupon=coupon).first()
    if redemption is not None and redemption.removed_at is None:
        raise DomainError(f"Coupon {coupon} is on it already.", code="already_redeemed")
    if redemption is None:
        now = max(at, locked.trial_end_at or locked.start_at)
        period = current_period(contract_of(locked), now)
        start = max(period.start, locked.trial_end_at or locked.start_at)
        [redemption] = redeemed(locked, [coupon.key], start, at)
    else:
        redemption.removed_at = None
        redemption.save(update_fields=["removed_at"])
    recompute_drafts(customer=locked.customer, at=at)
    return redemption


@transaction.atomic
def remove_coupon(*, subscription: Subscription, coupon: Coupon, at: datetime) -> CouponRedemption:
    """Take nothing off for a coupon any more. Drafts follow at once, issued documents stay.

    It counts as redeemed all the same. Raises NotFoundError for one that is not on it.
    """
    locked = lock_subscription(subscription)
    redemption = locked.redemptions.filter(coupon=coupon, removed_at=None).first()
    if redemption is None:
        raise NotFoundError(f"Coupon {coupon} is not on that subscription.")
    redemption.removed_at = at
    redemption.save(update_fields=["removed_at"])
    recompute_drafts(customer=locked.customer, at=at)
    return redemption


def redeem_coupons(
    *, subscription: Subscription, coupons: Sequence[Coupon], at: datetime
) -> list[CouponRedemption]:
    """Take coupons off a new subscription, in this order, from when it is first charged.

    The caller has locked the customer and is in a transaction. Raises DomainError for one that
    cannot be had any more, InvalidInputError for one that is named twice or in another currency.
    """
    keys = [coupon.key for coupon in coupons]
    if len({*keys}) < len(keys):
        raise InvalidInputError("Name each coupon once.", field="coupons")
    return redeemed(subscription, keys, subscription.trial_end_at or subscription.start_at, at)


def redeemed(
    subscription: Subscription, keys: Sequence[str], start: datetime, at: datetime
) -> list[CouponRedemption]:
    """Redeem coupons for what begins from `start` on, after those that are there already."""
    locked = locked_coupons(keys)
    for key in keys:
        check_redeemable(locked[key], subscription, at)
    first = subscription.redemptions.aggregate(last=Max("position"))["last"]
    return [
        CouponRedemption.objects.create(
            coupon=locked[key],
            subscription=subscription,
            position=position,
            redeemed_at=at,
            start_at=start,
            end_at=end_of(locked[key], subscription, start),
        )
        for position, key in enumerate(keys, 0 if first is None else first + 1)
    ]


def locked_coupons(keys: Sequence[str]) -> dict[str, Coupon]:
    """Return coupons, locked: two customers may redeem the last one at once.

    They are locked in one order, or callers would wait for each other.
    """
    rows = Coupon.objects.select_for_update().filter(key__in=keys).order_by("key")
    return {coupon.key: coupon for coupon in rows}


def check_redeemable(coupon: Coupon, subscription: Subscription, at: datetime) -> None:
    currency = subscription.plan_version.currency
    if coupon.currency not in {"", currency}:
        raise InvalidInputError(
            f"Coupon {coupon} is in {coupon.currency}, the plan in {currency}.", field="coupons"
        )
    if not coupon.is_active or (coupon.valid_until is not None and coupon.valid_until <= at):
        raise DomainError(f"Coupon {coupon} cannot be redeemed any more.", code="coupon_expired")
    redeemed = coupon.redemptions.count()
    if coupon.max_redemptions is not None and redeemed >= coupon.max_redemptions:
        raise DomainError(
            f"Coupon {coupon} has been redeemed {redeemed} times, which is all there are.",
            code="coupon_used_up",
        )
    own = coupon.redemptions.filter(subscription__customer=subscription.customer_id).count()
    if coupon.max_per_customer is not None and own >= coupon.max_per_customer:
        raise DomainError(
            f"{subscription.customer} has redeemed coupon {coupon} before.", code="coupon_used_up"
        )


def end_of(coupon: Coupon, subscription: Subscription, start: datetime) -> datetime | None:
    if coupon.duration_months is None:
        return None
    return months_later(start, coupon.duration_months, subscription.customer.zone)
