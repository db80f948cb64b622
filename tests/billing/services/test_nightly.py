"""The nightly run: all that is due, once, whatever happened before."""

from collections.abc import Sequence
from datetime import datetime
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from billing import tasks
from billing.models import BillingRun, Invoice, InvoiceLine, PlanVersion
from billing.services import invoicing, nightly
from billing.services.invoicing import Bill, bill_customers
from billing.services.nightly import run_nightly
from billing.services.subscriptions import (
    cancel_subscription,
    change_subscription,
    create_subscription,
)
from billing.tasks import nightly as nightly_task
from customers.models import Customer
from metering.models import PendingBatch
from tests import factories
from tests.billing.plans import CALLS, FEE, publish_plan, subscribe
from tests.billing.usage import instant, report_calls

pytestmark = pytest.mark.django_db


def run(at: str) -> BillingRun:
    return run_nightly(at=instant(at))


def totals() -> list[tuple[str | None, str, str]]:
    invoices = Invoice.objects.order_by("period_start", "pk")
    return [(each.number, each.status, str(each.total)) for each in invoices]


def contents() -> list[Any]:
    """Return every column of every invoice and line but the keys of the lines."""
    lines = [
        {name: value for name, value in row.items() if name != "id"}
        for row in InvoiceLine.objects.order_by("invoice", "position").values()
    ]
    return [*Invoice.objects.order_by("pk").values(), *lines]


def test_a_draft_moves_through_its_grace_and_not_after(acme: Customer) -> None:
    """31.00 and one call at 2, then one late call more, then one too late."""
    subscribe(acme, "2026-01-01")
    report_calls(acme, "2026-01-10")
    run("2026-02-01T01:00")
    assert totals() == [(None, "draft", "33.00")]
    report_calls(acme, "2026-01-31T23:59")
    run("2026-02-01T12:00")
    assert totals() == [(None, "draft", "35.00")]
    run("2026-02-02T01:00")
    report_calls(acme, "2026-01-31T23:59:30")
    run("2026-02-03T01:00")
    assert totals() == [("INV-000001", "open", "35.00")]


def test_a_run_says_what_it_did(acme: Customer) -> None:
    subscribe(acme, "2026-01-01")
    report_calls(acme, "2026-01-10", 3)
    done = run("2026-02-02")
    assert (done.status, done.events_folded, done.failures) == ("completed", 3, [])
    assert (done.invoices_drafted, done.invoices_finalized, done.invoices_pushed) == (1, 1, 0)
    assert "STRIPE_SECRET_KEY" in done.pushes_halted
    assert (done.at, done.finished_at is not None) == (instant("2026-02-02"), True)
    assert not PendingBatch.objects.exists()


@pytest.mark.parametrize("at", ["2026-02-01T01:00", "2026-02-02T01:00"])
def test_a_second_run_changes_nothing(acme: Customer, at: str) -> None:
    subscribe(acme, "2026-01-01")
    report_calls(acme, "2026-01-10", 12)
    run(at)
    before = contents()
    again = run(at)
    assert contents() == before
    assert (again.invoices_drafted, again.invoices_finalized) == (0, 0)


def test_months_without_a_run_are_made_good_in_their_order(acme: Customer) -> None:
    """March is within its grace; each earlier month has its own calls, one more than the last."""
    subscribe(acme, "2025-12-20")
    for month, calls in enumerate(["2025-12-25", "2026-01-25", "2026-02-25", "2026-03-25"], 1):
        report_calls(acme, calls, month)
    run("2026-04-01T03:00")
    assert totals() == [
        ("INV-000001", "open", "14.00"),
        ("INV-000002", "open", "35.00"),
        ("INV-000003", "open", "37.00"),
        (None, "draft", "39.00"),
    ]


