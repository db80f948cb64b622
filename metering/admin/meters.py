"""Meters: what is counted, and how."""

from __future__ import annotations

from typing import Any, override

from django import forms
from django.contrib import messages
from django.contrib.postgres.forms import SimpleArrayField
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from config.admin import ChoicesDropdownFilter, ServiceAdmin, badge, display, register, style
from metering import aggregations
from metering.models import Meter
from metering.services import meters


def definitions() -> SafeString:
    """Return what each aggregation means, one to a line."""
    lines = ((entry.label, entry.definition) for entry in aggregations.REGISTRY.values())
    return format_html_join("", "<div><strong>{}</strong>: {}</div>", lines)


class MeterForm(forms.ModelForm[Meter]):
    group_by = SimpleArrayField(
        forms.CharField(),
        label="Broken down by",
        required=False,
        help_text="Event properties with commas between them, such as endpoint, method.",
    )

    class Meta:
        model = Meter
        fields = (
            "key",
            "name",
            "unit",
            "event_type",
            "aggregation",
            "value_property",
            "window",
            "of",
            "percentile",
            "filters",
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "group_by" in self.fields:
            style(self.fields["group_by"])
        if "aggregation" in self.fields:
            self.fields["aggregation"].help_text = definitions()


@register(Meter)
class MeterAdmin(ServiceAdmin[Meter]):
    form = MeterForm
    list_display = (
        "name",
        "key",
        "newest",
        "event_type",
        "aggregation",
        "value_property",
        "dimensions",
        "state",
    )
    list_filter = (("aggregation", ChoicesDropdownFilter), "event_type")
    search_fields = ("key", "name", "event_type")
    fieldsets = (
        (None, {"fields": ("key", "name", "unit")}),
        (
            "What counts",
            {
                "description": "Once the meter has counted something, a change of this makes the "
                "next version of it. Prices that are published stay with the version they name.",
                "fields": ("event_type", "filters", "group_by"),
            },
        ),
        (
            "How it adds up",
            {"fields": ("aggregation", "value_property", "window", "of", "percentile")},
        ),
    )

    @override
    def get_readonly_fields(
        self, request: HttpRequest, obj: Meter | None = None
    ) -> tuple[str, ...]:
        return () if obj is None else ("key",)

    @override
    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        is_current = obj is None or obj.superseded_at is None
        return is_current and super().has_change_permission(request, obj)

    @override
    def create_row(self, request: HttpRequest, values: dict[str, Any]) -> Meter:
        return meters.create_meter(at=timezone.now(), **values)

    @override
    def change_row(self, request: HttpRequest, row: Meter, values: dict[str, Any]) -> None:
        changed = meters.update_meter(meter=row, at=timezone.now(), **values)
        if changed.pk != row.pk:
            sentence = f"Version {changed.version} was made; it is filled in the background."
            messages.info(request, sentence)

    @display(description="Version", ordering="version")
    def newest(self, meter: Meter) -> str:
        return str(meter.version) if meter.superseded_at is None else f"{meter.version}, replaced"

    @display(description="Broken down by")
    def dimensions(self, meter: Meter) -> str:
        return ", ".join(meter.group_by) or "-"

    @display(description="Roll-ups", ordering="filled_at")
    def state(self, meter: Meter) -> str:
        return badge("being filled", "info") if meter.filled_at is None else badge("ready")
