"""What a period is worth before it is an invoice."""

import pytest
from pytest_django import DjangoAssertNumQueries

from billing.models import Invoice, Subscription
from billing.selectors.previews import cost_so_far, preview_for_customer, preview_invoice
from billing.selectors.statements import Statement
from billing.selectors.subscriptions import (
    contract_of,
    current_period,
    current_subscriptions,
)
from billing.services.nightly import run_nightly
from billing.services.subscriptions import cancel_subscription
from config.errors import DomainError, InvalidInputError
from customers.models import Customer
from tests import factories
from tests.billing.plans import FEE, publish_plan, subscribe
from tests.billing.usage import instant, report_calls

pytestmark = pytest.mark.django_db


def amounts(found: Statement) -> list[str]:
    return [str(line.amount) for line in found.lines]


def test_a_preview_counts_usage_so_far_and_fees_in_full(acme: Customer) -> None:
    subscription = subscribe(acme, "2026-01-01")
    report_calls(acme, "2026-01-10", 3)
    report_calls(acme, "2026-01-20", 4)
    found = preview_invoice(subscription, instant("2026-01-15"))
    assert (amounts(found), str(found.total)) == (["31.00", "6.00"], "37.00")
    assert found.period_end == instant("2026-02-01")


def test_a_preview_at_the_first_instant_of_a_period_counts_nothing(acme: Customer) -> None:
    subscription = subscribe(acme, "2026-01-01")
    report_calls(acme, "2026-01-31T23:59", 3)
    found = preview_invoice(subscription, instant("2026-02-01"))
    assert (amounts(found), found.period_start) == (["31.00", "0.00"], instant("2026-02-01"))


def test_a_preview_says_the_same_after_a_run_as_of_later(acme: Customer) -> None:
    subscription = subscribe(acme, "2026-01-01")
    report_calls(acme, "2026-01-10", 3)
    run_nightly(at=instant("2026-03-02"))
    assert str(preview_invoice(subscription, instant("2026-01-20")).total) == "37.00"


def test_a_preview_begins_where_the_latest_invoice_ends(acme: Customer) -> None:
    """In New York the last hours of January are left after a month that was cut in UTC."""
    subscription = subscribe(acme, "2026-01-01")
    run_nightly(at=instant("2026-02-01"))
    subscription.customer.time_zone = "America/New_York"
    period = current_period(contract_of(subscription), instant("2026-03-01T02:00"))
    assert (period.start, period.end) == (instant("2026-03-01"), instant("2026-03-01T05:00"))


def test_fees_are_neither_lost_nor_doubled_by_a_move_to_another_zone(acme: Customer) -> None:
    """January cut in UTC and what follows in New York: 31.00 and 31.00 in all."""
    subscribe(acme, "2026-01-01", publish_plan(FEE))
    run_nightly(at=instant("2026-01-31"))
    Customer.objects.update(time_zone="America/New_York")
    run_nightly(at=instant("2026-03-05"))
    fees = Invoice.objects.order_by("period_start").values_list("total", flat=True)
    assert [str(fee) for fee in fees] == ["31.00", "31.00"]


def test_a_preview_of_a_last_period_has_its_last_fee(acme: Customer) -> None:
    """Ten of 31 days, the last of them started."""
    subscription = subscribe(acme, "2026-01-01", publish_plan(FEE))
    ended = cancel_subscription(
        subscription=subscription, at=instant("2026-01-05"), end_at=instant("2026-01-10T12:00")
    )
    assert amounts(preview_invoice(ended, instant("2026-01-06"))) == ["10.00"]


def test_a_preview_agrees_with_the_invoice_it_becomes(acme: Customer) -> None:
    subscription = subscribe(acme, "2026-01-01")
    report_calls(acme, "2026-01-10", 25)
    expected = preview_invoice(subscription, instant("2026-01-31T23:59:59"))
    run_nightly(at=instant("2026-02-02"))
    invoice = Invoice.objects.get()
    assert (invoice.total, invoice.subtotal) == (expected.total, expected.subtotal)
    assert [line.steps for line in invoice.lines.all()] == [line.steps for line in expected.lines]


