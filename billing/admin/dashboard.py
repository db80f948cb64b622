"""The first page of the admin: is everything all right, and if not, where does one act?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.timesince import timesince
from django_q.models import Failure

from billing.admin.tiles import Tile, counted, figures, invoices, listing
from billing.models import BillingRun, DunningCase, Email
from billing.selectors.attention import DraftCounts, StripeCounts, draft_counts, stripe_counts
from billing.selectors.invoices import (
    CurrencyTotal,
    issued_totals,
    open_totals,
    overdue_totals,
)
from billing.selectors.runs import last_run
from config.admin import Bar, bars_of, change_url
from metering.models import UsageCheck
from metering.selectors.freshness import IngestTotals, ingest_totals
from metering.selectors.monitoring import FoldingState, folding_state, hourly_events, last_check

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
# Nightly work is due every day; two hours are left for it to run.
RUN_OVERDUE = timedelta(hours=26)
# Folding is due every five minutes.
FOLDING_OVERDUE = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Alarm:
    """A sentence about something that is not all right, and where it is put right."""

    text: str
    address: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything the page is made from, read in a constant number of queries."""

    at: datetime
    hours: list[tuple[datetime, int]]
    ingest: IngestTotals
    folding: FoldingState
    check: UsageCheck | None
    open: list[CurrencyTotal]
    overdue: list[CurrencyTotal]
    month: list[CurrencyTotal]
    drafts: DraftCounts
    stripe: StripeCounts
    run: BillingRun | None
    failed_tasks: int
    failed_emails: int
    flagged: int


