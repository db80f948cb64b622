"""The editor of a draft: terms, price tables, and what customers will read and pay.

Every button works without JavaScript, by sending the form and showing it again. With it, the
preview follows what is typed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from decimal import Decimal, InvalidOperation
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import site
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from billing.admin.plan_previews import FURTHEST, preview_document
from billing.admin.price_forms import Drawing
from billing.admin.price_inputs import ROOT, documents_of_form, rearranged
from billing.models import PlanVersion
from billing.rating.prices import Price, parse_price
from billing.services import catalog
from billing.services.catalog_file.brevity import brief_document
from billing.services.versions import VERSION_FIELDS, documents_of
from config.admin import StyledForm, add_refusal, change_url, style
from config.errors import DomainError
from metering.models import Meter

# A draft keeps the currency and the customer that it was begun for.
TERMS = tuple(name for name in VERSION_FIELDS if name not in {"currency", "customer"})
SAVE, PUBLISH = "save", "publish"


class TermsForm(StyledForm):
    """What a version says besides its prices."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in forms.fields_for_model(PlanVersion, TERMS).items():
            style(field)
            self.fields[name] = field


@dataclass(slots=True)
class Editing:
    """A draft as a form has it, and what is wrong with it by the path of the input."""

    version: PlanVersion
    terms: TermsForm
    documents: list[dict[str, Any]]
    problems: dict[str, str] = dataclass_field(default_factory=dict)

    def refuse(self, refusal: DomainError) -> None:
        path = getattr(refusal, "field", "")
        if path.partition(".")[0] == ROOT:
            self.problems[path] = refusal.message
        else:
            add_refusal(self.terms, refusal)


def edit_draft(request: HttpRequest, version: PlanVersion) -> HttpResponseBase:
    """Show a draft's editor; save or publish it where that is asked for and nothing is wrong."""
    if request.method != "POST":
        terms = TermsForm(initial={name: getattr(version, name) for name in TERMS})
        documents = [brief_document(document) for document in documents_of(version)]
        return page(request, Editing(version, terms, documents))
    wish = request.POST.get("do", "show")
    documents, problems = documents_of_form(request.POST)
    editing = Editing(version, TermsForm(request.POST), documents, problems)
    if wish in {SAVE, PUBLISH}:
        if editing.terms.is_valid() and not problems and keep(request, editing, wish):
            return HttpResponseRedirect(change_url(version))
    else:
        editing.terms = TermsForm(initial=request.POST.dict())
        editing.documents = rearranged(documents, wish)
    return page(request, editing)


def keep(request: HttpRequest, editing: Editing, wish: str) -> bool:
    """Save or publish a draft; return whether that was done, and note why not."""
    version = editing.version
    changes = {**editing.terms.cleaned_data, "prices": editing.documents}
    try:
        if wish == PUBLISH:
            done = catalog.publish_draft(version=version, at=timezone.now(), **changes)
            messages.success(request, f"{done} is published. New subscriptions get it.")
        else:
            catalog.change_draft(version=version, **changes)
            messages.success(request, "The draft is saved.")
    except DomainError as refusal:
        editing.refuse(refusal)
        return False
    return True


def page(request: HttpRequest, editing: Editing) -> HttpResponseBase:
    version = editing.version
    drawing = Drawing(
        meters=list(Meter.objects.order_by("name").values_list("key", "name")),
        problems=editing.problems,
    )
    before = version_before(version)
    context = {
        **site.each_context(request),
        "title": f"{version}, draft",
        "opts": version._meta,
        "version": version,
        "before": before,
        "terms": editing.terms,
        "prices": [drawing.price(*each) for each in enumerate(editing.documents)],
        "problem": editing.problems.get(ROOT, ""),
        "previews": previews(request, editing, before),
        "heads": None if before is None else ["Draft", f"Version {before.number}"],
        "reach": request.POST.get("reach", ""),
        "plan_url": reverse("admin:billing_plan_change", args=[version.plan_id]),
    }
    return TemplateResponse(request, "admin/plan_editor.html", context)


def previews(request: HttpRequest, editing: Editing, before: PlanVersion | None) -> list[Any]:
    """Return what each price will say and charge, beside the price of its key that is sold now."""
    earlier = prices_by_key(before)
    reach = reach_asked_for(request)
    return [
        preview_document(
            document, editing.version.currency, reach, earlier.get(str(document.get("key")))
        )
        for document in editing.documents
    ]


def version_before(version: PlanVersion) -> PlanVersion | None:
    """Return the published version in whose place a draft would be sold."""
    earlier = version.plan.versions.published().filter(
        currency=version.currency, customer=version.customer
    )
    return earlier.exclude(pk=version.pk).order_by("-number").first()


def prices_by_key(version: PlanVersion | None) -> Mapping[str, Price]:
    if version is None:
        return {}
    return {price.key: parse_price(price.document) for price in version.prices.all()}


def reach_asked_for(request: HttpRequest) -> Decimal | None:
    """Return how far the charts are to go; None for as far as each price says."""
    try:
        reach = Decimal(request.POST.get("reach") or 0)
    except InvalidOperation:
        return None
    return reach if reach.is_finite() and 0 < reach <= FURTHEST else None
