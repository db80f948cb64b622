"""Nightly runs: what they did and whom they failed for."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any, override

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from billing.admin import words
from billing.models import BillingRun
from billing.services.nightly import STEPS
from config.admin import (
    ChoicesDropdownFilter,
    DayRangeFilter,
    ReadOnlyAdmin,
    detail_action,
    display,
    grouped,
    list_action,
    register,
)
from config.queue import enqueue_on_commit

# How often the page of a run that is under way is loaded anew.
REFRESH_SECONDS = 5
MOST_FAILURES = 200
COUNTS = ("folded", "drafted", "finalized", "skipped", "credited", "pushed")


@register(BillingRun)
class BillingRunAdmin(ReadOnlyAdmin[BillingRun]):
    list_display = (
        "at",
        "status_badge",
        "started_at",
        "took",
        "folded",
        "drafted",
        "finalized",
        "pushed",
        "failure_count",
    )
    list_filter = (("status", ChoicesDropdownFilter), ("started_at", DayRangeFilter))
    date_hierarchy = "started_at"
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "at",
                    "status_badge",
                    "step",
                    "progress",
                    "started_at",
                    "finished_at",
                    "took",
                    "seconds",
                )
            },
        ),
        (
            "What it did",
            {"fields": (*COUNTS, "pushes_halted")},
        ),
        ("Failures", {"fields": ("failure_lines",)}),
    )
    readonly_fields = ("status_badge", "progress", "seconds", "took", *COUNTS, "failure_lines")
    folded = grouped("events_folded", "Events folded")
    drafted = grouped("invoices_drafted", "Invoices drafted")
    finalized = grouped("invoices_finalized", "Invoices issued")
    skipped = grouped("invoices_skipped", "Periods without an invoice")
    credited = grouped("credit_notes", "Credit notes")
    pushed = grouped("invoices_pushed", "Invoices sent to Stripe")
    actions_list = ("run_now",)
    actions_detail = ("run_again",)

    @list_action(
        "Run now",
        "Everything that is due is done as soon as a worker is free: usage is folded, ended "
        "periods are drafted, drafts past their grace are issued and sent to Stripe.",
        icon="play_arrow",
        tone="primary",
    )
    def run_now(self, request: HttpRequest, values: dict[str, Any]) -> str:
        enqueue_on_commit("billing.tasks.nightly")
        return "A run is queued. It appears in this list when it starts."

    @detail_action(
        "Run again",
        "Everything that was due as of this run's instant and is not done is done as soon as a "
        "worker is free. What is done stays as it is.",
        icon="replay",
        offered=lambda run: run.status in {BillingRun.Status.INCOMPLETE, BillingRun.Status.FAILED},
    )
    def run_again(self, request: HttpRequest, run: BillingRun, values: dict[str, Any]) -> str:
        enqueue_on_commit("billing.tasks.nightly_again", run.pk)
        return "A run is queued. It appears in the list when it starts."

    @override
    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        response = super().change_view(request, object_id, form_url, extra_context)
        if isinstance(response, TemplateResponse) and response.context_data is not None:
            run = response.context_data.get("original")
            if run is not None and run.status == BillingRun.Status.RUNNING:
                response["Refresh"] = str(REFRESH_SECONDS)
        return response

    @display(description="Progress")
    def progress(self, run: BillingRun) -> str:
        return words.run_progress(run)

    @display(description="Time by step")
    def seconds(self, run: BillingRun) -> str:
        # The database keeps no order of names.
        names = [*STEPS, *run.durations]
        taken = sorted(run.durations.items(), key=lambda each: names.index(each[0]))
        lines = (f"{step}: {words.duration(in_time(seconds))}" for step, seconds in taken)
        return words.lines_of(lines) or "-"

    @display(description="Status", ordering="status")
    def status_badge(self, run: BillingRun) -> str:
        return words.run_badge(run)

    @display(description="Took")
    def took(self, run: BillingRun) -> str:
        """Return how long a run took, or has taken so far."""
        taken = words.duration((run.finished_at or timezone.now()) - run.started_at)
        return taken if run.finished_at else f"{taken} so far"

    @display(description="Failures")
    def failure_count(self, run: BillingRun) -> str:
        return f"{len(run.failures):,}"

    @display(description="Failures")
    def failure_lines(self, run: BillingRun) -> str:
        shown: list[str] = [*words.failures(run.failures[:MOST_FAILURES])]
        if more := len(run.failures) - len(shown):
            shown.append(f"and {more:,} more")
        return words.lines_of(shown) or "No failures"


def in_time(seconds: str) -> timedelta:
    return timedelta(microseconds=int(Decimal(seconds) * 1_000_000))