def add_overview(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Put the overview into the context of the index."""
    facts = read_facts(timezone.now())
    peak = max(events for _, events in facts.hours)
    sees_usage = request.user.has_perm("metering.view_ingestbatch")
    sees_billing = request.user.has_perm("billing.view_invoice")
    context["overview"] = {
        "alarms": [
            *(billing_alarms(facts) if sees_billing else ()),
            *(usage_alarms(facts) if sees_usage else ()),
        ],
        "sees_all": sees_usage and sees_billing,
        "usage": usage_tiles(facts) if sees_usage else [],
        "billing": billing_tiles(facts) if sees_billing else [],
        "hours": hour_bars(facts),
        "peak": f"most in an hour: {peak:,}",
    }
    return context


def read_facts(at: datetime) -> Facts:
    this_hour = at.replace(minute=0, second=0, microsecond=0)
    month_start = at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    run = last_run()
    return Facts(
        at=at,
        hours=hourly_events(start=this_hour - 23 * HOUR, end=at),
        ingest=ingest_totals(at - DAY),
        folding=folding_state(),
        check=last_check(),
        open=open_totals(),
        overdue=overdue_totals(at),
        month=issued_totals(start=month_start, end=at),
        drafts=draft_counts(at),
        stripe=stripe_counts(),
        run=run,
        failed_tasks=Failure.objects.filter(stopped__gte=at - DAY).count(),
        flagged=DunningCase.objects.running().count(),
        failed_emails=Email.objects.filter(status=Email.Status.FAILED).count(),
    )


def hour_bars(facts: Facts) -> list[Bar]:
    return bars_of((f"{hour:%H:%M}", f"{events:,}", events) for hour, events in facts.hours)


def usage_alarms(facts: Facts) -> Iterator[Alarm]:
    """Yield what is not all right with the usage that comes in."""
    if refused := refused_events(facts.ingest):
        text = f"{counted(refused, 'event')} refused in the last 24 hours."
        yield Alarm(text, listing("metering_refusedevent"))
    if is_folding_late(facts):
        yield Alarm("Events have come in that are not folded yet.", listing("metering_ingestbatch"))
    if facts.check is not None and facts.check.differences:
        text = "Roll-ups were not what the events say; they were made anew."
        yield Alarm(text, listing("metering_usagecheck"))


def billing_alarms(facts: Facts) -> Iterator[Alarm]:
    """Yield what is not all right with billing, the costliest first."""
    if text := run_trouble(facts.run, facts.at):
        yield Alarm(text, run_address(facts.run))
    if facts.overdue:
        text = f"{counted(invoices(facts.overdue), 'invoice')} past due: {amounts(facts.overdue)}."
        yield Alarm(text, listing("billing_invoice", payment="past_due"))
    if facts.drafts.due:
        text = f"{counted(facts.drafts.due, 'draft')} past the grace and not issued yet."
        yield Alarm(text, listing("billing_invoice", status__exact="draft"))
    yield from stripe_alarms(facts.stripe)
    if facts.flagged:
        text = f"{counted(facts.flagged, 'customer')} flagged for invoices that are long overdue."
        yield Alarm(text, listing("billing_dunningcase", state="running"))
    if facts.failed_emails:
        text = f"{counted(facts.failed_emails, 'e-mail')} to customers could not be sent."
        yield Alarm(text, listing("billing_email", status__exact="failed"))
    if facts.failed_tasks:
        text = f"{counted(facts.failed_tasks, 'background task')} failed in the last 24 hours."
        yield Alarm(text, listing("django_q_failure"))


def stripe_alarms(stripe: StripeCounts) -> Iterator[Alarm]:
    if stripe.halted:
        text = f"Stripe refuses the secret key, and everything waits: {stripe.halted}"
        yield Alarm(text, listing("billing_stripequeue"))
    if stripe.differences:
        text = f"{counted(stripe.differences, 'difference')} from Stripe found when last compared."
        yield Alarm(text, listing("billing_stripereconciliation"))
    if stripe.not_compared and not stripe.halted:
        text = f"The last comparison with Stripe was not carried through: {stripe.not_compared}"
        yield Alarm(text, listing("billing_stripereconciliation"))
    if stripe.operations:
        text = f"{counted(stripe.operations, 'operation')} at Stripe held for a person."
        yield Alarm(text, listing("billing_stripeoperation", status__exact="attention"))
    if stripe.attention:
        text = f"{counted(stripe.attention, 'push', 'pushes')} to Stripe held for a person."
        yield Alarm(text, listing("billing_stripepush", attention="yes"))
    if stripe.unhandled_events:
        text = f"{counted(stripe.unhandled_events, 'message')} from Stripe not taken in yet."
        yield Alarm(text, listing("billing_stripeevent", state="waiting"))


def run_trouble(run: BillingRun | None, at: datetime) -> str:
    """Return what is wrong with the nightly work, or nothing."""
    if run is None:
        return "No nightly run has been made yet."
    if run.status == BillingRun.Status.FAILED:
        return "The last nightly run was cut off."
    if run.failures:
        return f"The last nightly run had {counted(len(run.failures), 'failure')}."
    if run.pushes_halted:
        return f"The last nightly run stopped pushing to Stripe: {run.pushes_halted}"
    if at - run.started_at > RUN_OVERDUE:
        return f"The last nightly run was {ago(run.started_at, at)}."
    return ""


def is_folding_late(facts: Facts) -> bool:
    waiting_since = facts.folding.waiting_since
    return waiting_since is not None and facts.at - waiting_since > FOLDING_OVERDUE


def usage_tiles(facts: Facts) -> list[Tile]:
    midnight = facts.at.replace(hour=0, minute=0, second=0, microsecond=0)
    today = sum(events for hour, events in facts.hours if hour >= midnight)
    refused = refused_events(facts.ingest)
    return [
        Tile("Events today", (f"{today:,}",), "since midnight UTC", reverse("admin:events")),
        Tile(
            "Events in the last 24 hours",
            (f"{facts.ingest.accepted:,}",),
            received_note(facts),
            listing("metering_ingestbatch"),
        ),
        folding_tile(facts),
        Tile(
            "Refused in the last 24 hours",
            (f"{refused:,}",),
            f"{facts.ingest.rejected:,} rejected, {facts.ingest.conflict:,} in conflict",
            listing("metering_refusedevent"),
            "warning" if refused else "success",
        ),
    ]


def received_note(facts: Facts) -> str:
    if facts.ingest.last_received_at is None:
        return "none received"
    return f"last received {ago(facts.ingest.last_received_at, facts.at)}"


def folding_tile(facts: Facts) -> Tile:
    folding = facts.folding
    batches = counted(folding.batches, "batch", "batches")
    return Tile(
        "Roll-ups",
        ("never folded" if folding.folded_at is None else ago(folding.folded_at, facts.at),),
        f"{counted(folding.events, 'event')} in {batches} came in since",
        listing("metering_ingestbatch"),
        "warning" if is_folding_late(facts) else "success",
    )


def billing_tiles(facts: Facts) -> list[Tile]:
    overdue = invoices(facts.overdue)
    month_start = facts.at.date().replace(day=1)
    return [
        Tile(
            "Open invoices",
            figures(facts.open),
            f"{counted(invoices(facts.open), 'invoice')}, {overdue:,} past due",
            listing("billing_invoice", status__exact="open"),
            "danger" if overdue else "success",
        ),
        Tile(
            "Invoiced this month",
            figures(facts.month),
            f"{counted(invoices(facts.month), 'invoice')} since {month_start:%d %B}",
            listing("billing_invoice", issued_at_from=month_start.isoformat()),
        ),
        Tile(
            "Drafts",
            (f"{facts.drafts.in_grace + facts.drafts.due:,}",),
            f"{facts.drafts.in_grace:,} in their grace, {facts.drafts.due:,} past it",
            listing("billing_invoice", status__exact="draft"),
            "warning" if facts.drafts.due else "default",
        ),
        run_tile(facts),
        Tile(
            "Pushes to Stripe",
            (f"{facts.stripe.attention:,}",),
            f"held for a person; {facts.stripe.under_way:,} on their way",
            listing("billing_stripepush", attention="yes"),
            "danger" if facts.stripe.attention else "success",
        ),
        Tile(
            "Failed tasks",
            (f"{facts.failed_tasks:,}",),
            "in the last 24 hours",
            listing("django_q_failure"),
            "danger" if facts.failed_tasks else "success",
        ),
    ]


def run_tile(facts: Facts) -> Tile:
    run, trouble = facts.run, run_trouble(facts.run, facts.at)
    if run is None:
        return Tile("Last nightly run", ("none",), trouble, run_address(run), "warning")
    done = f", {run.customers:,} of {run.customers_total:,} customers" if is_running(run) else ""
    note = (
        f"{run.get_status_display()}{done}: {run.invoices_drafted:,} drafted, "
        f"{run.invoices_finalized:,} issued, {run.invoices_pushed:,} pushed"
    )
    return Tile(
        "Last nightly run",
        (ago(run.started_at, facts.at),),
        note,
        run_address(run),
        "danger" if trouble else "success",
    )


def is_running(run: BillingRun) -> bool:
    return run.status == BillingRun.Status.RUNNING


def run_address(run: BillingRun | None) -> str:
    return listing("billing_billingrun") if run is None else change_url(run)


def refused_events(ingest: IngestTotals) -> int:
    return ingest.conflict + ingest.rejected


def amounts(totals: Iterable[CurrencyTotal]) -> str:
    return " and ".join(figures(totals))


def ago(instant: datetime, at: datetime) -> str:
    """Return how long ago an instant was, in its largest unit: "3 minutes ago"."""
    if at - instant < timedelta(minutes=1):
        return "just now"
    return f"{timesince(instant, at, depth=1)} ago"
