"""Verbs on plans: a price list is written once, published, and then replaced, never changed."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from billing.models import Plan, PlanVersion, Price
from billing.rating.prices import Price as RatedPrice
from billing.rating.prices import parse_prices
from billing.services.quotes import invalid_input_for_price_errors
from billing.services.terms import check_neutral
from config.errors import DomainError, InvalidInputError
from config.validation import validate
from metering.models import Meter

# What a version says besides its prices.
VERSION_FIELDS = ("currency", "interval", "interval_count", "grace_hours", "payment_days")
# Terms that a plan may name as long as they ask for nothing.
NEUTRAL_TERMS = {"trial_days": 0, "invoice_threshold": None, "minimum_amount": None}


@transaction.atomic
def create_plan(
    *, key: str, name: str, prices: Sequence[object], at: datetime, **terms: Any
) -> PlanVersion:
    """Create a plan and publish its version 1.

    `prices` are price documents; `terms` are the fields of PlanVersion, and those of NEUTRAL_TERMS
    at their neutral values. Raises InvalidInputError naming the first wrong field, DomainError
    `already_exists` for a taken key.
    """
    plan = Plan(key=key, name=name)
    validate(plan)
    plan.save()
    return publish_version(PlanVersion(plan=plan, number=1), prices, terms, at)


@transaction.atomic
def publish_new_version(*, plan: Plan, at: datetime, **changes: Any) -> PlanVersion:
    """Publish the plan's next version: the current one with `changes`.

    `changes` are the arguments of `create_plan` without the key. Subscriptions stay on the version
    they have; new ones get this. Raises as `create_plan` does, and InvalidInputError for no change.
    """
    if not changes:
        raise InvalidInputError("Name at least one field to change.")
    if changes.pop("key", plan.key) != plan.key:
        raise InvalidInputError("A plan's key never changes; leave it out.", field="key")
    # Two people may publish at once: the second gets the number after the first.
    plan = Plan.objects.select_for_update().get(pk=plan.pk)
    current = plan.current_version()
    if current is None:
        raise DomainError(f"{plan} has no published version to start from.", code="not_published")
    plan.name = changes.pop("name", plan.name)
    validate(plan)
    plan.save(update_fields=["name"])
    kept = [price.document for price in current.prices.all()]
    prices = changes.pop("prices", kept)
    terms = {name: getattr(current, name) for name in VERSION_FIELDS} | changes
    return publish_version(PlanVersion(plan=plan, number=current.number + 1), prices, terms, at)


def publish_version(
    version: PlanVersion, documents: Sequence[object], terms: Mapping[str, Any], at: datetime
) -> PlanVersion:
    """Write a version with its prices and publish it; from then on the database refuses changes."""
    check_neutral(terms, NEUTRAL_TERMS)
    for name in VERSION_FIELDS:
        if name in terms:
            setattr(version, name, terms[name])
    validate(version)
    prices = parsed_prices(documents)
    meters = known_meters(prices)
    version.save()
    Price.objects.bulk_create(
        Price(
            version=version,
            position=position,
            key=price.key,
            name=price.name,
            meter=meters.get(price.meter or ""),
            document=price.as_document(),
        )
        for position, price in enumerate(prices)
    )
    version.published_at = at
    version.save(update_fields=["published_at"])
    return version


def parsed_prices(documents: Sequence[object]) -> tuple[RatedPrice, ...]:
    """Read a complete price list; raises InvalidInputError naming the first wrong field."""
    if not documents:
        raise InvalidInputError("A plan needs at least one price.", field="prices")
    with invalid_input_for_price_errors():
        prices = parse_prices(documents)
    for index, price in enumerate(prices):
        check_billable(price, f"prices.{index}")
    return prices


def check_billable(price: RatedPrice, path: str) -> None:
    """Refuse what can be quoted but not invoiced."""
    if price.timing == "advance":
        raise InvalidInputError(
            'Fees are invoiced at the end of their period: write "arrears".', field=f"{path}.timing"
        )
    if price.meter is None and price.model.takes_usage:
        raise InvalidInputError(
            f"A {price.model.key} price counts units: name the meter that counts them.",
            field=f"{path}.meter",
        )


def known_meters(prices: Iterable[RatedPrice]) -> dict[str, Meter]:
    """Return the meters of a price list by key; raises InvalidInputError for one not there."""
    prices = list(prices)
    keys = {price.meter for price in prices if price.meter is not None}
    meters = {meter.key: meter for meter in Meter.objects.filter(key__in=keys)}
    for index, price in enumerate(prices):
        if price.meter is not None and price.meter not in meters:
            raise InvalidInputError(
                f"There is no meter {price.meter!r}: create it first.",
                field=f"prices.{index}.meter",
            )
    return meters
