"""What was corrected: who voided or amended which event, when and why."""

from __future__ import annotations

import json

from django.urls import reverse
from django.utils.html import format_html
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
    linked,
    register,
)
from metering.exact_json import ExactEncoder
from metering.models import Correction

ACTION_TONES: dict[str, Tone] = {
    Correction.Action.VOID: "danger",
    Correction.Action.AMEND: "warning",
}


@register(Correction)
class CorrectionAdmin(ReadOnlyAdmin[Correction]):
    """Events are corrected from the page "Events"."""

    list_display = ("created_at", "action_badge", "customer", "event_id", "reason", "by")
    list_filter = (
        ("action", ChoicesDropdownFilter),
        ("customer", AutocompleteSelectFilter),
        ("created_at", DayRangeFilter),
    )
    list_select_related = ("customer", "user", "api_key")
    search_fields = ("event_id", "reason")
    search_help_text = "Event id or reason"
    date_hierarchy = "created_at"
    ordering = ("-id",)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "action_badge",
                    "customer_link",
                    "event_id",
                    "event_type",
                    "reason",
                    "event_link",
                )
            },
        ),
        ("Before", {"fields": ("happened_before", "said_before")}),
        ("Since", {"fields": ("happens_since", "says_since")}),
        ("Who and when", {"fields": ("by", "created_at", "batch_link")}),
    )
    readonly_fields = (
        "action_badge",
        "customer_link",
        "event_link",
        "happened_before",
        "said_before",
        "happens_since",
        "says_since",
        "by",
        "batch_link",
    )
    customer_link = linked("customer")

    @display(description="Action", ordering="action")
    def action_badge(self, correction: Correction) -> str:
        return badge(correction.get_action_display(), ACTION_TONES[correction.action])

    @display(description="Event")
    def event_link(self, correction: Correction) -> str:
        named = [("customer", str(correction.customer_id)), ("event", correction.event_id)]
        address = f"{reverse('admin:correct_event')}?{urlencode(named)}"
        return link(address, "All its versions; correct it again")

    @display(description="By")
    def by(self, correction: Correction) -> str:
        return str(correction.user or correction.api_key or "-")

    @display(description="Batch")
    def batch_link(self, correction: Correction) -> str:
        return link_to(correction.batch)

    @display(description="Timestamp")
    def happened_before(self, correction: Correction) -> str:
        return correction.old_timestamp.isoformat()

    @display(description="Timestamp")
    def happens_since(self, correction: Correction) -> str:
        return "-" if correction.new_timestamp is None else correction.new_timestamp.isoformat()

    @display(description="Properties")
    def said_before(self, correction: Correction) -> str:
        return written(correction.old_properties)

    @display(description="Properties")
    def says_since(self, correction: Correction) -> str:
        return written(correction.new_properties)


def written(properties: object) -> str:
    if properties is None:
        return "-"
    return format_html("<code>{}</code>", json.dumps(properties, cls=ExactEncoder))
