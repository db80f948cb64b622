"""Verbs on customers, members and API keys."""

import hashlib
import hmac
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Q, Value
from django.db.models.functions import Coalesce, Greatest

from config.errors import DomainError, InvalidInputError, SuspendedError
from config.validation import validate
from customers.models import ApiKey, Customer, Membership, RememberedAnswer, TaxRate, User
from customers.principals import Scope
from customers.tax_ids import compact_tax_id

KEY_MARK = "tp"
SECRET_BYTES = 32
CUSTOMER_SCOPES = (Scope.EVENTS_WRITE, Scope.USAGE_READ, Scope.BILLING_READ)
# Writing "last used" at every request would turn each read of the API into a write.
LAST_USED_RESOLUTION = timedelta(minutes=1)
REMEMBERED_FOR = timedelta(days=1)
TRY_LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, %s))"


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key and its secret, which exists here and nowhere else."""

    api_key: ApiKey
    secret: str


@transaction.atomic
def create_customer(*, key: str, name: str, **fields: Any) -> Customer:
    """Create a customer; raises InvalidInputError naming the first field that is wrong.

    `tax_rates` are TaxRates; its invoices are taxed with all of them. With none it is charged those
    of its country, unless `is_taxed_by_country` says no.
    """
    tax_rates = fields.pop("tax_rates", ())
    customer = Customer(key=key, name=name, **fields)
    check_taxation(customer)
    validate(customer)
    customer.save()
    set_tax_rates(customer, tax_rates)
    return customer


@transaction.atomic
def update_customer(*, customer: Customer, **fields: Any) -> Customer:
    """Change a customer's details. The key names the customer for ever and is refused.

    Documents that are issued stay as they are; what is issued from now on follows the change.
    """
    if fields.get("key", customer.key) != customer.key:
        raise InvalidInputError("A customer's key never changes; leave it out.", field="key")
    for name, value in fields.items():
        if name != "tax_rates":
            setattr(customer, name, value)
    if fields.keys() & {"tax_id", "tax_status", "country"}:
        check_taxation(customer)
        fields |= {"tax_id": customer.tax_id, "country": customer.country}
    validate(customer)
    customer.save(update_fields=fields.keys() - {"tax_rates"})
    if "tax_rates" in fields:
        set_tax_rates(customer, fields["tax_rates"])
    # What was read of the place where it was is no longer so.
    customer.rates_of_country = None
    return customer


def check_taxation(customer: Customer) -> None:
    """Write the tax id as documents print it; raises InvalidInputError for one that cannot be."""
    customer.country = customer.country.upper()
    if customer.tax_id:
        try:
            customer.tax_id = compact_tax_id(customer.tax_id, customer.country)
        except ValueError as error:
            raise InvalidInputError(str(error), field="tax_id") from error
    elif customer.tax_status == Customer.TaxStatus.REVERSE_CHARGE:
        raise InvalidInputError(
            "Reverse charge is for customers that account for the tax themselves: "
            "name the tax id under which they do.",
            field="tax_id",
        )


def set_tax_rates(customer: Customer, tax_rates: Sequence[TaxRate]) -> None:
    """Charge a customer these taxes from now on; raises InvalidInputError for an inactive one."""
    had = set(customer.tax_rates.all())
    for rate in tax_rates:
        if not rate.is_active and rate not in had:
            raise InvalidInputError(f"{rate} is not in use any more.", field="tax_rates")
    if {*tax_rates} != had:
        customer.tax_rates.set(tax_rates)
    # What the caller had read before is no longer so.
    getattr(customer, "_prefetched_objects_cache", {}).pop("tax_rates", None)


@transaction.atomic
def create_tax_rate(
    *, key: str, name: str, is_default: bool | None = None, **fields: Any
) -> TaxRate:
    """Create a tax that customers can be charged; raises as `create_customer` does.

    Unless `is_default` is said, the first rate of a country or region is its default, and no other.
    """
    rate = TaxRate(key=key, name=name, **fields)
    rate.country = rate.country.upper()
    rate.is_default = is_first_of_its_place(rate) if is_default is None else is_default
    check_default(rate)
    validate(rate)
    rate.save()
    return rate


@transaction.atomic
def update_tax_rate(*, tax_rate: TaxRate, **fields: Any) -> TaxRate:
    """Rename a tax rate, or say where it is from and whether customers can still be given it."""
    for name in ("key", "percent"):
        if fields.get(name, getattr(tax_rate, name)) != getattr(tax_rate, name):
            raise InvalidInputError(
                f"A tax rate's {name} never changes: make another rate and give it to customers.",
                field=name,
            )
        fields.pop(name, None)
    for name, value in fields.items():
        setattr(tax_rate, name, value)
    tax_rate.country = tax_rate.country.upper()
    check_default(tax_rate)
    validate(tax_rate)
    tax_rate.save(update_fields=list(fields))
    return tax_rate


def is_first_of_its_place(rate: TaxRate) -> bool:
    same = TaxRate.objects.filter(country=rate.country, region__iexact=rate.region)
    return bool(rate.country) and not same.filter(is_default=True, is_active=True).exists()


def check_default(rate: TaxRate) -> None:
    if rate.is_default and not rate.country:
        raise InvalidInputError(
            "A rate that is charged by default names the country whose customers are charged it.",
            field="country",
        )


@transaction.atomic
def add_member(*, customer: Customer, user: User, role: str = Membership.Role.OWNER) -> Membership:
    """Let a person into a customer's portal, or change the role they have there."""
    membership, _ = Membership.objects.update_or_create(
        customer=customer, user=user, defaults={"role": role}
    )
    return membership


