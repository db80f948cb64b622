"""What came in: batches, and the events that were refused."""

from __future__ import annotations

from typing import Any, override

from django.db.models import QuerySet
from django.http import HttpRequest

from config.admin import (
    AutocompleteSelectFilter,
    ChoicesDropdownFilter,
    DayRangeFilter,
    ReadOnlyAdmin,
    ReadOnlyInline,
    Tone,
    badge,
    display,
    link_to,
    list_action,
    register,
)
from config.queue import enqueue_on_commit
from metering.models import IngestBatch, RefusedEvent

KIND_TONES: dict[str, Tone] = {
    RefusedEvent.Kind.CONFLICT: "warning",
    RefusedEvent.Kind.REJECTED: "danger",
}


class RefusedEventInline(ReadOnlyInline[RefusedEvent, IngestBatch]):
    model = RefusedEvent
    fields = ("page", "customer", "code", "message")
    per_page = 20
    tab = False

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[RefusedEvent]:
        return super().get_queryset(request).select_related("customer")


@register(IngestBatch)
class IngestBatchAdmin(ReadOnlyAdmin[IngestBatch]):
    list_display = (
        "id",
        "received_at",
        "source",
        "api_key",
        "accepted",
        "duplicate",
        "conflict",
        "rejected",
    )
    list_filter = (("source", ChoicesDropdownFilter), ("received_at", DayRangeFilter))
    list_select_related = ("api_key",)
    search_fields = ("api_key__name", "api_key__prefix")
    search_help_text = "Name or prefix of the API key"
    date_hierarchy = "received_at"
    ordering = ("-id",)
    inlines = (RefusedEventInline,)
    fields = (
        "received_at",
        "source",
        "api_key",
        ("accepted", "duplicate"),
        ("conflict", "rejected"),
    )
    actions_list = ("fold_now",)

    @list_action(
        "Fold now",
        "Accepted events that roll-ups do not hold yet are folded in as soon as a worker is free. "
        "This happens by itself every few minutes.",
        icon="layers",
    )
    def fold_now(self, request: HttpRequest, values: dict[str, Any]) -> str:
        enqueue_on_commit("metering.tasks.aggregate")
        return "Folding is queued."


@register(RefusedEvent)
class RefusedEventAdmin(ReadOnlyAdmin[RefusedEvent]):
    list_display = ("received_at", "kind_badge", "customer", "event_id", "code", "message")
    list_filter = (
        ("kind", ChoicesDropdownFilter),
        ("customer", AutocompleteSelectFilter),
        ("received_at", DayRangeFilter),
    )
    list_select_related = ("customer",)
    search_fields = ("event_id", "code", "message")
    search_help_text = "Event id, code or message"
    date_hierarchy = "received_at"
    ordering = ("-id",)
    fields = (
        "kind_badge",
        "event_id",
        "customer_link",
        "code",
        "message",
        "received_at",
        "batch_link",
        "payload",
    )
    readonly_fields = ("kind_badge", "customer_link", "batch_link")

    @display(description="Kind", ordering="kind")
    def kind_badge(self, refused: RefusedEvent) -> str:
        return badge(refused.get_kind_display(), KIND_TONES[refused.kind])

    @display(description="Customer")
    def customer_link(self, refused: RefusedEvent) -> str:
        return link_to(refused.customer)

    @display(description="Batch")
    def batch_link(self, refused: RefusedEvent) -> str:
        return link_to(refused.batch)
