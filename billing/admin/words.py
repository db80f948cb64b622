"""Money, periods and states as staff read them: in English, in the customer's time zone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from billing import formatting
from billing.models import BillingRun, Invoice, PlanVersion, StripeOperation, StripePush
from billing.selectors.price_lists import words_of
from billing.selectors.runs import rows_of_failures
from config.admin import Tone, badge, link_to
from customers.models import Customer

LOCALE = formatting.DEFAULT_LOCALE

INVOICE_TONES: dict[str, Tone] = {
    Invoice.Status.DRAFT: "default",
    Invoice.Status.OPEN: "info",
    Invoice.Status.PAID: "success",
    Invoice.Status.VOID: "default",
    Invoice.Status.UNCOLLECTIBLE: "danger",
}
PUSH_TONES: dict[str, Tone] = {
    StripePush.Status.PENDING: "info",
    StripePush.Status.COMPLETED: "success",
    StripePush.Status.ATTENTION: "danger",
    StripePush.Status.SKIPPED: "default",
    StripePush.Status.BELOW_MINIMUM: "warning",
}
OPERATION_TONES: dict[str, Tone] = {
    StripeOperation.Status.PENDING: "info",
    StripeOperation.Status.COMPLETED: "success",
    StripeOperation.Status.ATTENTION: "danger",
}
RUN_TONES: dict[str, Tone] = {
    BillingRun.Status.RUNNING: "info",
    BillingRun.Status.COMPLETED: "success",
    BillingRun.Status.INCOMPLETE: "warning",
    BillingRun.Status.FAILED: "danger",
}


def money(amount: Decimal, currency: str) -> str:
    return formatting.money(amount, currency, LOCALE)


def quantity(value: Decimal) -> str:
    return formatting.quantity(value, LOCALE)


def period(start: datetime, end: datetime, customer: Customer) -> str:
    """Write a period in the customer's own calendar: that is what decides its days."""
    return formatting.period(start, end, customer.zone, LOCALE)


def span(start: datetime, end: datetime, customer: Customer) -> str:
    """Write the stretch of time that a line is for."""
    return formatting.span(start, end, customer.zone, LOCALE)


def day(at: datetime, customer: Customer) -> str:
    """Write the customer's own calendar day of an instant."""
    return formatting.day(at, customer.zone, LOCALE)


def invoice_badge(invoice: Invoice, at: datetime) -> SafeString:
    if invoice.is_past_due(at):
        return badge("Past due", "danger")
    return badge(invoice.get_status_display(), INVOICE_TONES[invoice.status])


def push_badge(push: StripePush) -> SafeString:
    return badge(push.get_status_display(), PUSH_TONES[push.status])


def operation_badge(operation: StripeOperation) -> SafeString:
    return badge(operation.get_status_display(), OPERATION_TONES[operation.status])


def run_badge(run: BillingRun) -> SafeString:
    return badge(run.get_status_display(), RUN_TONES[run.status])


def run_progress(run: BillingRun) -> SafeString:
    """Return how many customers a run has served, drawn and in words."""
    if not run.customers_total:
        return format_html("{}", "No customers to serve, or not counted yet")
    percent = run.customers * 100 // run.customers_total
    return format_html(
        '<progress class="tp-progress" value="{}" max="{}">{} %</progress>'
        "<span>{} of {} customers ({} %)</span>",
        run.customers,
        run.customers_total,
        percent,
        f"{run.customers:,}",
        f"{run.customers_total:,}",
        percent,
    )


def price_list(version: PlanVersion) -> SafeString:
    """Return a version's prices in the words customers read, one to a line."""
    return lines_of(format_html("{}: {}", name, words) for name, words in words_of(version))


def lines_of(lines: Any) -> SafeString:
    """Return lines of text below each other; each is escaped unless it is safe already."""
    return format_html_join("", "<div>{}</div>", ((line,) for line in lines))


def interval(version: PlanVersion) -> str:
    """Return how often a version is billed: "Month", "3 months"."""
    if version.interval_count == 1:
        return version.get_interval_display()
    return f"{version.interval_count} {version.get_interval_display().lower()}s"


def units(quantities: dict[str, str]) -> str:
    """Return stated units: "seats 5, hosts 2"."""
    return ", ".join(f"{key} {quantity}" for key, quantity in quantities.items()) or "-"


def steps(documents: list[dict[str, Any]], currency: str) -> SafeString:
    """Return how an amount came about, one step to a line."""
    return lines_of(step_words(step, currency) for step in documents)


def step_words(step: dict[str, Any], currency: str) -> str:
    """Return one step: "First 1,000: 1,000 at $0.01 = $10.00"."""
    amount = formatting.rate(Decimal(step["amount"]), currency, LOCALE)
    if "quantity" not in step:
        return f"{step['description']}: {amount}"
    counted = quantity(Decimal(step["quantity"]))
    if "rate" in step:
        share = formatting.percentage(Decimal(step["rate"]), LOCALE)
        return f"{step['description']}: {share} of {counted} = {amount}"
    if "unit_amount" not in step:
        return f"{step['description']}: {counted} = {amount}"
    each = formatting.rate(Decimal(step["unit_amount"]), currency, LOCALE)
    return f"{step['description']}: {counted} at {each} = {amount}"


def failures(entries: Sequence[dict[str, str]]) -> Iterator[SafeString]:
    """Yield what failed in a nightly run: whose it is, with its page, and why."""
    rows = rows_of_failures(entries)
    for entry in entries:
        whose = format_html_join(
            ", ",
            "{} {}",
            (
                (kind.capitalize(), link_to(row, name) if (row := rows.get((kind, name))) else name)
                for kind, name in entry.items()
                if kind != "message"
            ),
        )
        yield format_html("{}: {}", whose, entry["message"])


def duration(time: timedelta) -> str:
    """Return how long something took: "0.1 s", "25 min 2 s", "1 h 15 min"."""
    minutes, rest = divmod(time, timedelta(minutes=1))
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {minutes} min"
    return f"{minutes} min {rest.seconds} s" if minutes else f"{rest.total_seconds():.1f} s"
