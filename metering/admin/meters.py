"""Meters: what is counted, and how."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, override

from django import forms
from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.contrib.postgres.forms import SimpleArrayField
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from config.admin import ChoicesDropdownFilter, ServiceAdmin, badge, display, register, style
from config.errors import DomainError
from metering import aggregations
from metering.models import Meter
from metering.numbers import plain
from metering.selectors.previews import meter_preview
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
    change_form_after_template = "admin/meter_preview.html"
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
    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        if request.method == "POST" and "_preview" in request.POST:
            extra_context = (extra_context or {}) | self.previewed(request, object_id)
            message = "This is a preview; nothing is saved yet."
            request.refusal = DomainError(message, code="preview")  # type: ignore[attr-defined]
        return super().changeform_view(request, object_id, form_url, extra_context)

    def previewed(self, request: HttpRequest, object_id: str | None) -> dict[str, Any]:
        """Return what the form's meter would count; nothing where the form is wrong."""
        row = None if object_id is None else self.get_object(request, unquote(object_id))
        form = self.get_form(request, row, change=row is not None)(request.POST, instance=row)
        if not form.is_valid() or any(meters.definition_problems(form.instance)):
            return {}
        preview = meter_preview(form.instance, timezone.now())
        quantity = format(Decimal(plain(preview.quantity)), ",f")
        return {
            "preview": preview,
            "preview_quantity": quantity,
            "preview_unit": form.instance.unit,
        }

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
        if meter.filled_at is not None:
            return badge("ready")
        done, total = meter.filling_done, meter.filling_total
        progress = f", {done:,} of {total:,} customers" if total else ""
        return badge(f"being filled{progress}", "info")
