"""What people may type into the portal."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any, cast, override
from uuid import uuid4
from zoneinfo import ZoneInfo

from django import forms

from customers.models import ApiKey
from customers.principals import Scope
from customers.services import CUSTOMER_SCOPES
from metering.models import Meter
from metering.selectors.events import EventFilters
from metering.windows import midnight

SCOPE_WORDS = {
    Scope.EVENTS_WRITE: "Send usage events",
    Scope.USAGE_READ: "Read usage",
    Scope.BILLING_READ: "Read invoices and plans",
}


# The longest range for each window that a chart can show.
MOST_DAYS = {"hour": 14, "day": 400, "week": 1_500, "month": 3_700}
DAYS_SHOWN = timedelta(days=29)
FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2099, 12, 31)


class DateInput(forms.DateInput):
    input_type = "date"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%d")


class EventsForm(forms.Form):
    """Which events to show. Days are the customer's own; the last one is included."""

    event_id = forms.CharField(label="Id", required=False)
    event_type = forms.CharField(label="Type", required=False)
    property_name = forms.CharField(label="Property", required=False)
    property_value = forms.CharField(label="With the value", required=False)
    start = forms.DateField(label="From", required=False, widget=DateInput)
    end = forms.DateField(label="Through", required=False, widget=DateInput)

    def filters(self, zone: ZoneInfo) -> EventFilters:
        asked = dict(self.cleaned_data)
        first, last = asked.pop("start"), asked.pop("end")
        return EventFilters(
            **asked,
            start=first and midnight(first, zone),
            end=last and midnight(last + timedelta(days=1), zone),
        )


class KeyForm(forms.Form):
    """A new API key. `form_id` is drawn anew for each blank form and tells a reload apart."""

    name = forms.CharField(
        max_length=ApiKey._meta.get_field("name").max_length,
        help_text="Where the key will be used, such as “Production server”.",
    )
    scopes = forms.MultipleChoiceField(
        label="The key may",
        choices=[(scope.value, SCOPE_WORDS[scope]) for scope in CUSTOMER_SCOPES],
        initial=list(CUSTOMER_SCOPES),
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose at least one thing that the key may do."},
    )
    expires_on = forms.DateField(
        label="Last day",
        required=False,
        widget=DateInput,
        help_text="The key stops working when this day ends. Leave it empty for a lasting key.",
    )
    form_id = forms.UUIDField(
        widget=forms.HiddenInput,
        initial=uuid4,
        error_messages=dict.fromkeys(["required", "invalid"], "Reload the page and try again."),
    )

    def __init__(self, *args: Any, zone: ZoneInfo, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.zone = zone

    def clean_expires_on(self) -> date | None:
        last_day: date | None = self.cleaned_data["expires_on"]
        if last_day is not None and last_day > LAST_DAY:
            raise forms.ValidationError("Choose an earlier day, or leave it empty.")
        return last_day

    def expires_at(self) -> datetime | None:
        """Return the midnight that ends the last day, in the customer's zone."""
        last_day: date | None = self.cleaned_data["expires_on"]
        return None if last_day is None else midnight(last_day + timedelta(days=1), self.zone)


class UsageForm(forms.Form):
    """The filters of the usage explorer; what the address leaves out has a default.

    An unknown meter reads as the first one, and a property that the meter is not grouped by as no
    grouping, so that changing the meter keeps the other filters. A page shows only so many days,
    a file any number.
    """

    meter = forms.ChoiceField()
    window = forms.ChoiceField(
        label="Shown by", choices=[(window, window.title()) for window in MOST_DAYS]
    )
    group_by = forms.ChoiceField(label="Broken down by", required=False)
    start = forms.DateField(label="From", widget=DateInput)
    end = forms.DateField(label="To", widget=DateInput)
    only = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(
        self,
        asked: Mapping[str, str],
        *,
        meters: Mapping[str, Meter],
        today: date,
        is_file: bool = False,
    ):
        self.is_file = is_file
        self.chosen = meters.get(asked.get("meter", "")) or next(iter(meters.values()))
        self.today = today
        defaults = {"window": "day", "start": str(today - DAYS_SHOWN), "end": str(today)}
        given = {name: value for name, value in asked.items() if value}
        super().__init__(defaults | given | {"meter": self.chosen.key} | self.grouping(asked))
        groupings = [(name, name) for name in self.chosen.group_by]
        self.offer("meter", [(key, meter.name) for key, meter in meters.items()])
        self.offer("group_by", [("", "Nothing"), *groupings])

    def offer(self, name: str, choices: list[tuple[str, str]]) -> None:
        cast("forms.ChoiceField", self.fields[name]).choices = choices

    def grouping(self, asked: Mapping[str, str]) -> dict[str, str]:
        group_by = asked.get("group_by", "")
        return {} if group_by in self.chosen.group_by else {"group_by": "", "only": ""}

    def clean_start(self) -> date:
        start: date = self.cleaned_data["start"]
        if start < FIRST_DAY:
            raise forms.ValidationError(f"Choose a day from {FIRST_DAY} on.")
        return start

    def clean_end(self) -> date:
        """A range ends today at the latest: nothing is known of later days."""
        end: date = self.cleaned_data["end"]
        return min(end, self.today)

    @override
    def clean(self) -> dict[str, Any]:
        asked = self.cleaned_data
        if not {"start", "end", "window"} <= asked.keys():
            return asked
        most = MOST_DAYS[asked["window"]]
        if asked["start"] > asked["end"]:
            self.add_error("start", "Choose a day that is not after the last one, nor after today.")
        elif not self.is_file and (asked["end"] - asked["start"]).days >= most:
            message = f"Shown by {asked['window']}, at most {most} days fit. Choose a later day."
            self.add_error("start", message)
        return asked