def test_a_preview_leaves_out_what_is_billed_and_takes_in_what_is_late(acme: Customer) -> None:
    """15 calls were billed in January; one more at 3.00 is late."""
    subscription = subscribe(acme, "2026-01-01")
    report_calls(acme, "2026-01-10", 15)
    run_nightly(at=instant("2026-02-02"))
    report_calls(acme, "2026-01-20")
    run_nightly(at=instant("2026-02-03"))
    found = preview_invoice(subscription, instant("2026-02-04"))
    assert [line.kind for line in found.lines] == ["fee", "usage", "adjustment"]
    assert amounts(found) == ["31.00", "0.00", "3.00"]


def test_the_cost_so_far_is_that_of_all_running_subscriptions(acme: Customer) -> None:
    ended = subscribe(acme, "2025-12-01", publish_plan(FEE | {"amount": "99"}, key="old"))
    cancel_subscription(subscription=ended, at=instant("2026-01-01"))
    subscribe(acme, "2026-01-01")
    subscribe(acme, "2026-01-01", publish_plan(FEE | {"amount": "5"}, key="support"))
    subscribe(acme, "2026-02-01", publish_plan(FEE | {"amount": "77"}, key="later"))
    [found] = cost_so_far(acme, instant("2026-01-20"))
    assert (amounts(found), str(found.total)) == (["31.00", "0.00", "5.00"], "36.00")


def test_running_subscriptions_come_with_all_that_pricing_takes(
    acme: Customer, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    subscribe(acme, "2026-01-01")
    [subscription] = current_subscriptions(acme, instant("2026-01-20"))
    with django_assert_num_queries(0):
        meters = [price.meter for price in subscription.plan_version.prices.all()]
    assert [meter and meter.key for meter in meters] == [None, "calls"]


def subscribe_in_two_currencies(customer: Customer) -> list[Subscription]:
    first = subscribe(customer, "2026-01-01", publish_plan(FEE))
    customer.currency = "EUR"
    customer.save()
    euro = publish_plan(FEE | {"amount": "7"}, key="euro", currency="EUR")
    return [first, subscribe(customer, "2026-01-01", euro)]


def test_currencies_are_never_added_up(acme: Customer) -> None:
    subscribe_in_two_currencies(acme)
    at = instant("2026-01-20")
    totals = [(each.currency, str(each.total)) for each in cost_so_far(acme, at)]
    assert totals == [("USD", "31.00"), ("EUR", "7.00")]
    assert str(preview_for_customer(acme, at, "EUR").total) == "7.00"
    with pytest.raises(InvalidInputError, match="EUR, USD"):
        preview_for_customer(acme, at)


def test_without_a_running_subscription_there_is_no_preview(acme: Customer) -> None:
    assert cost_so_far(acme, instant("2026-01-20")) == []
    with pytest.raises(DomainError) as refused:
        preview_for_customer(acme, instant("2026-01-20"))
    assert refused.value.code == "no_subscription"


def test_a_price_of_another_proration_charges_in_full(acme: Customer) -> None:
    version = publish_plan(FEE | {"proration": "none"}, FEE | {"key": "b", "proration": "second"})
    subscription = subscribe(acme, "2026-01-16T12:00", version)
    assert amounts(preview_invoice(subscription, instant("2026-01-20"))) == ["31.00", "15.50"]


def test_customers_of_other_plans_are_priced_by_their_own_usage(acme: Customer) -> None:
    version = publish_plan()
    other = subscribe(factories.make_customer("globex"), "2026-01-01", version)
    report_calls(acme, "2026-01-10", 9)
    assert amounts(preview_invoice(other, instant("2026-01-20"))) == ["31.00", "0.00"]
