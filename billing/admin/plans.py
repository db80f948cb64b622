"""Plans, and where their versions begin: as drafts that the editor of versions writes."""

from __future__ import annotations

from typing import Any, override

from django import forms
from django.db.models import Count, Prefetch, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone

from billing.admin import words
from billing.admin.plan_columns import VersionColumns
from billing.models import Plan, PlanVersion
from billing.services import catalog
from config.admin import (
    Done,
    ReadOnlyInline,
    ServiceAdmin,
    StyledForm,
    badge,
    change_url,
    detail_action,
    display,
    register,
    style,
)
from customers.models import Customer

CURRENCY = forms.fields_for_model(PlanVersion, ("currency",))["currency"]


class PlanForm(forms.ModelForm[Plan]):
    """A new plan begins with a draft in one currency."""

    currency = CURRENCY

    class Meta:
        model = Plan
        fields = ("key", "name")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        style(self.fields["currency"])
        if self.instance.pk:
            # It is said by versions from then on.
            del self.fields["currency"]


class NewVersionForm(StyledForm):
    """What the next version is for."""

    currency = forms.CharField(
        max_length=3,
        required=False,
        help_text="Empty for that of the newest version. In a new currency it begins empty.",
    )
    customer = forms.CharField(
        max_length=100,
        required=False,
        help_text="The key of the only customer who may have it. Empty for everybody.",
    )

    def clean_currency(self) -> str | None:
        return self.cleaned_data["currency"].upper() or None

    def clean_customer(self) -> Customer | None:
        key = self.cleaned_data["customer"]
        if not key:
            return None
        customer = Customer.objects.filter(key=key).first()
        if customer is None:
            raise forms.ValidationError("There is no customer with this key.")
        return customer


class VersionInline(VersionColumns, ReadOnlyInline[PlanVersion, Plan]):
    model = PlanVersion
    ordering = ("-number",)
    fields = ("page", "state", "currency", "billed_every", "prices_in_words", "published_at")
    tab = False

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[PlanVersion]:
        versions = super().get_queryset(request).select_related("plan", "customer")
        return versions.prefetch_related("prices")

    @display(description="Prices")
    def prices_in_words(self, version: PlanVersion) -> str:
        return words.price_list(version)


@register(Plan)
class PlanAdmin(ServiceAdmin[Plan]):
    """What a plan costs is said by its versions; subscriptions stay on the version they have."""

    form = PlanForm
    list_display = ("name", "key", "current", "prices_in_words", "subscribed")
    search_fields = ("key", "name")
    inlines = (VersionInline,)
    actions_detail = ("new_version",)

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Plan]:
        published = PlanVersion.objects.published().public().order_by("-number")
        versions = Prefetch("versions", published.prefetch_related("prices"), "published")
        now = timezone.now()
        running = Q(versions__subscriptions__end_at=None) | Q(
            versions__subscriptions__end_at__gt=now
        )
        started = Q(versions__subscriptions__start_at__lte=now)
        count = Count("versions__subscriptions", filter=running & started, distinct=True)
        return super().get_queryset(request).annotate(subscribed=count).prefetch_related(versions)

    @override
    def get_fields(self, request: HttpRequest, obj: Plan | None = None) -> tuple[str, ...]:
        return ("key", "name", "currency") if obj is None else ("key", "name")

    @override
    def get_readonly_fields(self, request: HttpRequest, obj: Plan | None = None) -> tuple[str, ...]:
        return () if obj is None else ("key",)

    @override
    def create_row(self, request: HttpRequest, values: dict[str, Any]) -> Plan:
        return catalog.draft_plan(**values).plan

    @override
    def response_add(
        self, request: HttpRequest, obj: Plan, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Go on to the draft: a plan is nothing without prices."""
        super().response_add(request, obj, post_url_continue)
        return HttpResponseRedirect(change_url(obj.versions.get()))

    @override
    def change_row(self, request: HttpRequest, row: Plan, values: dict[str, Any]) -> None:
        if "name" in values:
            catalog.rename_plan(plan=row, name=values["name"])

    @detail_action(
        "New version",
        "A draft is begun as a copy of what is sold now. It changes nothing until it is published, "
        "and then new subscriptions alone.",
        icon="edit_note",
        tone="primary",
        form=NewVersionForm,
    )
    def new_version(self, request: HttpRequest, plan: Plan, values: dict[str, Any]) -> Done:
        draft = catalog.begin_draft(plan=plan, **values)
        return Done(f"{draft} is a draft.", change_url(draft))

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
