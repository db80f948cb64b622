"""What a customer used: chosen meter, days, window and breakdown, as chart and tables."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any, override
from zoneinfo import ZoneInfo

from django import forms
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone

from config.admin import Page, StyledForm, add_page, add_refusal, bars_of
from config.csv_files import csv_response, inert_cells
from config.errors import DomainError
from customers.models import Customer
from metering.admin.fields import customer_field, midnight
from metering.models import Meter
from metering.numbers import plain
from metering.selectors.cardinality import capped_dimensions
from metering.selectors.exports import usage_cells, usage_export, usage_header
from metering.selectors.unparsed import unparsed_events
from metering.selectors.usage import UsageRow, usage
from metering.windows import WINDOWS

DEFAULT_DAYS = 30
MOST_GROUPS_SHOWN = 100
LABELS = {"hour": "%d %b %H:%M", "day": "%d %b", "week": "%d %b", "month": "%b %Y"}
ONE_DAY = timedelta(days=1)


class UsageForm(StyledForm):
    """Days are the customer's own, in the customer's time zone; the last one is included."""

    customer = customer_field()
    meter = forms.ModelChoiceField(Meter.objects.current(), empty_label=None)
    first_on = forms.DateField(label="From")
    last_on = forms.DateField(label="Through")
    window = forms.ChoiceField(choices=[(window, window.capitalize()) for window in WINDOWS])
    group_by = forms.ChoiceField(label="Broken down by", required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = sorted({name for meter in Meter.objects.current() for name in meter.group_by})
        choices = [("", "Nothing"), *((name, name) for name in names)]
        self.fields["group_by"].choices = choices  # type: ignore[attr-defined]

    @override
    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        first, last = values.get("first_on"), values.get("last_on")
        if first and last and last < first:
            self.add_error("last_on", "The last day comes before the first.")
        return values


def usage_page(request: HttpRequest) -> dict[str, Any] | HttpResponseBase:
    """Answer the form in the address, as a page or as a file; without a customer there is only the form."""
    today = timezone.now().date()
    meter = Meter.objects.current().first()
    defaults = {
        "meter": "" if meter is None else str(meter.pk),
        "first_on": (today - timedelta(days=DEFAULT_DAYS - 1)).isoformat(),
        "last_on": today.isoformat(),
        "window": "day",
    }
    asked = {name: value for name, value in request.GET.items() if value}
    form = UsageForm(defaults | asked)
    if "customer" not in asked:
        return {"form": UsageForm(initial=defaults), "has_meters": meter is not None}
    context: dict[str, Any] = {"form": form, "has_meters": meter is not None}
    if form.is_valid():
        try:
            if asked.get("format") == "csv":
                return usage_file(**form.cleaned_data)
            context["report"] = report(**form.cleaned_data)
        except DomainError as refusal:
            add_refusal(form, refusal)
    return context


def report(
    *,
    customer: Customer,
    meter: Meter,
    first_on: date,
    last_on: date,
    window: str,
    group_by: str,
) -> dict[str, Any]:
    """Return the numbers of the page: by window, in total, and by group where one is asked for."""
    period = period_of(customer, meter, first_on, last_on)
    rows = usage(**period, window=window)
    [whole] = usage(**period)
    groups = usage(**period, group_by=[group_by], takes_others=True) if group_by else []
    labels = [label_of(row, window, customer.zone) for row in rows]
    bars = [(label, shown(row.value), row.value) for label, row in zip(labels, rows, strict=True)]
    return {
        "customer": customer,
        "meter": meter,
        "total": shown(whole.value),
        "unparsed": unparsed_events(**period),
        "bars": bars_of(bars),
        "peak": f"highest: {shown(max(row.value for row in rows))}",
        "windows": list(zip(labels, [shown(row.value) for row in rows], strict=True)),
        "groups": group_table(groups, group_by),
        "is_cut": len(groups) > MOST_GROUPS_SHOWN,
        "group_by": group_by,
        "is_capped": group_by in capped_dimensions(meter, customer),
        "zone": customer.time_zone,
    }


def period_of(customer: Customer, meter: Meter, first_on: date, last_on: date) -> dict[str, Any]:
    """Return whose usage of what and when, as the selectors ask for it."""
    start, end = midnight(first_on, customer.zone), midnight(last_on + ONE_DAY, customer.zone)
    return {"meter": meter, "customer": customer, "start": start, "end": end}


def usage_file(
    *,
    customer: Customer,
    meter: Meter,
    first_on: date,
    last_on: date,
    window: str,
    group_by: str,
) -> HttpResponseBase:
    groups = [group_by] if group_by else []
    period = period_of(customer, meter, first_on, last_on)
    rows = usage_export(**period, window=window, group_by=groups)
    name = f"usage-{customer.key}-{meter.key}.csv"
    return csv_response(name, usage_header(groups), map(inert_cells, map(usage_cells, rows)))


def group_table(rows: list[UsageRow], name: str) -> list[tuple[str, str]]:
    """Return the greatest groups with their usage."""
    greatest = sorted(rows, key=lambda row: row.value, reverse=True)[:MOST_GROUPS_SHOWN]
    return [(row.group[name] or "(none)", shown(row.value)) for row in greatest]


def label_of(row: UsageRow, window: str, zone: ZoneInfo) -> str:
    return row.start.astimezone(zone).strftime(LABELS[window])


def shown(value: Decimal) -> str:
    """Write a quantity in groups of thousands, with every digit it has."""
    return format(Decimal(plain(value)), ",f")


add_page(
    Page(
        route="usage/",
        name="usage",
        title="Usage",
        template="admin/usage.html",
        permission="metering.view_meter",
        content=usage_page,
    )
)
