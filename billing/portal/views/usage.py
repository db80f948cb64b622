"""Usage: the explorer with its filters."""

from datetime import timedelta

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.views.decorators.http import require_safe

from billing.portal.access import CustomerRequest, back_to, customer_page, customer_render
from billing.portal.forms import UsageForm
from billing.portal.usage_reports import Question, Report, usage_report
from config.csv_files import csv_response, inert_cells
from config.errors import InvalidInputError
from metering.models import Meter
from metering.selectors.exports import usage_cells, usage_export, usage_header
from metering.windows import midnight

DAY = timedelta(days=1)


@require_safe
@customer_page
def usage_explorer(request: CustomerRequest) -> HttpResponse:
    """Show one meter over a range of days. Filters come in the address, so a page can be kept."""
    meters = {meter.key: meter for meter in Meter.objects.current()}
    if not meters:
        return customer_render(request, "portal/usage_empty.html", {})
    at = timezone.now()
    form = UsageForm(request.GET, meters=meters, today=at.astimezone(request.customer.zone).date())
    report = answer(request, form) if form.is_valid() else None
    return customer_render(request, "portal/usage.html", {"form": form, "report": report})


@require_safe
@customer_page
def usage_csv(request: CustomerRequest) -> HttpResponseBase:
    """Send the numbers of the explorer as a file; filters that it refuses lead back to it."""
    meters = {meter.key: meter for meter in Meter.objects.current()}
    today = timezone.now().astimezone(request.customer.zone).date()
    form = UsageForm(request.GET, meters=meters, today=today, is_file=True) if meters else None
    if form is None or not form.is_valid():
        return back_to(request, "portal-usage")
    question = question_of(request, form)
    groups = [question.group_by] if question.group_by else []
    rows = usage_export(
        meter=question.meter,
        customer=question.customer,
        start=question.start,
        end=question.end,
        window=question.window,
        group_by=groups,
        filters={question.group_by: question.only} if question.only else {},
    )
    name = f"usage-{question.customer.key}-{question.meter.key}.csv"
    return csv_response(name, usage_header(groups), map(inert_cells, map(usage_cells, rows)))


def answer(request: CustomerRequest, form: UsageForm) -> Report | None:
    """Return the report for valid filters; if it would be too large, say so on the form."""
    try:
        return usage_report(question_of(request, form))
    except InvalidInputError as error:
        form.add_error(error.field if error.field in form.fields else None, error.message)
        return None


def question_of(request: CustomerRequest, form: UsageForm) -> Question:
    asked, zone = form.cleaned_data, request.customer.zone
    return Question(
        customer=request.customer,
        meter=form.chosen,
        start=midnight(asked["start"], zone),
        end=midnight(asked["end"] + DAY, zone),
        window=asked["window"],
        group_by=asked["group_by"],
        only=asked["only"] if asked["group_by"] else "",
        at=timezone.now(),
    )
