"""A company with a row of every kind, made by the services that make them in earnest."""

from datetime import UTC, datetime
from decimal import Decimal

from allauth.account.models import EmailAddress
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group
from django_q.models import Task
from django_q.tasks import async_task

from billing.models import (
    DunningCase,
    Email,
    Invoice,
    PaymentReversal,
    StripeCustomer,
    StripeEvent,
    StripeOperation,
    StripePush,
    StripePushStep,
    StripeQueue,
    StripeReconciliation,
)
from billing.services.coupons import create_coupon, redeem_coupons
from billing.services.crediting import CreditWish, create_credit_note
from billing.services.credits import grant_credit
from billing.services.nightly import run_nightly
from billing.services.one_off import create_charge
from billing.services.payments import record_payment
from config.schedules import setup_schedules
from customers.models import Customer, User
from customers.principals import Principal
from metering.models import ArchivedMonth, LogImport, LogImportLine, Meter
from metering.services.backfill import open_session, stage_events
from metering.services.corrections import amend_event
from metering.services.decoding import EventDocument
from metering.services.settling import settle_days
from tests.factories import (
    make_customer,
    make_key,
    make_member,
    make_meter,
    make_plan,
    make_subscription,
    make_tax_rate,
)
from tests.metering.ingest.reports import event, report

FEBRUARY = datetime(2026, 2, 1, tzinfo=UTC)
MARCH = datetime(2026, 3, 1, tzinfo=UTC)
APRIL = datetime(2026, 4, 1, tzinfo=UTC)
BASE = {"key": "base", "name": "Base fee", "model": "flat", "amount": "10"}
CALLS = {"key": "calls", "name": "API calls", "model": "per_unit", "unit_amount": "0.10"}


def build(key: str, *, name: str = "") -> Customer:
    """Make a customer with two billed months: one issued and paid in part, one still a draft."""
    customer = make_customer(key, name=name or key.title())
    customer.tax_rates.add(make_tax_rate(f"vat-{key}"))
    add_people(customer)
    make_key(customer)
    use(customer, make_meter(f"calls-{key}", group_by=["endpoint"]))
    run_nightly(at=MARCH.replace(day=5))
    run_nightly(at=APRIL.replace(hour=6))
    issued = Invoice.objects.get(customer=customer, number__isnull=False)
    record_payment(
        invoice=issued,
        source="manual",
        external_id=f"cash-{key}",
        amount=Decimal(1),
        paid_at=MARCH.replace(day=9),
    )
    create_credit_note(wish=CreditWish(issued, amount=Decimal(2)), at=MARCH.replace(day=10))
    DunningCase.objects.create(customer=customer, overdue_since=MARCH, opened_at=MARCH)
    Email.objects.create(customer=customer, kind="issued", invoice=issued)
    add_coupon(customer)
    add_credit(customer)
    create_charge(
        customer=customer, description="Training", unit_amount=Decimal(9), at=APRIL.replace(day=5)
    )
    add_stripe(issued)
    add_backfill(key)
    add_import(key)
    settle_days(at=MARCH.replace(day=21))
    add_archive(key)
    add_tasks(key)
    return customer


def add_people(customer: Customer) -> None:
    member = make_member(customer, email=f"member@{customer.key}.example")
    EmailAddress.objects.create(user=member, email=member.email, primary=True, verified=True)
    Group.objects.create(name=f"Support for {customer.key}")
    LogEntry.objects.log_actions(
        user_id=member.pk,
        queryset=Customer.objects.filter(pk=customer.pk),
        action_flag=CHANGE,
        change_message="Changed the name.",
        single_object=True,
    )


