"""Subscriptions: who may have which, and how they end."""

from typing import Any

import pytest

from billing.models import CreditNote, Invoice, Plan, Subscription
from billing.services.catalog import publish_new_version
from billing.services.invoicing import recompute_drafts
from billing.services.nightly import run_nightly
from billing.services.subscriptions import (
    cancel_subscription,
    change_subscription,
    create_subscription,
)
from config.errors import DomainError, InvalidInputError
from customers.models import Customer
from customers.services import update_customer
from tests import factories
from tests.billing.plans import FEE, bounds, drafts_until, publish_plan, subscribe
from tests.billing.usage import instant

pytestmark = pytest.mark.django_db


def cancel(subscription: Subscription, at: str, end_at: Any = None) -> Subscription:
    return cancel_subscription(subscription=subscription, at=instant(at), end_at=end_at)


def test_a_subscription_gets_the_current_version_and_keeps_it(acme: Customer) -> None:
    version = publish_plan()
    subscription = subscribe(acme, "2026-01-01", version)
    publish_new_version(plan=version.plan, at=instant("2026-01-02"), prices=[FEE])
    subscription.refresh_from_db()
    assert subscription.plan_version == version


def test_a_plan_in_another_currency_is_refused_with_both_named(acme: Customer) -> None:
    with pytest.raises(InvalidInputError, match="priced in EUR, but Acme pays in USD") as refused:
        subscribe(acme, "2026-01-01", publish_plan(currency="EUR"))
    assert refused.value.field == "plan"


def test_a_plan_without_a_published_version_is_refused(acme: Customer) -> None:
    plan = Plan.objects.create(key="later", name="Later")
    with pytest.raises(DomainError) as refused:
        create_subscription(customer=acme, plan=plan, start_at=instant("2026-01-01"))
    assert refused.value.code == "not_published"


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"anchor": "birthday"}, "anchor"),
        ({"quantities": {"seats": "5"}}, "quantities.seats"),
    ],
)
def test_terms_that_cannot_be_billed_are_refused(acme: Customer, terms: Any, field: str) -> None:
    plan = publish_plan().plan
    with pytest.raises(InvalidInputError) as refused:
        create_subscription(customer=acme, plan=plan, start_at=instant("2026-01-01"), **terms)
    assert refused.value.field == field
    neutral: Any = {"anchor": "calendar", "quantities": {}, "coupons": []}
    create_subscription(customer=acme, plan=plan, start_at=instant("2026-01-01"), **neutral)


def test_one_plan_is_not_had_twice_at_a_time(acme: Customer) -> None:
    version = publish_plan()
    first = subscribe(acme, "2026-01-01", version)
    with pytest.raises(DomainError) as refused:
        subscribe(acme, "2026-02-01", version)
    cancel(first, "2026-02-01")
    subscribe(acme, "2026-02-01", version)
    assert refused.value.code == "already_subscribed"
    assert Subscription.objects.count() == 2


def test_a_mistyped_year_is_refused(acme: Customer) -> None:
    with pytest.raises(InvalidInputError, match="2000"):
        subscribe(acme, "0206-01-01")


def test_periods_are_calendar_months_whose_first_may_be_partial(acme: Customer) -> None:
    subscription = subscribe(acme, "2026-01-15T08:00")
    january, february = bounds(subscription, "2026-03-15")
    assert january == (instant("2026-01-15T08:00"), instant("2026-02-01"))
    assert february == (instant("2026-02-01"), instant("2026-03-01"))


def test_a_move_to_another_zone_neither_repeats_nor_skips_an_instant(acme: Customer) -> None:
    subscription = subscribe(acme, "2026-01-01")
    drafts_until(subscription, "2026-02-01")
    subscription.customer.time_zone = "America/New_York"
    [_, february, rest, march] = bounds(subscription, "2026-04-02")
    assert february == (instant("2026-02-01"), instant("2026-03-01"))
    assert rest == (instant("2026-03-01"), instant("2026-03-01T05:00"))
    assert march == (instant("2026-03-01T05:00"), instant("2026-04-01T04:00"))