def test_every_subscription_of_every_customer_is_billed(acme: Customer) -> None:
    pro, lite = publish_plan(FEE), publish_plan(FEE | {"amount": "5"}, key="lite")
    globex = factories.make_customer("globex")
    for customer, version in ((acme, pro), (acme, lite), (globex, lite)):
        subscribe(customer, "2026-01-01", version)
    run("2026-02-02")
    billed = Invoice.objects.order_by("pk").values_list("customer__key", "total", "status")
    assert [(key, str(total), status) for key, total, status in billed] == [
        ("acme", "31.00", "open"),
        ("acme", "5.00", "open"),
        ("globex", "5.00", "open"),
    ]


def test_a_subscription_is_billed_to_its_end_and_no_further(acme: Customer) -> None:
    """28 days of February's 31.00, of which the first 14 are started."""
    subscription = subscribe(acme, "2026-01-01", publish_plan(FEE))
    cancel_subscription(subscription=subscription, at=instant("2026-02-14T06:00"))
    run("2026-06-01")
    assert [total for _, _, total in totals()] == ["31.00", "15.50"]
    assert run("2026-07-01").invoices_drafted == 0


def test_nothing_is_billed_before_its_period_has_ended(acme: Customer) -> None:
    subscribe(acme, "2026-01-01")
    run("2026-01-31T23:59:59")
    assert totals() == []


