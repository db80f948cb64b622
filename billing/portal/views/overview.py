"""The overview: what this period has come to, and under which plan."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.http import HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from billing.charts import Tally, tally
from billing.models import Invoice, Subscription
from billing.portal.access import CustomerRequest, customer_page, customer_render
from billing.portal.usage_reports import Question, Report, usage_report
from billing.portal.views.invoices import invoice_row, overdue_rows
from billing.rating.periods import Period, period_containing
from billing.selectors.credits import credit_balances
from billing.selectors.invoices import issued_invoices
from billing.selectors.previews import cost_so_far, credits_in
from billing.selectors.price_lists import words_of
from billing.selectors.statements import Statement
from billing.selectors.subscriptions import current_subscriptions
from customers.models import Customer
from metering.models import Meter
from metering.windows import day_starts

LATEST_INVOICES = 5
# A tally of more days than a month has would be a fence.
MOST_DAYS_TALLIED = 31
LONGEST_BY_DAY = timedelta(days=100)


@dataclass(frozen=True, slots=True)
class PriceWords:
    """One price of a plan as a sentence."""

    name: str
    words: str


@dataclass(frozen=True, slots=True)
class PlanWords:
    """A plan that the customer is on, its rhythm and its prices in words."""

    subscription: Subscription
    interval: str
    prices: list[PriceWords]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the period has come: days begun, days in all, and a tally if they are few."""

    days_begun: int
    days: int
    tally: Tally | None


@require_safe
@customer_page
def overview(request: CustomerRequest) -> HttpResponse:
    customer, at = request.customer, timezone.now()
    subscriptions = current_subscriptions(customer, at)
    statements = cost_so_far(customer, at)
    period = shown_period(customer, statements, at)
    drafts = list(Invoice.objects.filter(customer=customer, status=Invoice.Status.DRAFT))
    reports = [period_report(customer, meter, period, at) for meter in priced_meters(subscriptions)]
    context = {
        "overdue": overdue_rows(customer, at),
        "period": period,
        "progress": progress(customer, period, at),
        "statements": statements,
        "reports": reports,
        "is_unused": not any(report.has_usage for report in reports),
        "event_type": next((report.question.meter.event_type for report in reports), ""),
        "plans": [plan_words(subscription) for subscription in subscriptions],
        "drafts": drafts,
        "credits": credit_balances(customer, at, credits_in([*drafts, *statements])),
        "rows": [
            invoice_row(invoice, at) for invoice in issued_invoices(customer)[:LATEST_INVOICES]
        ],
    }
    return customer_render(request, "portal/overview.html", context)


def shown_period(customer: Customer, statements: list[Statement], at: datetime) -> Period:
    """Return the stretch from the earliest to the latest bound of what is running.

    Without a subscription it is the calendar month.
    """
    if not statements:
        return period_containing(at, interval="month", zone=customer.zone)
    return Period(
        min(each.period_start for each in statements), max(each.period_end for each in statements)
    )


def progress(customer: Customer, period: Period, at: datetime) -> Progress:
    starts = day_starts(period.start, period.end, customer.zone)
    begun = sum(start <= at for start in starts)
    drawn = tally(begun, len(starts)) if len(starts) <= MOST_DAYS_TALLIED else None
    return Progress(days_begun=begun, days=len(starts), tally=drawn)


def priced_meters(subscriptions: list[Subscription]) -> list[Meter]:
    """Return the meters that the running plans price, each once, in the order of the prices."""
    prices = [price for each in subscriptions for price in each.plan_version.prices.all()]
    return list({price.meter_id: price.meter for price in prices if price.meter}.values())


def period_report(customer: Customer, meter: Meter, period: Period, at: datetime) -> Report:
    is_short = period.end - period.start <= LONGEST_BY_DAY
    return usage_report(
        Question(
            customer=customer,
            meter=meter,
            start=period.start,
            end=period.end,
            window="day" if is_short else "month",
            at=at,
        )
    )


def plan_words(subscription: Subscription) -> PlanWords:
    version = subscription.plan_version
    every = version.get_interval_display().lower()
    if version.interval_count > 1:
        every = f"{version.interval_count} {every}s"
    return PlanWords(
        subscription=subscription,
        interval=every,
        prices=[PriceWords(name, words) for name, words in words_of(version)],
    )
