"""Replay the demo company's past: usage day by day, nightly runs, and what became of invoices.

Nothing is written behind the product's back: events go through ingest, invoices come from nightly
runs, and payments are made at the sandbox and read back from it.
"""

import json
import urllib.request
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from django.core.management import CommandError, call_command
from django.db import connection
from django_q.models import OrmQ
from msgspec import convert
from rich.progress import Progress

from billing.gateways.stripe import StripeGateway, gateway_from_settings
from billing.models import Invoice, Plan, StripePush
from billing.models.freezing import EMPTYING
from billing.sandbox.server import StripeSandbox
from billing.services.catalog import create_plan
from billing.services.nightly import run_nightly
from billing.services.payments import follow_stripe
from billing.services.subscriptions import cancel_subscription, create_subscription
from config.schedules import setup_schedules
from customers.models import Customer, User
from customers.principals import Principal, Scope
from customers.services import add_member, create_api_key, create_customer
from demo.company import COMPANIES, METERS, PASSWORD, PLANS, STAFF_EMAIL, Company
from demo.launch import member_email
from demo.traffic import days_between, events_of_day
from metering.models import IngestBatch
from metering.services.decoding import EventDocument
from metering.services.ingest import ingest_events
from metering.services.meters import create_meter
from metering.services.partitions import make_partitions

MONTHS = 6
OPERATOR = Principal(customer_ids=None, scopes=frozenset({Scope.ADMIN}))
NIGHT = time(2)
# Besides the nights after a month's end: enough for payments and long graces to show.
NIGHTS_OF_MONTH = (1, 2, 3, 9, 16, 23)
PAYS_AFTER_DAYS = 6
RECENT = timedelta(days=2)
# These two do not pay by themselves: one owes, the other has left for good.
OWES = "citybus"
LEFT = "orchard-robotics"
LAST_DAY = 18
LONGEST_MONTH = timedelta(days=32)
# Staff waived this customer's first month.
WAIVED = "trailhead"


def is_complete() -> bool:
    """Tell whether an earlier start made everything; the staff account is made last."""
    return User.objects.filter(email=STAFF_EMAIL).exists()


def clear() -> None:
    """Empty the database of an earlier or unfinished demo.

    Raises CommandError rather than touch a database that holds anybody else's customers.
    """
    keys = [company.key for company in COMPANIES]
    stranger = Customer.objects.exclude(key__in=keys).first()
    if stranger is not None:
        raise CommandError(
            f"The database holds the customer {stranger.key!r}, which is not the demo's. Set "
            "TALLYPORT_DATA_DIR to an empty folder, or DATABASE_URL to an empty database."
        )
    if Customer.objects.exists():
        with connection.cursor() as cursor:
            # Documents refuse it otherwise.
            cursor.execute(f"SET {EMPTYING} = 'on'")
        call_command("flush", interactive=False, verbosity=0)


def seed(*, until: datetime, months: int, sandbox_port: int, sandbox_state: Path) -> None:
    """Make the company's last `months` months up to `until`, and its invoices at the sandbox."""
    sandbox_state.unlink(missing_ok=True)
    gateway = gateway_from_settings()
    if gateway is None:
        raise CommandError("STRIPE_SECRET_KEY must be set: the demo's invoices go to a sandbox.")
    begin = first_of_month(until.date(), months)
    begin_at = datetime.combine(begin, time.min, tzinfo=UTC)
    make_partitions(months=[first_of_month(until.date(), back) for back in range(-3, months + 2)])
    make_catalog(begin_at)
    with StripeSandbox(port=sandbox_port, state=sandbox_state) as sandbox, Progress() as progress:
        make_customers(begin, months)
        days = list(days_between(begin, until.date()))
        task = progress.add_task("Half a year of usage and invoices", total=len(days))
        for day in days:
            live_through(day, until, gateway, sandbox.url)
            progress.advance(task)
        set_clock(sandbox.url, until)
    make_people(until)
    OrmQ.objects.all().delete()
    setup_schedules(at=until)


def first_of_month(day: date, months_ago: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 - months_ago, 12)
    return date(year, month + 1, 1)


def months_between(day: date, later: date) -> int:
    return (later.year - day.year) * 12 + later.month - day.month


def make_catalog(at: datetime) -> None:
    for meter in METERS:
        create_meter(at=at, **meter)
    for plan in PLANS:
        create_plan(at=at, **plan)


def make_customers(begin: date, months: int) -> None:
    """Make the customers and their subscriptions, which begin at their own midnight."""
    for company in COMPANIES:
        start_at = midnight(begin, company)
        customer = create_customer(
            key=company.key,
            name=company.name,
            email=f"billing@{company.key}.example",
            time_zone=company.time_zone,
            country=company.country,
            city=company.city,
            created_at=start_at,
        )
        plan = Plan.objects.get(key=company.plan)
        subscription = create_subscription(customer=customer, plan=plan, start_at=start_at)
        if company.left_months_ago is not None and company.left_months_ago <= months:
            left = first_of_month(begin, company.left_months_ago - months)
            end_at = midnight(left.replace(day=LAST_DAY), company)
            cancel_subscription(subscription=subscription, at=end_at, end_at=end_at)


