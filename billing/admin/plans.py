"""Plans: written as price documents, read in words."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, override

from django import forms
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Count, Prefetch, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html

from billing.admin import words
from billing.models import Plan, PlanVersion
from billing.services import catalog, versions
from config.admin import (
    ReadOnlyAdmin,
    ReadOnlyInline,
    ServiceAdmin,
    badge,
    display,
    link_to,
    register,
    style,
)

EXAMPLE_PRICES = """[
  {"key": "base", "name": "Base fee", "model": "flat", "amount": "49"},
  {"key": "calls", "name": "API calls", "meter": "calls", "model": "graduated",
   "tiers": [{"up_to": "10000", "unit_amount": "0"},
             {"up_to": null, "unit_amount": "0.002"}]}
]"""


class ExactDecoder(json.JSONDecoder):
    """Reads 0.1 as the decimal that was written."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options | {"parse_float": Decimal})


class PricesField(forms.JSONField):
    """A list of price documents, shown indented; what was typed comes back as it was typed."""

    def __init__(self, **options: Any) -> None:
        super().__init__(encoder=DjangoJSONEncoder, decoder=ExactDecoder, **options)

    @override
    def bound_data(self, data: Any, initial: Any) -> Any:
        return data or ""

    @override
    def prepare_value(self, value: Any) -> Any:
        return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


TERMS = forms.fields_for_model(PlanVersion, versions.VERSION_FIELDS)


class PlanForm(forms.ModelForm[Plan]):
    """A plan and the terms of its current version. What is changed becomes the next version."""

    currency = TERMS["currency"]
    interval = TERMS["interval"]
    interval_count = TERMS["interval_count"]
    grace_hours = TERMS["grace_hours"]
    payment_days = TERMS["payment_days"]
    prices = PricesField(
        widget=forms.Textarea(attrs={"rows": 18, "spellcheck": "false", "class": "font-mono"}),
        help_text="A JSON list of price documents. Write amounts as text or as numbers.",
    )

    class Meta:
        model = Plan
        fields = ("key", "name")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        version = self.instance.current_version() if self.instance.pk else None
        if version is None:
            self.initial.setdefault("prices", json.loads(EXAMPLE_PRICES))
        else:
            terms = {name: getattr(version, name) for name in versions.VERSION_FIELDS}
            self.initial.update(terms)
            self.initial["prices"] = [price.document for price in version.prices.all()]
        for name in self.declared_fields.keys() & self.fields.keys():
            style(self.fields[name])


class VersionInline(ReadOnlyInline[PlanVersion, Plan]):
    model = PlanVersion
    ordering = ("-number",)
    fields = ("page", "currency", "billed_every", "prices_in_words", "published_at")
    tab = False

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[PlanVersion]:
        return super().get_queryset(request).select_related("plan").prefetch_related("prices")

    @display(description="Billed every")
    def billed_every(self, version: PlanVersion) -> str:
        return words.interval(version)

    @display(description="Prices")
    def prices_in_words(self, version: PlanVersion) -> str:
        return words.price_list(version)


@register(Plan)
class PlanAdmin(ServiceAdmin[Plan]):
    """Saving a plan publishes its next version; subscriptions stay on the version they have."""

    form = PlanForm
    list_display = ("name", "key", "current", "prices_in_words", "subscribed")
    search_fields = ("key", "name")
    inlines = (VersionInline,)
    fieldsets = (
        (None, {"fields": ("key", "name")}),
        (
            "Terms",
            {
                "description": "What is changed here is published as the next version. "
                "Subscriptions stay on the version they have; new ones get the next.",
                "fields": (
                    "currency",
                    ("interval", "interval_count"),
                    "grace_hours",
                    "payment_days",
                    "prices",
                ),
            },
        ),
    )

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Plan]:
        published = PlanVersion.objects.exclude(published_at=None).order_by("-number")
        versions = Prefetch("versions", published.prefetch_related("prices"), "published")
        now = timezone.now()
        running = Q(versions__subscriptions__end_at=None) | Q(
            versions__subscriptions__end_at__gt=now
        )
        started = Q(versions__subscriptions__start_at__lte=now)
        count = Count("versions__subscriptions", filter=running & started, distinct=True)
        return super().get_queryset(request).annotate(subscribed=count).prefetch_related(versions)

    @override
    def get_readonly_fields(self, request: HttpRequest, obj: Plan | None = None) -> tuple[str, ...]:
        return () if obj is None else ("key",)

    @override
    def create_row(self, request: HttpRequest, values: dict[str, Any]) -> Plan:
        return catalog.create_plan(at=timezone.now(), **values).plan

    @override
    def change_row(self, request: HttpRequest, row: Plan, values: dict[str, Any]) -> None:
        if values:
            catalog.publish_new_version(plan=row, at=timezone.now(), **values)

    @display(description="Current version")
    def current(self, plan: Plan) -> str:
        version = newest(plan)
        if version is None:
            return badge("not published", "warning")
        return f"v{version.number}, {version.currency}, every {words.interval(version).lower()}"

    @display(description="Prices")
    def prices_in_words(self, plan: Plan) -> str:
        version = newest(plan)
        return "-" if version is None else words.price_list(version)

    @display(description="Subscribed now", ordering="subscribed")
    def subscribed(self, plan: Plan) -> int:
        return plan.subscribed  # type: ignore[attr-defined,no-any-return]


def newest(plan: Plan) -> PlanVersion | None:
    """Return the current version of a plan of the list, whose versions were read with it."""
    return next(iter(plan.published), None)  # type: ignore[attr-defined]


@register(PlanVersion)
class PlanVersionAdmin(ReadOnlyAdmin[PlanVersion]):
    list_display = ("__str__", "currency", "billed_every", "grace_hours", "published_at")
    list_filter = ("currency", "interval")
    list_select_related = ("plan",)
    search_fields = ("plan__key", "plan__name")
    fields = (
        "plan_link",
        "number",
        "currency",
        "billed_every",
        "grace_hours",
        "payment_days",
        "published_at",
        "prices_in_words",
        "documents",
    )
    readonly_fields = ("plan_link", "billed_every", "prices_in_words", "documents")

    @display(description="Plan")
    def plan_link(self, version: PlanVersion) -> str:
        return link_to(version.plan)

    @display(description="Billed every")
    def billed_every(self, version: PlanVersion) -> str:
        return words.interval(version)

    @display(description="Prices")
    def prices_in_words(self, version: PlanVersion) -> str:
        return words.price_list(version)

    @display(description="Price documents")
    def documents(self, version: PlanVersion) -> str:
        prices = [price.document for price in version.prices.all()]
        return format_html("<pre>{}</pre>", json.dumps(prices, indent=2, ensure_ascii=False))
