"""Events by day: in all, by endpoint, method, user or API key; and the checks of roll-ups."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone

from config.admin import (
    DayRangeFilter,
    Page,
    ReadOnlyAdmin,
    StyledForm,
    add_page,
    badge,
    bars_of,
    display,
    register,
)
from config.csv_files import csv_response, inert_cells
from customers.models import Customer
from metering.admin.fields import customer_field
from metering.models import DailyTotal, UsageCheck
from metering.selectors.daily_totals import daily_totals, greatest_names
from metering.windows import midnight

UTC_ZONE = ZoneInfo("UTC")
ONE_DAY = timedelta(days=1)
DEFAULT_DAYS = 30
MOST_NAMES_SHOWN = 100


class DailyForm(StyledForm):
    """Days are those of UTC, for all customers alike; the last one is included."""

    customer = customer_field()
    kind = forms.ChoiceField(label="By", choices=DailyTotal.Kind.choices)
    first_on = forms.DateField(label="From")
    last_on = forms.DateField(label="Through")


def daily_page(request: HttpRequest) -> dict[str, Any] | HttpResponseBase:
    """Answer the form in the address, as a page or as a file; at first there is only the form."""
    today = timezone.now().date()
    defaults = {
        "kind": DailyTotal.Kind.ALL.value,
        "first_on": (today - timedelta(days=DEFAULT_DAYS - 1)).isoformat(),
        "last_on": today.isoformat(),
    }
    asked = {name: value for name, value in request.GET.items() if value}
    if "customer" not in asked:
        return {"form": DailyForm(initial=defaults)}
    form = DailyForm(defaults | asked)
    if not form.is_valid():
        return {"form": form}
    customer, kind = form.cleaned_data["customer"], form.cleaned_data["kind"]
    start = midnight(form.cleaned_data["first_on"], UTC_ZONE)
    end = midnight(form.cleaned_data["last_on"] + ONE_DAY, UTC_ZONE)
    if asked.get("format") == "csv":
        return daily_file(customer, kind, start, end)
    return {"form": form, "report": report(customer, kind, start, end)}


def daily_file(customer: Customer, kind: str, start: datetime, end: datetime) -> HttpResponseBase:
    rows = daily_totals(customer=customer, kind=kind, start=start, end=end)
    cells = ([f"{row.day_start:%Y-%m-%d}", row.name, str(row.events)] for row in rows)
    name = f"daily-{customer.key}-{kind}.csv"
    return csv_response(name, ["day", kind, "events"], map(inert_cells, cells))


def report(customer: Customer, kind: str, start: datetime, end: datetime) -> dict[str, Any]:
    days = list(daily_totals(customer=customer, kind=DailyTotal.Kind.ALL, start=start, end=end))
    names = []
    if kind != DailyTotal.Kind.ALL:
        names = greatest_names(
            customer=customer, kind=kind, start=start, end=end, limit=MOST_NAMES_SHOWN + 1
        )
    return {
        "customer": customer,
        "kind": DailyTotal.Kind(kind).label,
        "total": f"{sum(row.events for row in days):,}",
        "bars": bars_of((f"{row.day_start:%d %b}", f"{row.events:,}", row.events) for row in days),
        "days": [(f"{row.day_start:%Y-%m-%d}", f"{row.events:,}") for row in days],
        "names": [(name, f"{events:,}") for name, events in names[:MOST_NAMES_SHOWN]],
        "is_cut": len(names) > MOST_NAMES_SHOWN,
    }


add_page(
    Page(
        route="daily/",
        name="daily",
        title="Events by day",
        template="admin/daily.html",
        permission="metering.view_ingestbatch",
        content=daily_page,
    )
)


@register(UsageCheck)
class UsageCheckAdmin(ReadOnlyAdmin[UsageCheck]):
    """Whether roll-ups were what the events say, day after day."""

    list_display = ("began_at", "days", "outcome")
    list_filter = (("began_at", DayRangeFilter),)
    fields = ("began_at", "finished_at", "days", "outcome", "differing", "advice")
    readonly_fields = ("outcome", "differing", "advice")

    @display(description="Outcome")
    def outcome(self, check: UsageCheck) -> str:
        if check.differences:
            return badge(f"{len(check.differences)} rows were wrong, and made anew", "danger")
        return badge("the roll-ups equal the events", "success")

    @display(description="Differences")
    def differing(self, check: UsageCheck) -> str:
        return "\n".join(check.differences) or "-"

    @display(description="To look into")
    def advice(self, check: UsageCheck) -> str:
        return "\n".join(check.hints) or "-"
