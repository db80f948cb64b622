"""Who is billed, who may look, and the keys that programs use."""

from __future__ import annotations

import re
import zoneinfo
from datetime import datetime
from functools import cache
from typing import Any, ClassVar, override

import pgtrigger
from babel import Locale
from babel.numbers import get_currency_precision, list_currencies
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import (
    DecimalValidator,
    MaxValueValidator,
    MinValueValidator,
    RegexValidator,
)
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone

from customers.principals import Principal, Scope
from customers.tenancy import CustomerOwnedQuerySet

COUNTRIES = frozenset(
    code for code in map(str, Locale("en").territories) if len(code) == 2 and code.isalpha()
) - {"EU", "EZ", "QO", "UN", "XA", "XB", "ZZ"}
COUNTRY_HELP = "Two letters by ISO 3166, such as FR."
MOST_REQUESTS_A_MINUTE = 1_000_000

validate_key = RegexValidator(
    re.compile(r"\A[A-Za-z0-9][A-Za-z0-9._:-]{0,99}\Z"),
    "A key is 1 to 100 letters, digits, dots, colons, hyphens or underscores, "
    "and starts with a letter or digit.",
)


@cache
def time_zones() -> frozenset[str]:
    """Return the names of all time zones, which are read from 600 files."""
    return frozenset(zoneinfo.available_timezones())


def validate_time_zone(name: str) -> None:
    if name not in time_zones():
        message = f"{name!r} is no IANA time zone; write one such as UTC or Europe/Paris."
        raise ValidationError(message)


def validate_currency(code: str) -> None:
    if code not in list_currencies():
        raise ValidationError(f"{code!r} is no ISO 4217 currency; write one such as USD or EUR.")


def validate_country(code: str) -> None:
    # Services write it in capitals.
    if code.upper() not in COUNTRIES:
        raise ValidationError(f"{code!r} is no country by ISO 3166; write two letters such as FR.")


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        user = self.model(email=self.normalize_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    @override
    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(email__iexact=username)


class User(AbstractBaseUser, PermissionsMixin):
    """A person who logs in with an e-mail address: staff, or a member of customers."""

    email = models.EmailField(max_length=254, unique=True)
    name = models.CharField(max_length=200, blank=True)
    is_staff = models.BooleanField(default=False, help_text="May log in to the admin.")
    is_active = models.BooleanField(default=True, help_text="Clear this instead of deleting.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        constraints = [
            models.UniqueConstraint(
                Lower("email"),
                name="customers_user_email_unique",
                violation_error_message="A user with this e-mail address already exists.",
            )
        ]

    @override
    def __str__(self) -> str:
        return self.name or self.email

    def principal(self) -> Principal:
        """Return what this person may see: every customer for staff, otherwise their own."""
        customer_ids = (
            None
            if self.is_staff
            else frozenset(self.memberships.values_list("customer_id", flat=True))
        )
        return Principal(customer_ids=customer_ids, user_id=self.pk)


class TaxRate(models.Model):
    """A tax that customers are charged, such as a country's VAT.

    Its percent never changes: issued documents were worked out with it. A new rate is a new row.
    """

    key = models.CharField(
        max_length=100,
        unique=True,
        validators=[validate_key],
        help_text="How programs name this rate. It never changes.",
    )
    name = models.CharField(max_length=100, help_text="As invoices print it, such as VAT.")
    percent = models.DecimalField(
        max_digits=None,
        decimal_places=None,
        validators=[MinValueValidator(0), MaxValueValidator(100), DecimalValidator(7, 4)],
        help_text="In percent of what is left after discounts. It never changes.",
    )
    country = models.CharField(
        max_length=2, blank=True, validators=[validate_country], help_text=COUNTRY_HELP
    )
    region = models.CharField(
        max_length=100, blank=True, help_text="A state or province, where the tax is one's own."
    )
    is_default = models.BooleanField(
        "charged by default",
        default=False,
        help_text="Taxable customers there that have no rates of their own are charged it.",
    )
    is_active = models.BooleanField(
        default=True, help_text="Cleared, no further customer can be given it."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["key"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(percent__gte=0, percent__lte=100),
                name="customers_taxrate_percent_of_a_whole",
            ),
            models.CheckConstraint(
                condition=models.Q(is_default=False) | ~models.Q(country=""),
                name="customers_taxrate_default_of_a_country",
                violation_error_message="Name the country whose customers are charged it.",
            ),
        ]
        triggers = [
            pgtrigger.ReadOnly(name="a_rate_never_changes", fields=["key", "percent"]),
            pgtrigger.Protect(name="a_rate_is_never_deleted", operation=pgtrigger.Delete),
        ]

    @override
    def __str__(self) -> str:
        return f"{self.name} ({self.key})"


class CustomerQuerySet(CustomerOwnedQuerySet["Customer"]):
    customer_path = "pk"


class Customer(models.Model):
    """A company that is billed. Usage, prices and documents all hang on it."""

    class TaxStatus(models.TextChoices):
        TAXABLE = "taxable", "Taxable"
        EXEMPT = "exempt", "Exempt"
        REVERSE_CHARGE = "reverse_charge", "Reverse charge"

    key = models.CharField(
        max_length=100,
        unique=True,
        validators=[validate_key],
        help_text="How programs name this customer. It never changes.",
    )
    name = models.CharField(max_length=200)
    email = models.EmailField(blank=True, help_text="Where invoices are sent.")
    currency = models.CharField(max_length=3, default="USD", validators=[validate_currency])
    time_zone = models.CharField(
        max_length=64,
        default="UTC",
        validators=[validate_time_zone],
        help_text="Days, months and billing periods begin at midnight here.",
    )
    locale = models.CharField(max_length=20, default="en", help_text="Such as en, fr or de-CH.")
    address_line1 = models.CharField(max_length=200, blank=True)
    address_line2 = models.CharField(max_length=200, blank=True)
    city = models.CharField(max_length=100, blank=True)
    state = models.CharField(max_length=100, blank=True)
    postal_code = models.CharField(max_length=20, blank=True)
    country = models.CharField(
        max_length=2, blank=True, validators=[validate_country], help_text=COUNTRY_HELP
    )
    tax_status = models.CharField(
        max_length=20,
        choices=TaxStatus,
        default=TaxStatus.TAXABLE,
        help_text="Whether its tax rates are charged; invoices say why they are not.",
    )
    tax_id = models.CharField(
        "tax id", max_length=40, blank=True, help_text="Such as a VAT number: DE136695976."
    )
    tax_rates = models.ManyToManyField(
        TaxRate,
        blank=True,
        related_name="customers",
        help_text="Each is worked out on its own; they add up.",
    )
    is_taxed_by_country = models.BooleanField(
        "taxed by country",
        default=True,
        help_text="While it has no tax rates of its own, it is charged those of its country.",
    )
    grace_hours = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MaxValueValidator(8784)],
        help_text="How long drafts wait for late usage; empty for what the plan says.",
    )
    consolidate_invoices = models.BooleanField(
        default=False,
        help_text="One invoice for all subscriptions whose periods end together.",
    )
    payment_days = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MaxValueValidator(366)],
        help_text="Days from issue until an invoice is due; empty for what the plan says.",
    )
    dunning = models.BooleanField(
        default=True,
        help_text="Whether anything happens when invoices are not paid in time: reminders, the "
        "flag, suspended API keys.",
    )
    suspended_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="Since when its API keys are suspended, because invoices are long overdue.",
    )
    receives_emails = models.BooleanField(
        default=True,
        help_text="Whether invoices, reminders and the like are sent to the e-mail address.",
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = CustomerQuerySet.as_manager()

    # The default tax rates of its address, once a selector has read them.
    rates_of_country: list[TaxRate] | None = None

    class Meta:
        ordering = ["name"]

    @override
    def __str__(self) -> str:
        return self.name

    @property
    def zone(self) -> zoneinfo.ZoneInfo:
        return zoneinfo.ZoneInfo(self.time_zone)

    @property
    def currency_exponent(self) -> int:
        """Decimal places of the customer's currency (ISO 4217): USD 2, JPY 0, KWD 3."""
        return int(get_currency_precision(self.currency))


class MembershipQuerySet(CustomerOwnedQuerySet["Membership"]):
    pass


class Membership(models.Model):
    """A person's access to one customer's portal."""

    class Role(models.TextChoices):
        OWNER = "owner", "Owner"
        DEVELOPER = "developer", "Developer"
        VIEWER = "viewer", "Viewer"

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=20, choices=Role, default=Role.OWNER)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = MembershipQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["customer", "user"], name="customers_membership_once_per_customer"
            )
        ]

    @override
    def __str__(self) -> str:
        return f"{self.user} at {self.customer}"

    @property
    def can_manage_keys(self) -> bool:
        return self.role in {self.Role.OWNER, self.Role.DEVELOPER}