def test_canceling_ends_now_by_default(acme: Customer) -> None:
    ended = cancel(subscribe(acme, "2026-01-01"), "2026-01-20T10:00")
    ended.refresh_from_db()
    assert ended.end_at == ended.canceled_at == instant("2026-01-20T10:00")
    assert bounds(ended, "2026-03-01") == [(instant("2026-01-01"), instant("2026-01-20T10:00"))]


def test_canceling_with_the_period_ends_at_the_customers_midnight() -> None:
    customer = factories.make_customer(time_zone="Europe/Paris")
    ended = cancel(subscribe(customer, "2026-01-01"), "2026-01-20", "period_end")
    assert ended.end_at == instant("2026-02-01T00:00+01:00")


def test_a_subscription_canceled_with_its_period_pays_it_whole(acme: Customer) -> None:
    ended = cancel(subscribe(acme, "2026-01-01", publish_plan(FEE)), "2026-01-20", "period_end")
    assert [str(invoice.total) for invoice in drafts_until(ended, "2026-03-01")] == ["31.00"]


def test_a_change_after_a_move_to_another_zone_leaves_the_billing_day(db: None) -> None:
    customer = factories.make_customer(time_zone="Pacific/Auckland")
    subscription = create_subscription(
        customer=customer,
        plan=publish_plan().plan,
        start_at=instant("2026-01-30T20:00"),
        anchor="anniversary",
    )
    update_customer(customer=customer, time_zone="UTC")
    other, at = publish_plan(FEE, key="team").plan, instant("2026-02-10")
    change_subscription(subscription=subscription, plan=other, at=at)
    anchors = subscription.phases.values_list("anchor_on", flat=True)
    assert [str(day) for day in anchors] == ["2026-01-31", "2026-01-31"]


def test_a_planned_end_may_be_moved_until_it_is_reached(acme: Customer) -> None:
    subscription = cancel(subscribe(acme, "2026-01-01"), "2026-01-20", "period_end")
    moved = cancel(subscription, "2026-01-25", instant("2026-01-26"))
    with pytest.raises(DomainError) as refused:
        cancel(moved, "2026-01-26")
    assert (moved.end_at, refused.value.code) == (instant("2026-01-26"), "already_ended")


def test_a_subscription_canceled_before_its_start_is_never_billed(acme: Customer) -> None:
    ended = cancel(subscribe(acme, "2026-02-01"), "2026-01-20")
    assert ended.end_at == ended.start_at
    assert bounds(ended, "2026-06-01") == []


def test_an_end_before_the_start_is_refused(acme: Customer) -> None:
    with pytest.raises(InvalidInputError) as refused:
        cancel(subscribe(acme, "2026-01-01"), "2026-01-20", instant("2025-12-31"))
    assert refused.value.field == "at"


def test_canceling_in_the_past_puts_drafts_right(acme: Customer) -> None:
    """Ten days of January's 31.00 are left of it, and nothing of February."""
    subscription = subscribe(acme, "2026-01-01", publish_plan(FEE))
    drafts_until(subscription, "2026-03-01")
    cancel(subscription, "2026-03-01", instant("2026-01-11"))
    [january] = Invoice.objects.all()
    assert (january.period_end, str(january.total)) == (instant("2026-01-11"), "10.00")
    assert january.finalize_at == instant("2026-02-01")


def test_an_end_before_what_is_issued_gives_the_rest_back(acme: Customer) -> None:
    """Ten days of January are owed of what was billed for all of it: 21.00 come back."""
    subscription = subscribe(acme, "2026-01-01", publish_plan(FEE))
    run_nightly(at=instant("2026-02-02"))
    cancel(subscription, "2026-02-02", instant("2026-01-11"))
    run_nightly(at=instant("2026-02-03"))
    note = CreditNote.objects.get()
    assert (str(note.total), note.invoice.number, note.status) == ("21.00", "INV-000001", "issued")
    run_nightly(at=instant("2026-02-04"))
    assert CreditNote.objects.count() == Invoice.objects.count() == 1


def test_a_draft_does_not_outlive_its_subscription(acme: Customer) -> None:
    subscription = subscribe(acme, "2026-01-01", publish_plan(FEE))
    assert drafts_until(subscription, "2026-02-01")
    cancel(subscription, "2026-02-01", instant("2026-01-01"))
    recompute_drafts(customer=acme, at=instant("2026-02-01"))
    assert not Invoice.objects.exists()