def midnight(day: date, company: Company) -> datetime:
    return datetime.combine(day, time.min, tzinfo=ZoneInfo(company.time_zone)).astimezone(UTC)


def make_people(at: datetime) -> None:
    """Make the log-ins and a key each; the staff account comes last and marks the end."""
    for company in COMPANIES:
        customer = Customer.objects.get(key=company.key)
        user = User.objects.create_user(member_email(company.key), PASSWORD, name=company.name)
        add_member(customer=customer, user=user)
        create_api_key(name="Production", at=at, customer=customer, created_by=user)
    User.objects.create_superuser(STAFF_EMAIL, PASSWORD, name="Sky Staff")


def live_through(day: date, until: datetime, gateway: StripeGateway, sandbox: str) -> None:
    """Report the day's usage and, on some days, run the night's work and settle invoices."""
    night = datetime.combine(day, NIGHT, tzinfo=UTC)
    if night <= until and (day.day in NIGHTS_OF_MONTH or day == until.date()):
        set_clock(sandbox, night)
        run = run_nightly(at=night)
        if run.failures:
            raise CommandError(f"The nightly run of {day} failed: {run.failures}")
        settle(night, until, gateway, sandbox)
    report(day, until)


def report(day: date, until: datetime) -> None:
    """Report a day's usage: at its end, or as it happened if that is not long ago."""
    months_ago = months_between(day, until.date())
    events = [
        event
        for company in COMPANIES
        if has_usage(company, day, months_ago)
        for event in events_of_day(company, day, months_ago, until)
    ]
    if until.date() - day > RECENT:
        take_in(events, datetime.combine(day, time.max, tzinfo=UTC))
        return
    events.sort(key=itemgetter("timestamp"))
    for hour, sent in groupby(events, key=lambda event: event["timestamp"][: len("2026-11-22T10")]):
        end_of_hour = datetime.fromisoformat(f"{hour}:59:59Z")
        take_in(list(sent), min(until, end_of_hour))


def take_in(events: Sequence[dict[str, Any]], at: datetime) -> None:
    result = ingest_events(
        items=[convert(event, EventDocument) for event in events],
        principal=OPERATOR,
        source=IngestBatch.Source.API,
        at=at,
        is_backfill=True,
    )
    if result.rejected or result.conflict:
        raise CommandError(f"Usage up to {at} was not taken: {result.errors[:3]}")


def has_usage(company: Company, day: date, months_ago: int) -> bool:
    left = company.left_months_ago
    return left is None or months_ago > left or (months_ago == left and day.day < LAST_DAY)


def settle(at: datetime, until: datetime, gateway: StripeGateway, sandbox: str) -> None:
    """Let customers pay, or not, at the sandbox, and read back what happened."""
    for push in open_pushes():
        key = push.invoice.customer.key
        is_last = push.invoice.period_end > until - LONGEST_MONTH
        age = at - (push.invoice.issued_at or at)
        if key == LEFT and is_last_of_its_subscription(push.invoice):
            if age > timedelta(days=25):
                given_up = push.stripe_invoice_id
                gateway.mark_uncollectible(given_up, key=f"demo:uncollectible:{given_up}")
        elif key == WAIVED and push.invoice.number == first_number(WAIVED):
            post(f"{sandbox}/_sandbox/invoices/{push.stripe_invoice_id}/void")
        elif age >= timedelta(days=PAYS_AFTER_DAYS) and not (key == OWES and is_last):
            post(f"{sandbox}/_sandbox/invoices/{push.stripe_invoice_id}/pay")
        follow_stripe(
            invoice=push.invoice, stripe_invoice_id=push.stripe_invoice_id, gateway=gateway, at=at
        )


def is_last_of_its_subscription(invoice: Invoice) -> bool:
    subscription = invoice.subscription
    return subscription is not None and subscription.end_at == invoice.period_end


def open_pushes() -> Iterable[StripePush]:
    pushes = StripePush.objects.select_related("invoice__customer", "invoice__subscription")
    return pushes.filter(invoice__status=Invoice.Status.OPEN).exclude(stripe_invoice_id="")


def first_number(key: str) -> str | None:
    issued = Invoice.objects.issued().filter(customer__key=key).order_by("issued_at", "pk")
    return issued.values_list("number", flat=True).first()


def set_clock(sandbox: str, at: datetime) -> None:
    post(f"{sandbox}/_sandbox/clock", {"to": int(at.timestamp())})


def post(url: str, document: dict[str, object] | None = None) -> None:
    """Do at the sandbox what a person does there, or in Stripe's dashboard."""
    body = json.dumps(document).encode() if document else b""
    request = urllib.request.Request(url, body, method="POST")  # noqa: S310
    with closing(urllib.request.urlopen(request, timeout=10)) as answer:  # noqa: S310
        answer.read()
