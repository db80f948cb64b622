"""Corrections and backfill sessions, with what they would do to usage and to money."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from billing import formatting
from billing.selectors.effects import Picture, documents_reached
from billing.services.rehearsal import preview_backfill, preview_correction
from config.admin import Page, StyledForm, add_page, add_refusal, change_url
from config.errors import DomainError
from customers.models import Customer
from metering.admin.fields import ID, staff_principal
from metering.exact_json import ExactDecoder, ExactEncoder
from metering.models import BackfillSession, Correction, Event
from metering.numbers import plain
from metering.selectors.event_versions import event_versions
from metering.services.corrections import LONGEST_REASON, correct_event
from metering.services.rehearsal import Rehearsal

Action = Correction.Action
type Figures = Mapping[tuple[str, str], Decimal]


class CorrectionForm(StyledForm):
    """What to make of an event; a void needs the reason alone."""

    action = forms.ChoiceField(choices=Action)
    properties = forms.JSONField(
        encoder=ExactEncoder,
        decoder=ExactDecoder,
        required=False,
        help_text="For amend: all properties, as one JSON object.",
    )
    timestamp = forms.CharField(
        required=False,
        help_text="For amend: when the usage happened, with its offset, such as "
        "2026-11-22T10:00:00.123Z.",
    )
    reason = forms.CharField(
        max_length=LONGEST_REASON, help_text="Why; it is kept with the correction."
    )

    def clean_properties(self) -> dict[str, Any] | None:
        properties: object = self.cleaned_data["properties"]
        if properties is not None and not isinstance(properties, dict):
            raise forms.ValidationError('Write a JSON object, such as {"bytes": 5120}.')
        return properties

    def clean_timestamp(self) -> datetime | None:
        text = self.cleaned_data["timestamp"].strip()
        if not text:
            return None
        try:
            at = parse_datetime(text)
        except ValueError as error:
            raise forms.ValidationError(f"There is no such instant: {error}.") from error
        if at is None or at.tzinfo is None:
            raise forms.ValidationError(
                "Write date, time and offset, such as 2026-11-22T10:00:00Z."
            )
        return at


@dataclass(frozen=True, slots=True)
class Effect:
    """A figure before and after a change."""

    customer: str
    name: str
    before: str
    after: str
    difference: str


def effects(before: Figures, after: Figures, write: Callable[[Decimal, str], str]) -> list[Effect]:
    """Return each figure in either; one that is not there is zero.

    `write` writes a figure of the meter or currency that it is in.
    """
    rows = []
    for customer, name in sorted({*before, *after}):
        old, new = (figures.get((customer, name), Decimal(0)) for figures in (before, after))
        difference = f"{'+' if new > old else ''}{write(new - old, name)}"
        rows.append(Effect(customer, name, write(old, name), write(new, name), difference))
    return rows


def quantity(value: Decimal, meter: str) -> str:
    """Write a quantity in groups of thousands, with every digit that it has."""
    return format(Decimal(plain(value)), ",f") if value else "0"


def money(amount: Decimal, currency: str) -> str:
    return formatting.money(amount, currency, formatting.DEFAULT_LOCALE)


def rehearsed(rehearsal: Rehearsal[Picture]) -> dict[str, Any]:
    before, after = rehearsal.before, rehearsal.after
    documents = documents_reached(rehearsal.touched)
    return {
        "usage": effects(before.usage, after.usage, quantity),
        "amounts": effects(before.amounts, after.amounts, money),
        "issued": [(change_url(each), each) for each in documents if each.number],
        "drafts": [(change_url(each), each) for each in documents if not each.number],
    }


def correction_page(request: HttpRequest) -> dict[str, Any] | HttpResponseBase:
    """Show an event with its versions; preview a correction, or make it."""
    customer = customer_named(request.GET.get("customer", ""))
    versions = event_versions(customer=customer, event_id=request.GET.get("event", ""))
    if not versions:
        raise Http404
    latest = versions[-1]
    form = CorrectionForm(request.POST or None, initial=said(latest))
    context = {
        "customer": customer,
        "event": latest,
        "form": form,
        "versions": [version_row(version, customer) for version in reversed(versions)],
    }
    if request.method != "POST" or not form.is_valid():
        return context
    asked = correction_asked(request, form.cleaned_data, latest)
    try:
        if "correct" in request.POST:
            correction = correct_event(**asked)
            messages.success(request, f"{correction}: corrected; usage counts it from now on.")
            return HttpResponseRedirect(change_url(correction))
        rehearsal = preview_correction(**asked)
    except DomainError as refusal:
        add_refusal(form, refusal)
        return context
    return context | {"rehearsal": rehearsed(rehearsal)}


def customer_named(text: str) -> Customer:
    customer = Customer.objects.filter(pk=text).first() if ID.fullmatch(text) else None
    if customer is None:
        raise Http404
    return customer


def correction_asked(request: HttpRequest, values: dict[str, Any], latest: Event) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "action": Action(values["action"]),
        "customer": latest.customer,
        "event_id": latest.event_id,
        "reason": values["reason"],
        "principal": staff_principal(request),
        "at": timezone.now(),
    }
    if asked["action"] == Action.AMEND:
        asked |= {"properties": values["properties"], "timestamp": values["timestamp"]}
    return asked


def said(version: Event) -> dict[str, Any]:
    """Return what an event says, as the form shows it."""
    return {
        "action": Action.AMEND,
        "properties": version.properties,
        "timestamp": version.timestamp.isoformat(),
    }


def version_row(version: Event, customer: Customer) -> dict[str, Any]:
    at = version.timestamp.astimezone(customer.zone)
    return {
        "at": at.isoformat(sep=" ", timespec="milliseconds"),
        "properties": json.dumps(version.properties, cls=ExactEncoder),
        "batch_id": version.batch_id,
        "voided_batch_id": version.voided_batch_id,
    }


def session_page(request: HttpRequest) -> dict[str, Any]:
    """Show what committing a backfill session would do."""
    text = request.GET.get("session", "")
    session = BackfillSession.objects.filter(pk=text).first() if ID.fullmatch(text) else None
    if session is None:
        raise Http404
    context: dict[str, Any] = {"session": session, "back": change_url(session)}
    try:
        rehearsal = preview_backfill(session=session, at=timezone.now())
    except DomainError as refusal:
        return context | {"refusal": refusal.message}
    return context | {"rehearsal": rehearsed(rehearsal), "outcome": rehearsal.outcome}


add_page(
    Page(
        route="events/correct/",
        name="correct_event",
        title="Correct an event",
        template="admin/correct_event.html",
        permission="metering.add_correction",
        content=correction_page,
    )
)
add_page(
    Page(
        route="backfill/preview/",
        name="backfill_preview",
        title="Preview of a backfill session",
        template="admin/backfill_preview.html",
        permission="metering.view_backfillsession",
        content=session_page,
    )
)