@transaction.atomic
def create_api_key(
    *,
    name: str,
    at: datetime,
    customer: Customer | None = None,
    scopes: Collection[str] = CUSTOMER_SCOPES,
    event_types: Collection[str] = (),
    rate_limit: int | None = None,
    expires_at: datetime | None = None,
    created_by: User | None = None,
) -> IssuedKey:
    """Make a key; its secret is returned once and cannot be read again.

    `event_types` are all that it may report, unless there are none; `rate_limit` is in requests a
    minute. Raises InvalidInputError for an unknown or missing scope, for `admin` on a customer's key, and
    for an expiry in the past.
    """
    if not scopes:
        known = ", ".join(Scope)
        raise InvalidInputError(f"Give the key at least one scope of {known}.", field="scopes")
    if customer is not None and Scope.ADMIN in scopes:
        message = "Only an operator key, one without a customer, may have the scope admin."
        raise InvalidInputError(message, field="scopes")
    if expires_at is not None and expires_at <= at:
        raise InvalidInputError("The expiry must lie in the future.", field="expires_at")
    prefix = f"{KEY_MARK}_{secrets.token_hex(6)}"
    secret = f"{prefix}_{secrets.token_urlsafe(SECRET_BYTES)}"
    api_key = ApiKey(
        customer=customer,
        name=name,
        prefix=prefix,
        secret_digest=digest_of(secret),
        scopes=sorted(set(scopes)),
        event_types=sorted(set(event_types)),
        rate_limit=rate_limit,
        created_at=at,
        created_by=created_by,
        expires_at=expires_at,
        suspended_at=None if customer is None else suspended_since(customer),
    )
    validate(api_key)
    api_key.save()
    return IssuedKey(api_key=api_key, secret=secret)


def suspended_since(customer: Customer) -> datetime | None:
    """Return since when a customer's keys are suspended; nobody changes that meanwhile."""
    return Customer.objects.select_for_update(no_key=True).get(pk=customer.pk).suspended_at


def suspend_keys(*, customer: Customer, at: datetime) -> None:
    """Refuse all keys of a customer, those it makes from now on too; the caller has locked it."""
    customer.suspended_at = at
    customer.save(update_fields=["suspended_at"])
    customer.api_keys.filter(suspended_at=None).update(suspended_at=at)


def restore_keys(*, customer: Customer) -> None:
    """Let all keys of a customer work again; the caller has locked it."""
    customer.suspended_at = None
    customer.save(update_fields=["suspended_at"])
    customer.api_keys.exclude(suspended_at=None).update(suspended_at=None)


