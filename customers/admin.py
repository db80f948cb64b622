"""Customers, the people who may look, and the keys that programs use."""

from __future__ import annotations

from typing import Any, ClassVar, override

from allauth.account.models import EmailAddress
from django import forms
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from config.admin import (
    AdminPasswordChangeForm,
    AutocompleteSelectFilter,
    ChoicesDropdownFilter,
    DayRangeFilter,
    ModelAdmin,
    ReadOnlyInline,
    ServiceAdmin,
    TabularInline,
    UserChangeForm,
    UserCreationForm,
    badge,
    detail_action,
    display,
    link_to,
    register,
    style,
)
from customers import services
from customers.models import ApiKey, Customer, Membership, TaxRate, User
from customers.principals import Scope
from customers.selectors import charged_rates
from customers.tax_ids import EU_COUNTRIES

REVERSE_CHARGE_HINT = (
    "It has a VAT number: if you sell from another member state, its tax status is reverse charge."
)


class MemberInline(TabularInline[Membership, Customer]):
    """The people who may open a customer's portal."""

    model = Membership
    extra = 0
    tab = True
    verbose_name = "member"
    autocomplete_fields = ("user",)
    fields = ("user", "role", "created_at")
    readonly_fields = ("created_at",)


class MembershipInline(TabularInline[Membership, User]):
    """The customers whose portal a person may open."""

    model = Membership
    extra = 0
    tab = True
    verbose_name = "customer"
    autocomplete_fields = ("customer",)
    fields = ("customer", "role", "created_at")
    readonly_fields = ("created_at",)


class ApiKeyInline(ReadOnlyInline[ApiKey, Customer]):
    model = ApiKey
    verbose_name_plural = "API keys"
    fields = ("page", "state", "scope_list", "created_at", "expires_at", "last_used_at")

    @display(description="State")
    def state(self, api_key: ApiKey) -> str:
        return key_badge(api_key)

    @display(description="Scopes")
    def scope_list(self, api_key: ApiKey) -> str:
        return ", ".join(api_key.scopes)


def key_badge(api_key: ApiKey) -> SafeString:
    if api_key.revoked_at is not None:
        return badge("revoked")
    if api_key.suspended_at is not None:
        return badge("suspended", "danger")
    is_usable = api_key.is_usable(timezone.now())
    return badge("in use", "success") if is_usable else badge("expired", "warning")


class CustomerForm(forms.ModelForm[Customer]):
    class Meta:
        model = Customer
        fields = ("key", "name")
        labels = {"address_line1": "Address", "address_line2": "Address, second line"}


@register(Customer)
class CustomerAdmin(ServiceAdmin[Customer]):
    form = CustomerForm
    list_display = (
        "name",
        "key",
        "email",
        "currency",
        "time_zone",
        "created_at",
    )
    list_filter = (("created_at", DayRangeFilter), "currency")
    search_fields = ("key", "name", "email")
    inlines: ClassVar[Any] = (ApiKeyInline, MemberInline)
    autocomplete_fields = ("tax_rates",)
    readonly_fields: ClassVar[tuple[str, ...]] = ("created_at", "suspended_at", "taxes_now")
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("key", "name", "email", "receives_emails", "created_at")}),
        (
            "Billing",
            {"fields": ("currency", "time_zone", "locale", "grace_hours", "consolidate_invoices")},
        ),
        ("Payment", {"fields": ("payment_days", "dunning", "suspended_at")}),
        (
            "Tax",
            {"fields": ("tax_status", "tax_id", "tax_rates", "is_taxed_by_country", "taxes_now")},
        ),
        (
            "Address",
            {
                "fields": (
                    "address_line1",
                    "address_line2",
                    ("postal_code", "city"),
                    ("state", "country"),
                )
            },
        ),
    )

    @override
    def get_readonly_fields(
        self, request: HttpRequest, obj: Customer | None = None
    ) -> tuple[str, ...]:
        return self.readonly_fields if obj is None else (*self.readonly_fields, "key")

    @display(description="Taxes now")
    def taxes_now(self, customer: Customer) -> str:
        return words_of_taxes(customer)

    @override
    def create_row(self, request: HttpRequest, values: dict[str, Any]) -> Customer:
        return services.create_customer(**values)

    @override
    def change_row(self, request: HttpRequest, row: Customer, values: dict[str, Any]) -> None:
        services.update_customer(customer=row, **values)


