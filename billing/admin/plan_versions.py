"""Plan versions: drafts in their editor, published ones in words and pictures, and two compared."""

from __future__ import annotations

import json
from typing import Any, override

from django import forms
from django.contrib.admin.utils import unquote
from django.db.models import QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html

from billing.admin.plan_columns import VersionColumns
from billing.admin.plan_editor import edit_draft, prices_by_key, version_before
from billing.admin.plan_previews import preview_prices, preview_version
from billing.models import PlanVersion
from billing.services import catalog
from billing.services.catalog_file.differences import differences
from billing.services.versions import documents_of, terms_of
from config.admin import (
    Done,
    Page,
    ReadOnlyAdmin,
    StyledForm,
    add_page,
    change_url,
    detail_action,
    display,
    link,
    link_to,
    register,
)


@register(PlanVersion)
class PlanVersionAdmin(VersionColumns, ReadOnlyAdmin[PlanVersion]):
    list_display = ("__str__", "state", "currency", "billed_every", "grace_hours", "published_at")
    list_filter = ("currency", "interval", "is_addon")
    list_select_related = ("plan", "customer")
    search_fields = ("plan__key", "plan__name", "customer__key")
    fields = (
        "plan_link",
        "number",
        "state",
        "currency",
        "billed_every",
        "is_addon",
        "trial_days",
        "grace_hours",
        "payment_days",
        "invoice_threshold",
        "minimum_amount",
        "published_at",
        "comparison",
        "amounts",
        "documents",
    )
    readonly_fields = ("plan_link", "state", "billed_every", "comparison", "amounts", "documents")
    actions_detail = ("drop_draft",)

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[PlanVersion]:
        return super().get_queryset(request).select_related("plan", "customer")

    @override
    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Show a draft in its editor to those who may change it, anything else as it stands."""
        version = self.get_object(request, unquote(object_id))
        may_change = request.user.has_perm("billing.change_planversion")
        if version is None or not version.is_draft or not may_change:
            return super().change_view(request, object_id, form_url, extra_context)
        return self.edited(request, version)

    def edited(self, request: HttpRequest, version: PlanVersion) -> HttpResponseBase:
        response = edit_draft(request, version)
        if response.status_code == 302:
            self.log_change(request, version, f"Draft: {request.POST.get('do')}")
        return response

    @detail_action(
        "Delete draft",
        "The draft is gone for good. What is published stays.",
        icon="delete",
        tone="danger",
        offered=lambda version: version.is_draft,
    )
    def drop_draft(
        self, request: HttpRequest, version: PlanVersion, values: dict[str, Any]
    ) -> Done:
        plan = change_url(version.plan)
        catalog.drop_draft(version=version)
        return Done("The draft is deleted.", plan)

    @display(description="Plan")
    def plan_link(self, version: PlanVersion) -> str:
        return link_to(version.plan)

    @display(description="Compare")
    def comparison(self, version: PlanVersion) -> str:
        before = version_before(version)
        query = f"?new={version.pk}" if before is None else f"?old={before.pk}&new={version.pk}"
        return link(reverse("admin:plan_comparison") + query, "with another version")

    @display(description="What customers read and pay")
    def amounts(self, version: PlanVersion) -> str:
        return render_to_string(
            "admin/_price_previews.html", {"previews": preview_version(version)}
        )

    @display(description="Price documents")
    def documents(self, version: PlanVersion) -> str:
        prices = documents_of(version)
        return format_html("<pre>{}</pre>", json.dumps(prices, indent=2, ensure_ascii=False))


class VersionChoice(forms.ModelChoiceField[PlanVersion]):
    @override
    def label_from_instance(self, version: PlanVersion) -> str:
        whose = f", {version.customer}" if version.customer else ""
        return f"{version}, {version.currency}{whose}{', draft' if version.is_draft else ''}"


class ComparisonForm(StyledForm):
    """Which two versions."""

    old = VersionChoice(PlanVersion.objects.none(), label="This version")
    new = VersionChoice(PlanVersion.objects.none(), label="with this one")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        versions = PlanVersion.objects.select_related("plan", "customer")
        for choice in self.fields.values():
            choice.queryset = versions.order_by("plan__name", "-number")  # type: ignore[attr-defined]


def comparison_page(request: HttpRequest) -> dict[str, Any]:
    form = ComparisonForm(request.GET if "old" in request.GET else None, initial=request.GET.dict())
    if not form.is_valid():
        return {"form": form}
    old, new = form.cleaned_data["old"], form.cleaned_data["new"]
    if old.currency != new.currency:
        form.add_error("new", f"Amounts in {old.currency} and {new.currency} do not compare.")
        return {"form": form}
    return {
        "form": form,
        "heads": [str(old), str(new)],
        "terms": differences(terms_of(old), terms_of(new)),
        "previews": beside(old, new),
    }


def beside(old: PlanVersion, new: PlanVersion) -> list[Any]:
    """Return the previews of two versions' prices beside each other, by their keys."""
    before, after = prices_by_key(old), prices_by_key(new)
    return [
        preview_prices([before.get(key), after.get(key)], new.currency)
        for key in dict.fromkeys([*before, *after])
    ]


add_page(
    Page(
        route="billing/plans/compare/",
        name="plan_comparison",
        title="Compare plan versions",
        template="admin/plan_comparison.html",
        permission="billing.view_planversion",
        content=comparison_page,
    )
)
