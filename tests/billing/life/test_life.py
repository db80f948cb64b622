"""The life of a subscription: whatever happens and whenever it is billed, the sum is the same."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
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

from billing.models import CreditEntry, CreditNote, Invoice, Plan, Subscription, SubscriptionPeriod
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
from tests.billing.killing import abandoned_cursors as abandoned_cursors
from tests.billing.killing import ending_at, kills
from tests.billing.life.plain import Life, Terms, total
from tests.billing.plans import publish_plan
from tests.metering.history.corrected import amend, store, void

pytestmark = kills
# Beirut's 31 March has no midnight, and its 26 October an hour twice before the next.
ZONES = ["UTC", "America/New_York", "Asia/Beirut", "Europe/Paris", "Pacific/Auckland"]
# Of these months and years not all have the day; in Auckland it is the day after already.
STARTS = [datetime(2024, month, day, 13, 30, tzinfo=UTC) for month, day in [(1, 31), (2, 29)]]
# What an hour of a month is in a life of other periods, so that each is over a few of them.
PACES = {"week": timedelta(minutes=20), "month": timedelta(hours=1), "year": timedelta(hours=5)}
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

# Which statement a night ends at; most of them have fewer than the greatest.
STATEMENTS = st.integers(0, 130)
# What happens, and how many hours after the start: in the order it becomes known.
ACTIONS = st.one_of(
    st.tuples(st.just("call"), HOURS, st.integers(1, 12)),
    st.tuples(st.just("void"), HOURS, st.integers(0, 3)),
    st.tuples(st.just("amend"), HOURS, st.tuples(st.integers(0, 3), st.integers(0, 12))),
    st.tuples(st.just("plan"), HOURS, st.sampled_from(["pro", "team"])),
    st.tuples(st.just("seats"), HOURS, st.integers(0, 9)),
    st.tuples(st.just("pause"), HOURS, st.none()),
    st.tuples(st.just("resume"), HOURS, st.none()),
    st.tuples(st.just("night"), HOURS, st.sampled_from(["whole", "fails"]) | STATEMENTS),
)


class PlannedError(Exception):
    pass


@dataclass(frozen=True)
class Beginning:
    """How a subscription begins, and how it is billed."""

    zone: str = "UTC"
    start: datetime = STARTS[0]
    interval: str = "month"
    anchor: str = "calendar"
    timing: str = "arrears"


BEGINNINGS = st.builds(
    Beginning,
    st.sampled_from(ZONES),
    st.sampled_from(STARTS),
    st.sampled_from(["month", "week", "year"]),
    st.sampled_from(["calendar", "anniversary"]),
    st.sampled_from(["arrears", "advance"]),
)


class World:
    """A customer with a subscription, and what happened to it in plain words."""

    def __init__(self, begin: Beginning) -> None:
        factories.make_meter("calls", aggregation="sum", value_property="units", filled_at=None)
        self.begin = begin
        self.plans = {
            "pro": self.published("pro", EACH, timing=begin.timing),
            "team": self.published("team", TIERS, invoice_threshold="40", minimum_amount="80"),
        }
        self.customer = factories.make_customer(time_zone=begin.zone)
        self.subscription = create_subscription(
            customer=self.customer,
            plan=self.plans["pro"],
            start_at=begin.start,
            anchor=begin.anchor,
            quantities={"seats": "3"},
        )
        is_from_start = begin.anchor == "anniversary"
        self.life = Life(
            ZoneInfo(begin.zone), begin.interval, is_from_start, begin.start, begin.start
        )
        self.life.terms.append(Terms(begin.start, "pro", 3))
        self.now = begin.start
        self.reported: list[str] = []
        self.issued: set[Any] = set()

    def published(
        self, key: str, calls: dict[str, Any], timing: str = "arrears", **terms: Any
    ) -> Plan:
        seats = SEATS | {"timing": self.begin.timing}
        prices = BASE | {"timing": timing}, seats, calls
        return publish_plan(*prices, key=key, interval=self.begin.interval, **terms).plan

    def after(self, hours: int) -> datetime:
        return self.begin.start + hours * PACES[self.begin.interval]

    def do(self, kind: str, hours: int, what: Any) -> None:
        getattr(self, kind)(self.after(hours), what)

    def call(self, at: datetime, units: int) -> None:
        event_id = f"call-{len(self.reported)}"
        store(self.customer, event_id, at, units=units)
        self.reported.append(event_id)
        self.life.calls[event_id] = at, units

    def void(self, _: datetime, which: int) -> None:
        """Take one of the latest events out of usage, unless it is out already."""
        for event_id in self.reported[::-1][which : which + 1]:
            if self.life.calls.pop(event_id, None):
                void(self.customer, event_id)

    def amend(self, at: datetime, what: tuple[int, int]) -> None:
        """Move one of the latest events and change its units; one that was void counts again."""
        which, units = what
        for event_id in self.reported[::-1][which : which + 1]:
            if self.life.calls.get(event_id) != (at, units):
                amend(self.customer, event_id, timestamp=at, properties={"units": units})
                self.life.calls[event_id] = at, units

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

    def night(self, at: datetime, how: str | int) -> None:
        """Run a night; one that fails or is killed at some statement is made good by a later one."""
        self.now = max(self.now, at)
        if how == "whole":
            assert run_nightly(at=at).status == "completed"
        elif how == "fails":
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(issuing, "mark_settled", give_up)
                run_nightly(at=at)
        else:
            with ending_at(int(how)):
                run_nightly(at=at)
        self.check_what_was_issued()

    def check_what_was_issued(self) -> None:
        """Check that what was issued by earlier nights is as it was."""
        documents = {
            (type(document), document.pk, str(document), document.digest, document.total)
            for model in (Invoice, CreditNote)
            for document in model.objects.issued()
        }
        assert self.issued <= documents
        self.issued = documents

    def end(self, at: datetime) -> None:
        """End the subscription, perhaps in a past that is billed; no night comes before others."""
        self.now = max(self.now, at)
        cancel_subscription(subscription=self.subscription, at=self.now, end_at=at)
        self.life.end = at
        self.night(self.now + timedelta(days=3), "whole")
        self.night(self.now + timedelta(days=1), "whole")


def give_up(*_: object) -> None:
    raise PlannedError


class LifeTest(TestCase):
    @example(
        begin=Beginning(start=datetime(2024, 2, 10, 13, 30, tzinfo=UTC)),
        actions=[("call", 0, 1), ("night", 1309, "whole")],
        end=0,
    )
    @example(
        begin=Beginning(anchor="anniversary", timing="advance"),
        actions=[
            *[("night", 1, "whole"), ("seats", 200, 5), ("night", 201, "whole")],
            *[("seats", 300, 9), ("night", 301, "whole")],
        ],
        end=310,
    )
    @settings(max_examples=20)
    @given(begin=BEGINNINGS, actions=st.lists(ACTIONS, max_size=9), end=HOURS)
    def test_all_documents_together_are_what_a_plain_statement_says(
        self, begin: Beginning, actions: list[tuple[str, int, Any]], end: int
    ) -> None:
        world = World(begin)
        for action in actions:
            world.do(*action)
        world.end(max(world.after(end), world.latest.since + timedelta(hours=1)))
        assert billed(world.customer) == total(world.life)
        assert_whole(world.subscription)
        assert run_nightly(at=world.life.end + timedelta(days=5)).invoices_drafted == 0


def billed(customer: Customer) -> Decimal:
    """Return what all documents ask for together, which nobody has paid."""
    invoices = Invoice.objects.filter(customer=customer)
    assert not invoices.filter(status="draft").exists()
    asked = sum((each.total + each.credits for each in invoices), Decimal(0))
    notes = CreditNote.objects.filter(customer=customer).aggregate(total=Sum("total"))
    credit = CreditEntry.objects.filter(grant__customer=customer).aggregate(left=Sum("amount"))
    owed = sum((each.amount_due for each in invoices), -(credit["left"] or Decimal(0)))
    assert owed == asked - (notes["total"] or Decimal(0))
    return owed


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