class ApiKeyQuerySet(CustomerOwnedQuerySet["ApiKey"]):
    def usable(self, at: datetime) -> ApiKeyQuerySet:
        """Return keys neither revoked nor expired at `at`."""
        unexpired = models.Q(expires_at=None) | models.Q(expires_at__gt=at)
        return self.filter(unexpired, revoked_at=None)


class ApiKey(models.Model):
    """A program's credential: only the SHA-256 of its 256-bit secret is stored.

    Without a customer it is an operator key, which acts for every customer.
    """

    customer = models.ForeignKey(
        Customer,
        on_delete=models.CASCADE,
        related_name="api_keys",
        null=True,
        blank=True,
        help_text="Empty for an operator key, which acts for every customer.",
    )
    name = models.CharField(max_length=100, help_text="Where this key is used.")
    prefix = models.CharField(max_length=20, unique=True, editable=False)
    secret_digest = models.BinaryField(max_length=32, editable=False)
    scopes = ArrayField(
        models.CharField(max_length=30, choices=[(scope.value, scope.value) for scope in Scope])
    )
    event_types = ArrayField(
        models.CharField(max_length=100),
        default=list,
        blank=True,
        help_text="The only types of events that this key may report; none means all.",
    )
    rate_limit = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(MOST_REQUESTS_A_MINUTE)],
        help_text="How many requests it may make a minute; empty means as many as it likes.",
    )
    # The instant up to which the requests made so far use up the rate limit.
    spent_until = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    created_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, editable=False, related_name="+"
    )
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    suspended_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="Since when it is refused with its customer's other keys, until that pays.",
    )
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = "API key"

    @override
    def __str__(self) -> str:
        return f"{self.name} ({self.prefix})"

    def is_usable(self, at: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > at)

    def principal(self) -> Principal:
        customer_ids = None if self.customer_id is None else frozenset({self.customer_id})
        scopes = frozenset(Scope(scope) for scope in self.scopes)
        return Principal(
            customer_ids=customer_ids,
            scopes=scopes,
            api_key_id=self.pk,
            event_types=frozenset(self.event_types) or None,
        )


class RememberedAnswer(models.Model):
    """What a POST with an Idempotency-Key was answered, to be given again to its repetition."""

    api_key = models.ForeignKey(ApiKey, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=255)
    request_digest = models.BinaryField(max_length=32)
    status = models.PositiveSmallIntegerField()
    body = models.TextField(blank=True)
    created_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["api_key", "name"], name="customers_answer_once_per_key"
            )
        ]

    @override
    def __str__(self) -> str:
        return self.name
