"""Plan versions: their terms and price lists, read strictly, written as drafts, then published."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Max

from billing.models import PlanVersion, Price
from billing.rating.arithmetic import RATE_PLACES
from billing.rating.documents import parse_unsigned
from billing.rating.prices import Price as RatedPrice
from billing.rating.prices import parse_prices
from billing.rating.usage import UsageKind
from billing.services.quotes import invalid_input_for_price_errors
from config.errors import DomainError, InvalidInputError
from config.validation import validate
from metering.models import Meter

# Amounts of money in the version's currency; null for none.
AMOUNT_FIELDS = ("invoice_threshold", "minimum_amount")
# What a version says besides its prices.
VERSION_FIELDS = (
    "customer",
    "currency",
    "interval",
    "interval_count",
    "is_addon",
    "trial_days",
    "grace_hours",
    "payment_days",
    *AMOUNT_FIELDS,
)


def write_version(
    version: PlanVersion, documents: Sequence[object], terms: Mapping[str, Any]
) -> PlanVersion:
    """Write a draft: its `terms`, which are of VERSION_FIELDS, and its price documents.

    A draft may have no prices yet, but those it has are right. Raises InvalidInputError naming the
    first wrong field.
    """
    set_terms(version, terms)
    prices = parsed_prices(documents)
    meters = known_meters(prices)
    version.save()
    version.prices.all().delete()
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
    return version


def freeze_version(version: PlanVersion, at: datetime) -> PlanVersion:
    """Publish a draft; from then on the database refuses changes.

    It takes a new number when a later one was published meanwhile. The caller has locked the plan.
    Raises DomainError for what is published already, InvalidInputError for a list without prices.
    """
    if not version.is_draft:
        raise DomainError(f"{version} is already published.", code="already_published")
    if not version.prices.exists():
        raise InvalidInputError("A plan needs at least one price.", field="prices")
    published = PlanVersion.objects.published().filter(plan=version.plan_id)
    if published.filter(number__gt=version.number).exists():
        version.number = next_number(version.plan_id)
    version.published_at = at
    version.save(update_fields=["number", "published_at"])
    return version


def next_number(plan_id: int) -> int:
    """Return the number after a plan's last, drafts counted. The caller has locked the plan."""
    numbers = PlanVersion.objects.filter(plan=plan_id)
    return (numbers.aggregate(last=Max("number"))["last"] or 0) + 1


def terms_of(version: PlanVersion) -> dict[str, Any]:
    return {name: getattr(version, name) for name in VERSION_FIELDS}


def documents_of(version: PlanVersion) -> list[dict[str, Any]]:
    return [price.document for price in version.prices.all()]


def set_terms(version: PlanVersion, terms: Mapping[str, Any]) -> None:
    """Give a version its terms; raises InvalidInputError naming the first wrong one."""
    terms = {**terms, **{name: parsed_amount(terms, name) for name in AMOUNT_FIELDS}}
    for name in VERSION_FIELDS:
        if name in terms:
            setattr(version, name, terms[name])
    check_customer(version)
    validate(version)


def parsed_amount(terms: Mapping[str, Any], name: str) -> Decimal | None:
    """Return an amount of money of some terms, exactly as it was written."""
    value = terms.get(name)
    if value is None:
        return None
    with invalid_input_for_price_errors():
        amount = parse_unsigned(value, name, places=RATE_PLACES)
    if name == "invoice_threshold" and not amount:
        raise InvalidInputError(
            "Write an amount above zero, or null to bill once a period.", field=name
        )
    return amount


def check_customer(version: PlanVersion) -> None:
    customer = version.customer
    if customer is not None and customer.currency != version.currency:
        raise InvalidInputError(
            f"{customer} pays in {customer.currency}: write its own version in that currency, "
            f"not in {version.currency}.",
            field="currency",
        )


def parsed_prices(documents: Sequence[object]) -> tuple[RatedPrice, ...]:
    """Read a price list; raises InvalidInputError naming the first wrong field."""
    with invalid_input_for_price_errors():
        prices = parse_prices(documents)
    for index, price in enumerate(prices):
        check_billable(price, f"prices.{index}")
    return prices


# What a price without a meter may charge for: nothing counted, or units the subscription states.
STATED_USAGE = (UsageKind.NOTHING, UsageKind.QUANTITY)


def check_billable(price: RatedPrice, path: str) -> None:
    """Refuse what can be quoted but not invoiced.

    Without a meter a subscription states how many units there are; it cannot state what is in events.
    """
    is_stated = price.model.usage_kind in STATED_USAGE and not price.model.reads_money
    if price.meter is None and not is_stated:
        raise InvalidInputError(
            f"A {price.model.key} price reads events: name the meter that counts them.",
            field=f"{path}.meter",
        )


def known_meters(prices: Iterable[RatedPrice]) -> dict[str, Meter]:
    """Return the meters of a price list by key; raises InvalidInputError for one not there."""
    prices = list(prices)
    keys = {price.meter for price in prices if price.meter is not None}
    meters = {meter.key: meter for meter in Meter.objects.current().filter(key__in=keys)}
    for index, price in enumerate(prices):
        if price.meter is not None and price.meter not in meters:
            raise InvalidInputError(
                f"There is no meter {price.meter!r}: create it first.",
                field=f"prices.{index}.meter",
            )
    return meters
