"""Access logs that were billed from."""

from __future__ import annotations

from typing import override

from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import urlencode

from config.admin import (
    AutocompleteSelectFilter,
    ChoicesDropdownFilter,
    DayRangeFilter,
    ReadOnlyAdmin,
    Tone,
    badge,
    display,
    link,
    link_to,
    register,
)
from metering.models import LogImport, LogImportLine
from metering.models.imports import COUNTS
from metering.selectors.log_imports import imports_with_liveness

STATUS_TONES: dict[str, Tone] = {
    LogImport.Status.RUNNING: "info",
    LogImport.Status.COMPLETED: "success",
    LogImport.Status.FAILED: "danger",
    LogImport.Status.INTERRUPTED: "warning",
}


@register(LogImport)
class LogImportAdmin(ReadOnlyAdmin[LogImport]):
    """Imports are started with `manage.py import_log`; the page "Try a log" shows what one would do."""

    list_display = ("name", "status_badge", "started_at", *COUNTS)
    list_filter = (("status", ChoicesDropdownFilter), ("started_at", DayRangeFilter))
    search_fields = ("name",)
    ordering = ("-id",)
    fieldsets = (
        (
            None,
            {"fields": ("name", "format", "status_badge", "started_at", "finished_at", "error")},
        ),
        ("Lines", {"fields": (*COUNTS, "kept", "customers")}),
        ("Mapping", {"fields": ("mapping",)}),
    )
    readonly_fields = ("status_badge", "kept")

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[LogImport]:
        return imports_with_liveness()

    @display(description="Status", ordering="status")
    def status_badge(self, log_import: LogImport) -> str:
        status = LogImport.Status(log_import.status)
        if status == LogImport.Status.RUNNING and not log_import.is_alive:  # type: ignore[attr-defined]
            # Its process is gone without a word.
            status = LogImport.Status.INTERRUPTED
        return badge(str(status.label), STATUS_TONES[status])

    @display(description="Kept lines")
    def kept(self, log_import: LogImport) -> str:
        query = urlencode({"log_import__id__exact": log_import.pk})
        address = reverse("admin:metering_logimportline_changelist")
        return link(f"{address}?{query}", "Lines that did not become events")


@register(LogImportLine)
class LogImportLineAdmin(ReadOnlyAdmin[LogImportLine]):
    list_display = ("number", "kind", "log_import", "reason", "text")
    list_filter = (
        ("kind", ChoicesDropdownFilter),
        ("log_import", AutocompleteSelectFilter),
    )
    list_select_related = ("log_import",)
    search_fields = ("text", "reason")
    ordering = ("log_import", "number")
    fields = ("import_link", "number", "kind", "reason", "text")
    readonly_fields = ("import_link",)

    @display(description="Import")
    def import_link(self, line: LogImportLine) -> str:
        return link_to(line.log_import)