def use(customer: Customer, meter: Meter) -> None:
    """Subscribe the customer and report usage of both months, with one conflict and one refusal."""
    plan = make_plan(BASE, CALLS | {"meter": meter.key}, key=f"plan-{customer.key}")
    make_subscription(customer, plan, FEBRUARY)
    for start, count in ((FEBRUARY, 3), (MARCH, 2)):
        events = [
            event(
                f"{start:%m}-{number}",
                customer=customer.key,
                timestamp=start.replace(day=number + 2).isoformat(),
                properties={"endpoint": "/v1/search"},
            )
            for number in range(count)
        ]
        clash = events[0] | {"properties": {"endpoint": "/v1/other"}}
        refused = event("bad", customer=customer.key, timestamp="yesterday")
        report([*events, clash, refused], at=start.replace(day=20))
    amend_event(
        customer=customer,
        event_id="03-0",
        properties={"endpoint": "/v1/find"},
        reason="The endpoint was named wrong.",
        principal=Principal(customer_ids=None, user_id=customer.memberships.get().user_id),
        at=MARCH.replace(day=21),
    )


def add_coupon(customer: Customer) -> None:
    coupon = create_coupon(
        key=f"coupon-{customer.key}", name="Welcome", percent_off=10, prices=["x"]
    )
    subscription = customer.subscriptions.get()
    redeem_coupons(subscription=subscription, coupons=[coupon], at=APRIL)


def add_credit(customer: Customer) -> None:
    grant_credit(customer=customer, name="Prepaid", amount=Decimal(5), currency="EUR", at=APRIL)


def add_stripe(invoice: Invoice) -> None:
    key = invoice.customer.key
    StripeCustomer.objects.create(customer=invoice.customer, account="test", stripe_id=f"cus_{key}")
    push = StripePush.objects.create(
        invoice=invoice,
        status=StripePush.Status.ATTENTION,
        attention="The totals differ.",
        stripe_invoice_id=f"in_{key}",
    )
    StripePushStep.objects.create(push=push, name="draft", started_at=MARCH)
    StripeOperation.objects.create(invoice=invoice, kind="void", requested_at=MARCH)
    StripeQueue.objects.get_or_create(account="test")
    StripeReconciliation.objects.create(
        at=MARCH,
        finished_at=MARCH,
        differences=[{"kind": "missing", "invoice": str(invoice), "message": "It is not there."}],
    )
    PaymentReversal.objects.create(
        payment=invoice.payments.get(),
        kind="refund",
        external_id=f"re_{key}",
        amount=Decimal(1),
        status="succeeded",
        created_at=MARCH,
    )
    StripeEvent.objects.create(
        event_id=f"evt_{key}",
        livemode=False,
        type="invoice.paid",
        object_id=f"in_{key}",
        created_at=MARCH,
        payload={"id": f"evt_{key}"},
        attempts=1,
    )


def add_backfill(key: str) -> None:
    principal = Principal(customer_ids=None)
    session = open_session(name=f"lost-{key}", principal=principal, at=MARCH)
    lost = EventDocument(id="lost", type="api.request", customer=key, timestamp=MARCH)
    stage_events(session=session, items=[lost], principal=principal, at=MARCH)


def add_import(key: str) -> None:
    log_import = LogImport.objects.create(
        name=f"{key}.log", format="combined", mapping={"event_type": "http.request"}, lines=1
    )
    LogImportLine.objects.create(
        log_import=log_import, number=1, kind="unparsed", reason="No request.", text="garbage"
    )


def add_archive(key: str) -> None:
    ArchivedMonth.objects.create(
        start_at=FEBRUARY,
        end_at=MARCH,
        partition="metering_event_2026_02",
        rows=3,
        customers=1,
        first_at=FEBRUARY,
        last_at=FEBRUARY,
        manifest=f"/archive/{key}.json",
        size=1,
        sha256=f"{0:064}",
        archived_at=MARCH,
        restored_at=APRIL,
    )


def add_tasks(key: str) -> None:
    setup_schedules(at=MARCH)
    async_task("metering.tasks.make_partitions", key)
    for succeeded in (True, False):
        Task.objects.create(
            id=f"{key}-{succeeded}",
            name=f"{key}-task",
            func="billing.tasks.nightly",
            args=(1,),
            started=MARCH,
            stopped=MARCH,
            success=succeeded,
            result=None if succeeded else "It broke.\nTraceback",
        )


def staff_user(email: str = "staff@example.com") -> User:
    return User.objects.create_superuser(email, "a password of ours")
