"""What came in: batches, and the events that were refused."""

from __future__ import annotations

from typing import Any, cast, override

from django import forms
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from config.admin import (
    AutocompleteSelectFilter,
    ChoicesDropdownFilter,
    DayRangeFilter,
    ReadOnlyAdmin,
    ReadOnlyInline,
    StyledForm,
    Tone,
    badge,
    detail_action,
    display,
    link_to,
    linked,
    list_action,
    register,
)
from config.queue import enqueue_on_commit
from customers.models import User
from metering.models import IngestBatch, RefusedEvent
from metering.services.corrections import LONGEST_REASON
from metering.services.refused import accept_conflict

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


class AcceptForm(StyledForm):
    reason = forms.CharField(max_length=LONGEST_REASON, help_text="Kept with the correction.")


@register(RefusedEvent)
class RefusedEventAdmin(ReadOnlyAdmin[RefusedEvent]):
    list_display = ("received_at", "kind_badge", "customer", "event_id", "code", "message")
    list_filter = (
        ("kind", ChoicesDropdownFilter),
        ("customer", AutocompleteSelectFilter),
        ("received_at", DayRangeFilter),
    )
    list_select_related = ("customer",)
    search_fields = ("event_id", "code", "message", "payload")
    search_help_text = "Event id, code, message or anything in the event as it was sent"
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
    actions_detail = ("accept",)
    customer_link = linked("customer")

    @detail_action(
        "Accept",
        "The event that stands is amended: from now on it says what this one says. Both stay "
        "readable, and the correction names you and your reason.",
        icon="check",
        tone="warning",
        form=AcceptForm,
        offered=lambda refused: refused.kind == RefusedEvent.Kind.CONFLICT,
    )
    def accept(self, request: HttpRequest, refused: RefusedEvent, values: dict[str, Any]) -> str:
        accept_conflict(
            refused=refused,
            reason=values["reason"],
            principal=cast("User", request.user).principal(),
            at=timezone.now(),
        )
        return f"The event {refused.event_id} says now what this report says."

    @display(description="Kind", ordering="kind")
    def kind_badge(self, refused: RefusedEvent) -> str:
        return badge(refused.get_kind_display(), KIND_TONES[refused.kind])

    @display(description="Batch")
    def batch_link(self, refused: RefusedEvent) -> str:
        return link_to(refused.batch)
