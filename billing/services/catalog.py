"""Verbs on plans: a price list is drafted, published, and then replaced, never changed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from billing.models import Plan, PlanVersion
from billing.selectors.catalog import sold_version
from billing.services.versions import (
    AMOUNT_FIELDS,
    documents_of,
    freeze_version,
    next_number,
    terms_of,
    write_version,
)
from config.errors import DomainError, InvalidInputError
from config.validation import validate
from customers.models import Customer


@transaction.atomic
def create_plan(
    *, key: str, name: str, prices: Sequence[object], at: datetime, **terms: Any
) -> PlanVersion:
    """Create a plan and publish its version 1.

    `prices` are price documents; `terms` are of `services.versions.VERSION_FIELDS`. Raises
    InvalidInputError naming the first wrong field, DomainError `already_exists` for a taken key.
    """
    return freeze_version(draft_plan(key=key, name=name, prices=prices, **terms), at)


@transaction.atomic
def draft_plan(*, key: str, name: str, prices: Sequence[object] = (), **terms: Any) -> PlanVersion:
    """Create a plan whose version 1 is a draft; nobody can subscribe to it yet."""
    plan = Plan(key=key, name=name)
    validate(plan)
    plan.save()
    return write_version(PlanVersion(plan=plan, number=1), prices, terms)


@transaction.atomic
def publish_new_version(*, plan: Plan, at: datetime, **changes: Any) -> PlanVersion:
    """Publish the plan's next version: the one that is sold now, with `changes`.

    `changes` are the arguments of `create_plan` without the key. With a `currency` or a `customer`
    among them, the next version is the next in that currency, or of that customer; what is sold in
    other currencies, or to others, stays. Subscriptions stay on the version they have. Raises as
    `create_plan` does, and InvalidInputError for no change.
    """
    return freeze_version(draft_version(plan=plan, **changes), at)


@transaction.atomic
def publish_version(
    *, plan: Plan, prices: Sequence[object], at: datetime, **terms: Any
) -> PlanVersion:
    """Publish the plan's next version from complete terms: what is left out has its default."""
    plan = lock_plan(plan, {})
    version = PlanVersion(plan=plan, number=next_number(plan.pk))
    return freeze_version(write_version(version, prices, terms), at)


@transaction.atomic
def rename_plan(*, plan: Plan, name: str) -> Plan:
    """Give a plan another name. Names have no versions: it is in force at once."""
    return lock_plan(plan, {"name": name})


@transaction.atomic
def draft_version(*, plan: Plan, **changes: Any) -> PlanVersion:
    """Begin the plan's next version as a draft; the arguments are those of `publish_new_version`.

    A new `name` of the plan is in force at once: names have no versions.
    """
    if not changes:
        raise InvalidInputError("Name at least one field to change.")
    plan = lock_plan(plan, changes)
    current = version_to_follow(plan, changes)
    check_amounts_are_written_anew(current, changes)
    prices = changes.pop("prices", documents_of(current))
    draft = PlanVersion(plan=plan, number=next_number(plan.pk))
    return write_version(draft, prices, terms_of(current) | changes)


@transaction.atomic
def change_draft(*, version: PlanVersion, **changes: Any) -> PlanVersion:
    """Change a draft. Raises DomainError for a published version, which never changes."""
    plan = lock_plan(version.plan, changes)
    draft = locked_draft(plan, version)
    prices = changes.pop("prices", documents_of(draft))
    return write_version(draft, prices, terms_of(draft) | changes)


@transaction.atomic
def publish_draft(*, version: PlanVersion, at: datetime, **changes: Any) -> PlanVersion:
    """Publish a draft with `changes`: new subscriptions get it from now on.

    Raises DomainError for a published version, InvalidInputError naming what is missing or wrong.
    """
    # The draft is written again: it may be older than the rules, or than a version of its meters.
    return freeze_version(change_draft(version=version, **changes), at)


@transaction.atomic
def begin_draft(
    *, plan: Plan, currency: str | None = None, customer: Customer | None = None
) -> PlanVersion:
    """Begin the plan's next version as a copy of what is sold now.

    In a currency that the plan is not sold in yet it begins without prices and amounts. Raises as
    `draft_version` does.
    """
    named = {"currency": currency, "customer": customer}
    changes: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    current = version_to_follow(plan, changes)
    if changes.setdefault("currency", current.currency) != current.currency:
        changes |= {"prices": [], **dict.fromkeys(AMOUNT_FIELDS)}
    return draft_version(plan=plan, **changes)


@transaction.atomic
def drop_draft(*, version: PlanVersion) -> None:
    """Delete a draft. Raises DomainError for a published version."""
    plan = lock_plan(version.plan, {})
    locked_draft(plan, version).delete()


def lock_plan(plan: Plan, changes: dict[str, Any]) -> Plan:
    """Return the plan locked, with the key and name of `changes` taken out of them and applied.

    Two people may publish at once: the second gets the number after the first.
    """
    if changes.pop("key", plan.key) != plan.key:
        raise InvalidInputError("A plan's key never changes; leave it out.", field="key")
    plan = Plan.objects.select_for_update().get(pk=plan.pk)
    name = changes.pop("name", plan.name)
    if name != plan.name:
        plan.name = name
        validate(plan)
        plan.save(update_fields=["name"])
    return plan


def version_to_follow(plan: Plan, changes: dict[str, Any]) -> PlanVersion:
    """Return the published version that the next one is made from.

    That is what a named customer would get today, else what is sold in a named currency, else the
    newest for everybody, else the newest of all. Raises DomainError when nothing was published yet.
    """
    customer = changes.get("customer")
    if customer is not None:
        changes.setdefault("currency", customer.currency)
    own = None if customer is None else sold_version(plan, customer)
    current = own or plan.current_version(changes.get("currency")) or plan.current_version()
    current = current or plan.versions.published().order_by("-number").first()
    if current is None:
        raise DomainError(
            f"{plan} has no published version to start from: publish its draft.",
            code="not_published",
        )
    return current


def check_amounts_are_written_anew(current: PlanVersion, changes: dict[str, Any]) -> None:
    """Refuse to take amounts of one currency for amounts of another."""
    currency = changes.get("currency", current.currency)
    if currency == current.currency:
        return
    amounts = [name for name in AMOUNT_FIELDS if getattr(current, name) is not None]
    for name in ("prices", *amounts):
        if name not in changes:
            raise InvalidInputError(
                f"{current.plan} has no version in {currency} yet: write its {name} "
                f"in {currency}, too.",
                field=name,
            )


def locked_draft(plan: Plan, version: PlanVersion) -> PlanVersion:
    """Return a version as it is now, under its locked plan; raises DomainError unless a draft."""
    current = plan.versions.filter(pk=version.pk).first()
    if current is None:
        raise DomainError("This draft was deleted meanwhile.", code="deleted")
    if not current.is_draft:
        raise DomainError(
            f"{current} is published and never changes: make the next version.",
            code="already_published",
        )
    return current
