"""Which months of events are in files instead of the database."""

from __future__ import annotations

from config.admin import DayRangeFilter, ReadOnlyAdmin, badge, display, register
from metering.models import ArchivedMonth


@register(ArchivedMonth)
class ArchivedMonthAdmin(ReadOnlyAdmin[ArchivedMonth]):
    """Months are archived and restored by commands: see docs/operations.md."""

    list_display = ("month", "state", "rows", "customers", "size", "archived_at", "restored_at")
    list_filter = (("archived_at", DayRangeFilter),)
    search_fields = ("partition", "manifest", "sha256")
    search_help_text = "Partition such as 2025_01, path of the manifest or SHA-256"
    ordering = ("-start_at", "-pk")
    fieldsets = (
        (None, {"fields": ("month", "state", "partition", "rows", "customers")}),
        ("Events", {"fields": ("start_at", "end_at", "first_at", "last_at")}),
        ("File", {"fields": ("manifest", "size", "sha256")}),
        ("When", {"fields": ("archived_at", "restored_at")}),
    )
    readonly_fields = ("month", "state")

    @display(description="Month", ordering="start_at")
    def month(self, archived: ArchivedMonth) -> str:
        return str(archived)

    @display(description="Events are")
    def state(self, archived: ArchivedMonth) -> str:
        if archived.restored_at is None:
            return badge("archived", "warning")
        return badge("back", "success")