def revoke_api_key(*, api_key: ApiKey, at: datetime) -> None:
    """Stop a key at once and for good; revoking twice keeps the first instant."""
    if not ApiKey.objects.filter(pk=api_key.pk, revoked_at=None).update(revoked_at=at):
        raise DomainError("This key is already revoked.", code="already_revoked")
    api_key.revoked_at = at


def authenticate_api_key(*, secret: str, at: datetime) -> ApiKey | None:
    """Return the usable key with this secret, or None; notes when it was last used.

    Raises SuspendedError for one that is suspended until its customer pays.
    """
    prefix = secret_prefix(secret)
    # Every request asks this: an order and the customer's columns would cost it time.
    api_key = next(iter(ApiKey.objects.filter(prefix=prefix).order_by()), None)
    expected = bytes(api_key.secret_digest) if api_key else bytes(32)
    is_right = hmac.compare_digest(expected, digest_of(secret))
    if api_key is None or not is_right or not api_key.is_usable(at):
        return None
    if api_key.suspended_at is not None:
        raise SuspendedError(
            "This API key is suspended, with all others of its customer, until its overdue "
            "invoices are paid. The portal says which they are."
        )
    note_use(api_key, at)
    return api_key


def take_turn(*, api_key: ApiKey, at: datetime) -> timedelta | None:
    """Let one request through if the key's rate limit leaves room for it.

    Returns None when it does, otherwise how long to wait. A minute's worth may be spent at once;
    it comes back evenly. Any number of processes may ask at the same time.
    """
    if api_key.rate_limit is None:
        return None
    cost = timedelta(minutes=1) / api_key.rate_limit
    free_at = at + timedelta(minutes=1)
    # https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm, in one statement.
    spent_until = Greatest(Coalesce("spent_until", Value(at)), Value(at)) + cost
    row = ApiKey.objects.filter(pk=api_key.pk)
    has_room = Q(spent_until=None) | Q(spent_until__lte=free_at - cost)
    if row.filter(has_room).update(spent_until=spent_until):
        return None
    spent = row.values_list("spent_until", flat=True).first() or at
    return max(spent - (free_at - cost), timedelta(0))


def secret_prefix(secret: str) -> str:
    """Return the part of a secret that may be stored and shown: its first two parts."""
    return "_".join(secret.split("_", 2)[:2])


def digest_of(secret: str) -> bytes:
    """Return the SHA-256 of a secret. It holds 256 random bits, so a slow hash adds nothing."""
    return hashlib.sha256(secret.encode()).digest()


def note_use(api_key: ApiKey, at: datetime) -> None:
    if api_key.last_used_at is not None and api_key.last_used_at >= at - LAST_USED_RESOLUTION:
        return
    stale = Q(last_used_at=None) | Q(last_used_at__lt=at - LAST_USED_RESOLUTION)
    ApiKey.objects.filter(stale, pk=api_key.pk).update(last_used_at=at)


def take_answer_lock(*, api_key: ApiKey, name: str) -> bool:
    """Let one transaction at a time work under this name; False while another does."""
    with connection.cursor() as cursor:
        cursor.execute(TRY_LOCK, [f"customers.answers {name}", api_key.pk])
        return bool(cursor.fetchone()[0])


def find_answer(*, api_key: ApiKey, name: str, at: datetime) -> RememberedAnswer | None:
    fresh = RememberedAnswer.objects.filter(created_at__gt=at - REMEMBERED_FOR)
    return fresh.filter(api_key=api_key, name=name).first()


def remember_answer(
    *, api_key: ApiKey, name: str, request_digest: bytes, status: int, body: str, at: datetime
) -> None:
    RememberedAnswer.objects.update_or_create(
        api_key=api_key,
        name=name,
        defaults={
            "request_digest": request_digest,
            "status": status,
            "body": body,
            "created_at": at,
        },
    )


def forget_answers(*, at: datetime) -> int:
    """Delete the answers that are too old to be given again; return how many."""
    deleted, _ = RememberedAnswer.objects.filter(created_at__lte=at - REMEMBERED_FOR).delete()
    return deleted