def break_prices_of(customer: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let billing fail for one customer as a fault of the program would."""

    def bill_or_fail(*, customer_ids: Sequence[int], at: datetime) -> Bill:
        if customer.pk in customer_ids:
            raise ZeroDivisionError("a fault")
        return bill_customers(customer_ids=customer_ids, at=at)

    monkeypatch.setattr(invoicing, "bill_customers", bill_or_fail)


def test_one_customers_failure_stops_nobody_else_and_is_made_good_later(
    acme: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = publish_plan(FEE)
    for customer in (acme, factories.make_customer("globex")):
        subscribe(customer, "2026-01-01", version)
    with monkeypatch.context() as context:
        break_prices_of(acme, context)
        failed = run("2026-02-02")
    assert (failed.status, failed.invoices_finalized) == ("incomplete", 1)
    assert failed.failures == [{"customer": "acme", "message": "ZeroDivisionError('a fault')"}]
    assert Invoice.objects.get().customer.key == "globex"
    assert run("2026-02-02").status == "completed"
    assert Invoice.objects.filter(customer=acme, status="open").count() == 1


def test_a_failure_to_fold_is_reported_and_billing_goes_on(
    acme: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*, at: object) -> int:
        raise RuntimeError("no room")

    subscribe(acme, "2026-01-01")
    report_calls(acme, "2026-01-10")
    monkeypatch.setattr(nightly, "fold_pending", fail)
    assert run("2026-02-02").failures == [{"step": "usage", "message": "RuntimeError('no room')"}]
    assert totals() == [("INV-000001", "open", "33.00")]


def test_a_run_that_was_killed_is_closed_by_the_next(acme: Customer) -> None:
    killed = BillingRun.objects.create(at=instant("2026-02-01"))
    run("2026-02-02")
    killed.refresh_from_db()
    assert (killed.status, killed.finished_at is not None) == ("failed", True)


def test_progress_can_be_seen_while_a_run_goes_on(
    acme: Customer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    version = publish_plan(FEE)
    for customer in (acme, factories.make_customer("globex")):
        subscribe(customer, "2026-01-01", version)
    settings.NIGHTLY_BATCH = 1
    monkeypatch.setattr(nightly, "gateway_from_settings", lambda: seen.append(drafted()))

    def drafted() -> int:
        return BillingRun.objects.get().invoices_drafted

    run("2026-02-02")
    assert seen == [2]


def test_the_command_works_as_of_an_instant_and_sums_up(acme: Customer) -> None:
    subscribe(acme, "2026-01-01")
    report_calls(acme, "2026-01-10", 2)
    out = StringIO()
    call_command("nightly", "--at", "2026-02-02T01:00:00+01:00", stdout=out)
    assert out.getvalue() == (
        "As of 2026-02-02T00:00:00+00:00: 2 events folded, 1 invoices drafted, 1 issued, "
        "0 pushed.\n"
    )


@pytest.mark.parametrize("at", ["yesterday", "2026-02-02", "2026-02-02T01:00:00"])
def test_the_command_refuses_what_is_no_instant(at: str) -> None:
    with pytest.raises(CommandError, match=r"2026-02-0|offset"):
        call_command("nightly", "--at", at)
    assert not BillingRun.objects.exists()


def test_the_command_fails_when_the_run_is_incomplete(
    acme: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscribe(acme, "2026-01-01", publish_plan(FEE))
    break_prices_of(acme, monkeypatch)
    err = StringIO()
    with pytest.raises(CommandError, match="1 failures"):
        call_command("nightly", "--at", "2026-02-02T00:00:00Z", stdout=StringIO(), stderr=err)
    assert "customer: acme, message: ZeroDivisionError" in err.getvalue()


def test_a_run_is_repeated_as_of_its_own_instant(acme: Customer) -> None:
    subscribe(acme, "2026-01-01")
    failed = BillingRun.objects.create(at=instant("2026-02-02"), status="failed")
    tasks.nightly_again(failed.pk)
    assert totals() == [("INV-000001", "open", "31.00")]


def test_open_usage_is_billed_at_its_threshold_between_nights(acme: Customer) -> None:
    month = timezone.now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    subscribe(acme, month, publish_plan(FEE, CALLS, invoice_threshold="4"))
    report_calls(acme, month.isoformat(), 2)
    tasks.bill_thresholds()
    tasks.bill_thresholds()
    assert totals() == [("INV-000001", "open", "4.00")]


def test_periods_are_closed_by_a_night_and_not_by_the_look_for_thresholds(acme: Customer) -> None:
    subscribe(acme, "2026-01-01", publish_plan(FEE, CALLS, invoice_threshold="4"))
    report_calls(acme, "2026-01-10", 2)
    assert nightly.bill_thresholds(at=instant("2026-03-10")) == 0
    run("2026-01-11")
    assert totals() == [("INV-000001", "open", "4.00")]


def test_customers_billed_together_take_no_more_queries_when_they_are_more(
    acme: Customer,
) -> None:
    subscribe(acme, "2026-01-01")
    report_calls(acme, "2026-01-10")
    version = PlanVersion.objects.get()

    def queries_of_a_night(at: str) -> list[str]:
        with CaptureQueriesContext(connection) as queries:
            run(at)
        return [query["sql"] for query in queries]

    few = len(queries_of_a_night("2026-03-02"))
    for country in ("DE", "FR") * 4:
        factories.make_tax_rate(country=country)
        customer = factories.make_customer(country=country)
        subscribe(customer, "2026-03-01", version)
    many = queries_of_a_night("2026-04-02")
    assert len(many) <= few + 3
    of_countries = [sql for sql in many if '"customers_taxrate"."country" IN' in sql]
    assert (len(of_countries), Invoice.objects.filter(tax__gt=0).count()) == (1, 8)


def test_the_task_runs_as_of_now(acme: Customer) -> None:
    subscribe(acme, "2026-01-01")
    nightly_task()
    assert BillingRun.objects.get().invoices_drafted > 0


def test_what_is_dropped_as_asking_for_nothing_stops_nothing_after_it(acme: Customer) -> None:
    """No seats, for which no invoice is made, and five from the tenth, charged in full."""
    seats = {"key": "seats", "model": "per_unit", "unit_amount": "10", "timing": "advance"}
    version = publish_plan(seats | {"proration": "none"})
    subscription = create_subscription(
        customer=acme, plan=version.plan, start_at=instant("2026-01-01"), quantities={"seats": "0"}
    )
    change_subscription(
        subscription=subscription,
        at=instant("2026-01-10"),
        effective_at=instant("2026-01-10"),
        quantities={"seats": "5"},
    )
    done = run("2026-01-20")
    assert (done.failures, done.invoices_skipped) == ([], 1)
    assert totals() == [("INV-000001", "open", "50.00")]
