"""Back-tests: what past usage would have cost under another plan version, customer by customer."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from django import forms
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone

from billing.admin import words
from billing.admin.plan_versions import VersionChoice
from billing.models import Plan, PlanVersion
from billing.selectors.backtests import HEADER, BackTest, back_test, cells_of
from config.admin import Page, StyledForm, add_page, add_refusal, link_to
from config.csv_files import csv_response, inert_cells
from config.errors import DomainError

# So many customers stand in the table; the file has all.
MOST_SHOWN = 500


class BackTestForm(StyledForm):
    """What to try, on whom, and on which days: the customers' own, the last one not included."""

    version = VersionChoice(PlanVersion.objects.none(), label="Try this version")
    plan = forms.ModelChoiceField(
        Plan.objects.all(), label="on customers of", required=False, empty_label="every plan"
    )
    since = forms.DateField(label="From")
    until = forms.DateField(label="Until, not included")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        versions = PlanVersion.objects.select_related("plan", "customer")
        self.fields["version"].queryset = versions.order_by("plan__name", "-number")  # type: ignore[attr-defined]


def back_test_page(request: HttpRequest) -> dict[str, Any] | HttpResponseBase:
    """Answer the form in the address, as a page or as a file."""
    asked = {name: value for name, value in request.GET.items() if value}
    defaults = three_months(timezone.now().date())
    if "version" not in asked or "since" not in asked:
        return {"form": BackTestForm(initial=defaults | asked)}
    form = BackTestForm(defaults | asked)
    if form.is_valid():
        try:
            test = back_test(at=timezone.now(), **form.cleaned_data)
        except DomainError as refusal:
            add_refusal(form, refusal)
        else:
            if asked.get("format") == "csv":
                rows = (inert_cells(cells) for cells in cells_of(test))
                return csv_response("back-test.csv", HEADER, rows)
            return {"form": form, **report(test)}
    return {"form": form}


def three_months(today: date) -> dict[str, str]:
    """Return the three whole months before today's."""
    until = today.replace(day=1)
    since = until
    for _ in range(3):
        since = (since - timedelta(days=1)).replace(day=1)
    return {"since": since.isoformat(), "until": until.isoformat()}


def report(test: BackTest) -> dict[str, Any]:
    currency = test.version.currency
    largest = max((abs(each.difference) for each in test.outcomes), default=0)
    return {
        "test": test,
        "totals": amounts(test, currency),
        "rows": [
            {
                "customer": link_to(each.customer),
                "plans": each.plans,
                "amounts": amounts(each, currency),
                "is_more": each.difference > 0,
                "share": round(abs(each.difference) * 100 / largest) if largest else 0,
            }
            for each in test.outcomes[:MOST_SHOWN]
        ],
        "hidden": max(len(test.outcomes) - MOST_SHOWN, 0),
    }


def amounts(each: Any, currency: str) -> list[str]:
    return [
        words.money(amount, currency)
        for amount in (each.own_amount, each.other_amount, each.difference)
    ]


add_page(
    Page(
        route="billing/plans/back-test/",
        name="back_test",
        title="Back-test a plan",
        template="admin/back_test.html",
        permission="billing.view_planversion",
        content=back_test_page,
    )
)
