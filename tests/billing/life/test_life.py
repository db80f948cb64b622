"""The life of a subscription: whatever happens and whenever it is billed, the sum is the same."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db.models import Sum
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from billing.models import CreditNote, Invoice, Subscription, SubscriptionPeriod
from billing.services import issuing
from billing.services.nightly import run_nightly
from billing.services.subscriptions import (
    cancel_subscription,
    change_subscription,
    create_subscription,
    pause_subscription,
    resume_subscription,
)
from customers.models import Customer
from tests import factories
from tests.billing.life.plain import Life, Terms, total
from tests.billing.plans import publish_plan
from tests.billing.usage import report_calls

ZONES = ["UTC", "America/New_York", "Asia/Tokyo", "Europe/Paris", "Pacific/Auckland"]
BEGIN = datetime(2024, 2, 10, 13, 30, tzinfo=UTC)
HOURS = st.integers(0, 24 * 75)
BASE = {"key": "base", "model": "flat", "amount": "31", "proration": "second"}
SEATS = {"key": "seats", "model": "per_unit", "unit_amount": "7", "proration": "day"}
TIERS = {
    "key": "calls",
    "meter": "calls",
    "model": "graduated",
    "tiers": [
        {"up_to": "10", "unit_amount": "2"},
        {"up_to": "20", "unit_amount": "3"},
        {"up_to": None, "unit_amount": "5"},
    ],
}
EACH = {"key": "calls", "meter": "calls", "model": "per_unit", "unit_amount": "3"}

# What happens, and how many hours after the start: in the order it becomes known.
ACTIONS = st.one_of(
    st.tuples(st.just("call"), HOURS, st.integers(1, 12)),
    st.tuples(st.just("plan"), HOURS, st.sampled_from(["pro", "team"])),
    st.tuples(st.just("seats"), HOURS, st.integers(0, 9)),
    st.tuples(st.just("pause"), HOURS, st.none()),
    st.tuples(st.just("resume"), HOURS, st.none()),
    st.tuples(st.just("night"), HOURS, st.booleans()),
)


class PlannedError(Exception):
    pass


class World:
    """A customer with a subscription, and what happened to it in plain words."""

    def __init__(self, zone: str, timing: str) -> None:
        factories.make_meter("calls", filled_at=None)
        terms: dict[str, Any] = {"timing": timing}
        self.plans = {
            "pro": publish_plan(BASE | terms, SEATS | terms, EACH, key="pro").plan,
            "team": publish_plan(
                BASE,
                SEATS | terms,
                TIERS,
                key="team",
                invoice_threshold="40",
                minimum_amount="80",
            ).plan,
        }
        self.customer = factories.make_customer(time_zone=zone)
        self.subscription = create_subscription(
            customer=self.customer,
            plan=self.plans["pro"],
            start_at=BEGIN,
            quantities={"seats": "3"},
        )
        self.life = Life(ZoneInfo(zone), BEGIN, BEGIN, [Terms(BEGIN, "pro", 3)])
        self.now = BEGIN

    def do(self, kind: str, hours: int, what: Any) -> None:
        at = BEGIN + timedelta(hours=hours)
        getattr(self, kind)(at, what)

    def call(self, at: datetime, calls: int) -> None:
        report_calls(self.customer, at.isoformat(), calls)
        self.life.calls += [at + timedelta(microseconds=number) for number in range(calls)]

    def plan(self, at: datetime, plan: str) -> None:
        if at > self.latest.since and plan != self.latest.plan:
            self.changed(at, plan=self.plans[plan])
            self.now_on(at, plan=plan)

    def seats(self, at: datetime, seats: int) -> None:
        if at > self.latest.since and seats != self.latest.seats:
            self.changed(at, quantities={"seats": str(seats)})
            self.now_on(at, seats=seats)

    def changed(self, at: datetime, **what: Any) -> None:
        change_subscription(subscription=self.subscription, at=at, effective_at=at, **what)

    def pause(self, at: datetime, _: None) -> None:
        if at > self.latest.since and self.latest.is_charged:
            pause_subscription(subscription=self.subscription, at=at, effective_at=at)
            self.now_on(at, is_charged=False)

    def resume(self, at: datetime, _: None) -> None:
        if at > self.latest.since and not self.latest.is_charged:
            resume_subscription(subscription=self.subscription, at=at, effective_at=at)
            self.now_on(at, is_charged=True)

    @property
    def latest(self) -> Terms:
        return self.life.terms[-1]

    def now_on(self, at: datetime, **what: Any) -> None:
        self.life.terms.append(replace(self.latest, since=at, **what))

    def night(self, at: datetime, fails: bool) -> None:
        """Run a night; sometimes it fails at the very end of a batch, and leaves nothing behind."""
        self.now = max(self.now, at)
        if fails:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(issuing, "mark_settled", give_up)
                run_nightly(at=at)
        else:
            assert run_nightly(at=at).status == "completed"

    def end(self, at: datetime) -> None:
        """End the subscription, perhaps in a past that is billed; no night comes before others."""
        self.now = max(self.now, at)
        cancel_subscription(subscription=self.subscription, at=self.now, end_at=at)
        self.life.end = at
        self.night(self.now + timedelta(days=3), fails=False)
        self.night(self.now + timedelta(days=1), fails=False)


def give_up(*_: object) -> None:
    raise PlannedError


class LifeTest(TestCase):
    @example(zone="UTC", timing="arrears", actions=[("call", 0, 1), ("night", 1309, False)], end=0)
    @example(
        zone="UTC",
        timing="advance",
        actions=[("night", 1, False), ("seats", 200, 9), ("night", 201, False)],
        end=300,
    )
    @settings(max_examples=25)
    @given(
        zone=st.sampled_from(ZONES),
        timing=st.sampled_from(["arrears", "advance"]),
        actions=st.lists(ACTIONS, max_size=9),
        end=HOURS,
    )
    def test_all_documents_together_are_what_a_plain_statement_says(
        self, zone: str, timing: str, actions: list[tuple[str, int, Any]], end: int
    ) -> None:
        world = World(zone, timing)
        for action in actions:
            world.do(*action)
        world.end(max(BEGIN + timedelta(hours=end), world.latest.since + timedelta(hours=1)))
        assert billed(world.customer) == total(world.life)
        assert_whole(world.subscription)
        assert run_nightly(at=world.life.end + timedelta(days=5)).invoices_drafted == 0


def billed(customer: Customer) -> Decimal:
    invoices = Invoice.objects.filter(customer=customer)
    assert not invoices.filter(status="draft").exists()
    assert not invoices.filter(total__lt=0).exists()
    asked = invoices.aggregate(total=Sum("total"))["total"] or Decimal(0)
    notes = CreditNote.objects.filter(customer=customer)
    return Decimal(asked - (notes.aggregate(total=Sum("total"))["total"] or Decimal(0)))


def assert_whole(subscription: Subscription) -> None:
    """Check that periods follow one another, are all closed, and that numbers have no gap."""
    periods = list(SubscriptionPeriod.objects.filter(subscription=subscription))
    assert all(period.closed_at and not period.is_stale for period in periods)
    for before, after in pairwise(periods):
        assert before.period_end == after.period_start
    numbers = sorted(number for number in issued_numbers())
    assert numbers == [f"INV-{n:06}" for n in range(1, len(numbers) + 1)]


def issued_numbers() -> Iterator[str]:
    for invoice in Invoice.objects.issued():
        yield str(invoice)