def words_of_taxes(customer: Customer) -> str:
    """Say what a customer is charged as things are, and why, or why nothing."""
    if customer._state.adding:
        return "-"
    if customer.tax_status != Customer.TaxStatus.TAXABLE:
        return f"None: {customer.get_tax_status_display().lower()}, as its invoices say."
    rates = charged_rates(customer)
    listed = ", ".join(f"{rate.name} {percent_of(rate)} ({rate.key})" for rate in rates)
    if customer.tax_rates.all():
        return f"{listed}: its own."
    if not customer.is_taxed_by_country:
        return "None: it has no tax rates and is not taxed by country."
    if not customer.country:
        return "None: its address names no country."
    if not rates:
        return f"None: no tax rate is charged by default in {customer.country}."
    hint = f" {REVERSE_CHARGE_HINT}" if has_vat_number(customer) else ""
    return f"{listed}: by default in {customer.country}.{hint}"


def has_vat_number(customer: Customer) -> bool:
    return customer.country in EU_COUNTRIES and bool(customer.tax_id)


def percent_of(rate: TaxRate) -> str:
    return f"{rate.percent.normalize():f} %"


@register(TaxRate)
class TaxRateAdmin(ServiceAdmin[TaxRate]):
    """Taxes that customers can be charged. A percent never changes: a new one is a new rate."""

    list_display = (
        "name", "key", "percentage", "country", "region", "is_default", "is_active",
    )  # fmt: skip
    list_filter = ("is_active", "is_default", "country")
    search_fields = ("key", "name", "country", "region")

    @override
    def get_readonly_fields(
        self, request: HttpRequest, obj: TaxRate | None = None
    ) -> tuple[str, ...]:
        return () if obj is None else ("key", "percentage")

    @override
    def get_fields(self, request: HttpRequest, obj: TaxRate | None = None) -> Any:
        percent = "percent" if obj is None else "percentage"
        return ("key", "name", percent, ("country", "region"), "is_default", "is_active")

    @override
    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[TaxRate], search_term: str
    ) -> tuple[QuerySet[TaxRate], bool]:
        found, has_duplicates = super().get_search_results(request, queryset, search_term)
        is_choice = request.path == reverse("admin:autocomplete")
        return found.filter(is_active=True) if is_choice else found, has_duplicates

    @display(description="Percent", ordering="percent")
    def percentage(self, rate: TaxRate) -> str:
        return percent_of(rate)

    @override
    def create_row(self, request: HttpRequest, values: dict[str, Any]) -> TaxRate:
        return services.create_tax_rate(**values)

    @override
    def change_row(self, request: HttpRequest, row: TaxRate, values: dict[str, Any]) -> None:
        services.update_tax_rate(tax_rate=row, **values)


class ApiKeyForm(forms.ModelForm[ApiKey]):
    scopes = forms.MultipleChoiceField(
        choices=[(scope.value, scope.value) for scope in Scope],
        initial=[scope.value for scope in services.CUSTOMER_SCOPES],
        help_text="What the key may do. Only an operator key may have admin, which includes all.",
    )

    class Meta:
        model = ApiKey
        fields = ("name", "customer", "scopes", "event_types", "rate_limit", "expires_at")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "scopes" in self.fields:
            style(self.fields["scopes"])


