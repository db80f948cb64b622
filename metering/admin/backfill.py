"""Backfill sessions: opened, loaded from files, previewed, and committed or discarded."""

from __future__ import annotations

from typing import Any, override

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from config.admin import (
    ChoicesDropdownFilter,
    DayRangeFilter,
    Page,
    ServiceAdmin,
    StyledForm,
    Tone,
    add_page,
    add_refusal,
    badge,
    change_url,
    detail_action,
    display,
    link,
    register,
)
from config.errors import DomainError
from metering.admin.fields import ID, staff_principal
from metering.models import BackfillSession
from metering.services import backfill
from metering.services.backfill_files import load_file

Status = BackfillSession.Status
STATUS_TONES: dict[str, Tone] = {
    Status.OPEN: "info",
    Status.COMMITTING: "warning",
    Status.COMMITTED: "success",
    Status.DISCARDED: "default",
}
OUTCOMES = ("accepted", "duplicate", "conflict", "rejected")


def is_open(session: BackfillSession) -> bool:
    return session.status == Status.OPEN


@register(BackfillSession)
class BackfillSessionAdmin(ServiceAdmin[BackfillSession]):
    """Sessions are named and explained when they are opened, and never changed."""

    can_change = False
    list_display = ("name", "status_badge", "staged", *OUTCOMES, "created_at", "opened_by")
    list_filter = (("status", ChoicesDropdownFilter), ("created_at", DayRangeFilter))
    list_select_related = ("opened_by",)
    search_fields = ("name", "note")
    ordering = ("-id",)
    add_fieldsets = ((None, {"fields": ("name", "note")}),)
    fieldsets = (
        (None, {"fields": ("name", "note", "status_badge", "load_link", "preview_link")}),
        ("Events", {"fields": (("staged", "refused"), OUTCOMES)}),
        (
            "Who and when",
            {"fields": (("opened_by", "api_key", "created_at"), ("finished_by", "finished_at"))},
        ),
    )
    readonly_fields = ("status_badge", "load_link", "preview_link")
    actions_detail = ("commit", "discard")

    @override
    def get_fieldsets(self, request: HttpRequest, obj: BackfillSession | None = None) -> Any:
        return self.add_fieldsets if obj is None else super().get_fieldsets(request, obj)

    @override
    def create_row(self, request: HttpRequest, values: dict[str, Any]) -> BackfillSession:
        return backfill.open_session(
            principal=staff_principal(request), at=timezone.now(), **values
        )

    @display(description="Status", ordering="status")
    def status_badge(self, session: BackfillSession) -> str:
        return badge(session.get_status_display(), STATUS_TONES[session.status])

    @display(description="Load")
    def load_link(self, session: BackfillSession) -> str:
        if not is_open(session):
            return "-"
        return link(address_of("backfill_load", session), "Load events from a file")

    @display(description="Preview")
    def preview_link(self, session: BackfillSession) -> str:
        if not is_open(session):
            return "-"
        return link(address_of("backfill_preview", session), "Usage and money, before and after")

    @detail_action(
        "Commit",
        "The staged events count from then on, each exactly once; events that are known already "
        "are left as they are. This cannot be undone but by voiding events.",
        icon="done_all",
        tone="primary",
        offered=is_open,
    )
    def commit(self, request: HttpRequest, session: BackfillSession, values: dict[str, Any]) -> str:
        backfill.begin_commit(session=session, principal=staff_principal(request))
        return f"The {session.staged:,} events of {session} are being counted."

    @detail_action(
        "Discard",
        "The staged events are dropped. None of them was ever counted.",
        icon="delete",
        tone="danger",
        offered=is_open,
    )
    def discard(
        self, request: HttpRequest, session: BackfillSession, values: dict[str, Any]
    ) -> str:
        principal = staff_principal(request)
        backfill.discard_session(session=session, principal=principal, at=timezone.now())
        return f"{session} is discarded."


def address_of(page: str, session: BackfillSession) -> str:
    return f"{reverse(f'admin:{page}')}?{urlencode({'session': session.pk})}"


class LoadForm(StyledForm):
    file = forms.FileField(
        help_text="NDJSON with one event on each line, or CSV (.csv) with the columns id, type, "
        "customer and timestamp; other columns are properties."
    )


def load_page(request: HttpRequest) -> dict[str, Any] | HttpResponseBase:
    """Stage the events of an uploaded file, and say which of them could not be."""
    text = request.GET.get("session", "")
    session = BackfillSession.objects.filter(pk=text).first() if ID.fullmatch(text) else None
    if session is None:
        raise Http404
    form = LoadForm(request.POST or None, request.FILES or None)
    context: dict[str, Any] = {"form": form, "session": session, "back": change_url(session)}
    if request.method != "POST" or not form.is_valid():
        return context
    file = form.cleaned_data["file"]
    try:
        report = load_file(
            session=session,
            name=file.name,
            lines=file,
            principal=staff_principal(request),
            at=timezone.now(),
        )
    except DomainError as refusal:
        add_refusal(form, refusal)
        return context
    told = f"{report.staged:,} events of {file.name} are staged."
    if not report.refusals:
        messages.success(request, told)
        return HttpResponseRedirect(change_url(session))
    messages.warning(request, f"{told} {report.refusals:,} are not.")
    return context | {"report": report}


add_page(
    Page(
        route="backfill/load/",
        name="backfill_load",
        title="Load events",
        template="admin/backfill_load.html",
        permission="metering.add_backfillsession",
        content=load_page,
    )
)