@register(ApiKey)
class ApiKeyAdmin(ServiceAdmin[ApiKey]):
    """Keys are made and revoked, never changed; the secret is shown once, when it is made."""

    form = ApiKeyForm
    can_change = False
    list_display = ("name", "prefix", "owner", "scope_list", "state", "last_used_at", "expires_at")
    list_filter = (
        ("customer", AutocompleteSelectFilter),
        ("created_at", DayRangeFilter),
        ("revoked_at", DayRangeFilter),
    )
    list_select_related = ("customer",)
    search_fields = ("name", "prefix", "customer__key", "customer__name")
    autocomplete_fields = ("customer",)
    add_fieldsets = (
        (None, {"fields": ("name", "customer", "scopes", "expires_at")}),
        ("Limits", {"fields": ("event_types", "rate_limit")}),
    )
    fields = (
        "name",
        "prefix",
        "owner",
        "scope_list",
        "state",
        ("event_types", "rate_limit"),
        "created_at",
        "created_by",
        "expires_at",
        "revoked_at",
        "last_used_at",
    )
    readonly_fields = ("owner", "scope_list", "state")
    actions_detail = ("revoke",)

    @display(description="Customer", ordering="customer__name")
    def owner(self, api_key: ApiKey) -> str:
        return link_to(api_key.customer) if api_key.customer else badge("operator", "primary")

    @display(description="Scopes")
    def scope_list(self, api_key: ApiKey) -> str:
        return ", ".join(api_key.scopes)

    @display(description="State")
    def state(self, api_key: ApiKey) -> str:
        return key_badge(api_key)

    @override
    def create_row(self, request: HttpRequest, values: dict[str, Any]) -> ApiKey:
        user = request.user
        creator = user if isinstance(user, User) else None
        issued = services.create_api_key(at=timezone.now(), created_by=creator, **values)
        request.issued = issued  # type: ignore[attr-defined]
        return issued.api_key

    @override
    def response_add(
        self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Show the secret. It is kept nowhere, so neither a redirect nor a message can carry it."""
        context = {
            **self.admin_site.each_context(request),
            "title": "API key created",
            "opts": self.opts,
            "issued": request.issued,  # type: ignore[attr-defined]
        }
        return TemplateResponse(request, "admin/api_key_created.html", context)

    @detail_action(
        "Revoke",
        "Programs that use this key are refused from now on. A revoked key never works again.",
        icon="block",
        tone="danger",
        offered=lambda api_key: api_key.revoked_at is None,
    )
    def revoke(self, request: HttpRequest, api_key: ApiKey, values: dict[str, Any]) -> str:
        services.revoke_api_key(api_key=api_key, at=timezone.now())
        return f"{api_key} is revoked."


class NewUserForm(UserCreationForm[User]):
    class Meta:
        model = User
        fields = ("email", "name")


@register(User)
class UserAdmin(DjangoUserAdmin[User], ModelAdmin[User]):  # type: ignore[misc]
    """People: staff, and members of customers. They are made inactive, not deleted."""

    add_form = NewUserForm
    form = UserChangeForm[User]
    change_password_form = AdminPasswordChangeForm
    list_display = ("email", "name", "kind", "is_active", "last_login", "created_at")
    list_filter = (
        "is_staff",
        "is_superuser",
        "is_active",
        ("last_login", DayRangeFilter),
        ("memberships__role", ChoicesDropdownFilter),
    )
    search_fields = ("email", "name", "memberships__customer__name")
    ordering = ("email",)
    inlines = (MembershipInline,)
    readonly_fields = ("last_login", "created_at")
    filter_horizontal = ("groups", "user_permissions")
    fieldsets = (
        (None, {"fields": ("email", "name", "password", "last_login", "created_at")}),
        (
            "Access",
            {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")},
        ),
    )
    add_fieldsets = (
        (None, {"fields": ("email", "name", "usable_password", "password1", "password2")}),
    )
    # What only a superuser may give: anybody else could give it to themselves.
    powers = ("is_staff", "is_superuser", "groups", "user_permissions")

    @display(description="Kind", ordering="is_staff")
    def kind(self, user: User) -> str:
        if user.is_superuser:
            return badge("superuser", "danger")
        return badge("staff", "primary") if user.is_staff else badge("member")

    @override
    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        is_trusted = isinstance(request.user, User) and request.user.is_superuser
        return self.readonly_fields if is_trusted else (*self.readonly_fields, *self.powers)

    @override
    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        is_above = isinstance(obj, User) and obj.is_superuser
        is_trusted = isinstance(request.user, User) and request.user.is_superuser
        return (is_trusted or not is_above) and super().has_change_permission(request, obj)

    @override
    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if "email" in form.changed_data:
            # The former address must no longer log in, nor receive a new password.
            EmailAddress.objects.filter(user=obj).exclude(email__iexact=obj.email).delete()
