"""A customer of the product and what happens to it, told to the plain statement as it happens."""

from calendar import monthrange
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from billing.models import Coupon, CreditGrant, CreditNote, Invoice, Plan
from billing.selectors.accounts import RECOMPUTED
from billing.selectors.credit_notes import CREDITABLE, creditable
from billing.services import issuing
from billing.services.coupons import create_coupon, redeem_coupon
from billing.services.credit_notes import Settlement
from billing.services.crediting import CreditWish, LineWish, create_credit_note
from billing.services.credits import grant_credit
from billing.services.invoicing import mark_paid, reissue_invoice, void_invoice
from billing.services.nightly import bill_thresholds, run_nightly
from billing.services.one_off import OneOffLine, create_charge, create_one_off_invoice
from billing.services.payments import record_payment
from billing.services.subscriptions import (
    cancel_subscription,
    change_subscription,
    create_subscription,
    pause_subscription,
    resume_subscription,
)
from customers.models import Customer
from customers.services import update_customer
from tests import factories
from tests.billing.killing import ending_at
from tests.billing.life.foot import COUPONS, Redeemed
from tests.billing.life.plain import PLACES, Charge, Life, Offer, Terms, charges, rounded
from tests.billing.life.tariffs import TARIFFS, region_of
from tests.billing.plans import publish_plan
from tests.metering.history.corrected import amend, store, void

# What an hour of a month is in a life of other periods, so that each is over a few of them.
PACES = {"week": timedelta(minutes=20), "month": timedelta(hours=1), "year": timedelta(hours=5)}
BASE = {"key": "base", "model": "flat", "amount": "31", "proration": "second"}
SEATS = {"key": "seats", "model": "per_unit", "unit_amount": "7", "proration": "day"}
UNIT = Decimal("1.255")


class PlannedError(Exception):
    pass


@dataclass(frozen=True)
class Beginning:
    """How a subscription begins, and how it is billed."""

    start: datetime
    interval: str = "month"
    anchor: str = "calendar"
    timing: str = "arrears"
    tariffs: tuple[str, str] = ("each", "graduated")
    trial_days: int = 0
    coupons: tuple[str, ...] = ()


@dataclass(frozen=True)
class House:
    """A customer; `has_neighbour` says that another one is billed in the same nights."""

    zone: str = "UTC"
    currency: str = "USD"
    taxes: tuple[str, ...] = ()
    is_consolidated: bool = False
    has_neighbour: bool = False


class Side:
    """One subscription, in the product and in plain words."""

    def __init__(
        self, customer: Customer, plans: dict[str, Plan], begin: Beginning, life: Life
    ) -> None:
        self.plans, self.life = plans, life
        self.subscription = create_subscription(
            customer=customer,
            plan=plans["pro"],
            start_at=begin.start,
            anchor=begin.anchor,
            quantities={"seats": "3"},
            trial_days=begin.trial_days,
            coupons=[coupon_of(key, life.currency) for key in begin.coupons],
        )
        life.terms.append(Terms(begin.start, "pro", 3))
        self.redeemed = [self.redemption(key, life.charged_from) for key in begin.coupons]

    def redemption(self, key: str, start: datetime) -> Redeemed:
        months = COUPONS[key].months
        end = None if months is None else months_after(start, months, self.life.zone)
        return Redeemed(key, start, end)

    @property
    def latest(self) -> Terms:
        return self.life.terms[-1]

    def now_on(self, at: datetime, **what: Any) -> None:
        self.life.terms.append(replace(self.latest, since=at, **what))

    def end(self, at: datetime, now: datetime) -> None:
        cancel_subscription(subscription=self.subscription, at=now, end_at=at)
        self.life.end = at


def months_after(instant: datetime, months: int, zone: ZoneInfo) -> datetime:
    """Return the same time of day some months later, on the month's last day if it is shorter."""
    local = instant.astimezone(zone)
    years, month = divmod(local.month - 1 + months, 12)
    year = local.year + years
    day = min(local.day, monthrange(year, month + 1)[1])
    return local.replace(year=year, month=month + 1, day=day).astimezone(UTC)


def coupon_of(key: str, currency: str) -> Coupon:
    found = Coupon.objects.filter(key=key).first()
    if found is not None:
        return found
    plain = COUPONS[key]
    durations = Coupon.Duration
    return create_coupon(
        key=key,
        name=key,
        percent_off=None if plain.percent is None else Decimal(plain.percent),
        amount_off=None if plain.amount is None else Decimal(plain.amount),
        currency="" if plain.amount is None else currency,
        prices=list(plain.prices),
        duration_months=plain.months,
        duration=durations.ONCE
        if plain.is_once
        else durations.REPEATING
        if plain.months
        else durations.FOREVER,
        max_per_customer=None,
    )


@dataclass
class World:
    """A customer with some subscriptions. Things happen in the order in which they become known."""

    house: House
    begins: tuple[Beginning, ...]
    calls: dict[str, tuple[datetime, int]] = field(default_factory=dict)
    moves: list[tuple[datetime, ZoneInfo]] = field(default_factory=list)
    reported: list[str] = field(default_factory=list)
    one_offs: list[Charge] = field(default_factory=list)
    issued: set[Any] = field(default_factory=set)
    is_sure: bool = True

    def __post_init__(self) -> None:
        factories.make_meter(
            "calls",
            aggregation="sum",
            value_property="units",
            group_by=["region"],
            filled_at=None,
        )
        self.first, self.now = self.begins[0], self.begins[0].start
        terms = {"time_zone": self.house.zone, "currency": self.house.currency}
        rates = [factories.make_tax_rate(percent=each) for each in self.house.taxes]
        self.customer = factories.make_customer(
            **terms, tax_rates=rates, consolidate_invoices=self.house.is_consolidated
        )
        plans = [self.published(number, each) for number, each in enumerate(self.begins)]
        self.sides = [
            Side(self.customer, own, each, self.life_of(each, self.calls, self.moves))
            for own, each in zip(plans, self.begins, strict=True)
        ]
        self.is_sure = all(COUPONS[key].is_sure for each in self.begins for key in each.coupons)
        self.neighbour = None
        if self.house.has_neighbour:
            other = factories.make_customer(**terms)
            alone = replace(self.first, coupons=())
            self.neighbour = Side(other, plans[0], alone, self.life_of(alone, {}, []))

    def published(self, number: int, begin: Beginning) -> dict[str, Plan]:
        """Publish the two plans that a subscription may be on."""

        def publish(key: str, tariff: str, timing: str, **terms: Any) -> Plan:
            return publish_plan(
                BASE | {"timing": timing},
                SEATS | {"timing": begin.timing},
                TARIFFS[tariff].document,
                key=f"{key}-{number}",
                interval=begin.interval,
                currency=self.house.currency,
                **terms,
            ).plan

        pro, team = begin.tariffs
        return {
            "pro": publish("pro", pro, begin.timing),
            "team": publish("team", team, "arrears", invoice_threshold="40", minimum_amount="80"),
        }

    def life_of(
        self,
        begin: Beginning,
        calls: dict[str, tuple[datetime, int]],
        moves: list[tuple[datetime, ZoneInfo]],
    ) -> Life:
        zone = ZoneInfo(self.house.zone)
        end_of_trial = begin.start.astimezone(zone) + timedelta(days=begin.trial_days)
        pro, team = begin.tariffs
        return Life(
            zone=zone,
            interval=begin.interval,
            is_from_start=begin.anchor == "anniversary",
            start=begin.start,
            end=begin.start,
            charged_from=end_of_trial.astimezone(UTC),
            offers={"pro": Offer(pro), "team": Offer(team, minimum=80)},
            currency=self.house.currency,
            calls=calls,
            moves=moves,
        )

    def after(self, hours: int) -> datetime:
        return self.first.start + hours * PACES[self.first.interval]

    def do(self, kind: str, which: int, hours: int, what: Any) -> None:
        """Let something happen to a subscription, or to the latest document but `which`."""
        at = self.after(hours)
        if (change := CHANGES.get(kind)) is not None:
            change(self, self.sides[which % len(self.sides)], at, what)
        else:
            getattr(self, kind)(at, which, what)

    # Usage

    def call(self, at: datetime, _: int, units: int) -> None:
        event_id = f"call-{len(self.reported)}"
        store(self.customer, event_id, at, units=units, region=region_of(units))
        self.reported.append(event_id)
        self.calls[event_id] = at, units

    def take_back(self, _: datetime, which: int, __: None) -> None:
        """Take one of the latest events out of usage, unless it is out already."""
        for event_id in self.reported[::-1][which : which + 1]:
            if self.calls.pop(event_id, None):
                void(self.customer, event_id)

    def amend(self, at: datetime, which: int, units: int) -> None:
        """Move one of the latest events and change its units; one that was void counts again."""
        for event_id in self.reported[::-1][which : which + 1]:
            if self.calls.get(event_id) != (at, units):
                properties = {"units": units, "region": region_of(units)}
                amend(self.customer, event_id, timestamp=at, properties=properties)
                self.calls[event_id] = at, units

    # Nights

    def move(self, _: datetime, __: int, zone: str) -> None:
        """Move to another zone: periods that have begun are seen by the night before."""
        self.night(self.now, 0, "whole")
        update_customer(customer=self.customer, time_zone=zone)
        self.moves.append((self.now, ZoneInfo(zone)))

    def night(self, at: datetime, _: int, how: str | int) -> None:
        """Run a night; one that fails or is killed at some statement is made good by a later one."""
        self.now = max(self.now, at)
        if how == "whole":
            run = run_nightly(at=at)
            assert run.status == "completed", run.failures
        elif isinstance(how, int):
            with ending_at(how):
                run_nightly(at=at)
        else:
            failing, work = FAILURES[how]
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(issuing, failing, work(self))
                run = run_nightly(at=at)
            if how != "fails":
                assert self.customer.key not in {each["customer"] for each in run.failures}
        self.check_what_was_issued()

    def limits(self, at: datetime, _: int, __: None) -> None:
        """Look for open usage that has reached a limit, as is done all day long."""
        self.now = max(self.now, at)
        bill_thresholds(at=at)
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

    # Documents by hand

    def invoices(self, *statuses: str) -> list[Invoice]:
        found = Invoice.objects.filter(customer=self.customer, status__in=statuses)
        return list(found.order_by("-number"))

    def waive(self, _: datetime, which: int, __: None) -> None:
        for invoice in self.invoices("open")[which : which + 1]:
            if not invoice.amount_paid and not invoice.amount_credited:
                void_invoice(invoice=invoice, at=self.now)

    def reissue(self, _: datetime, which: int, __: None) -> None:
        for invoice in self.invoices("void")[which : which + 1]:
            if invoice.billing_reason in RECOMPUTED and not invoice.is_reissued:
                reissue_invoice(invoice=invoice, at=self.now)

    def pay(self, _: datetime, which: int, is_whole: bool) -> None:
        for invoice in self.invoices("open")[which : which + 1]:
            coin = Decimal(1).scaleb(-PLACES[invoice.currency])
            if is_whole or invoice.amount_due == coin:
                mark_paid(invoice=invoice, reference="bank", paid_at=self.now, at=self.now)
            else:
                record_payment(
                    invoice=invoice,
                    source="manual",
                    external_id=f"{invoice.pk} at {invoice.amount_due}",
                    amount=(invoice.amount_due / 2).quantize(coin),
                    paid_at=self.now,
                )

    def credit(self, _: datetime, which: int, what: tuple[str, str]) -> None:
        """Give back all that is left of an invoice, a third of it, or its dearest line."""
        how, settlement = what
        for invoice in self.invoices(*CREDITABLE)[which : which + 1]:
            left = creditable(invoice).left
            if left.total <= 0:
                continue
            third = rounded(Fraction(left.total) / 3, invoice.currency)
            dearest = max(range(len(left.lines)), key=lambda at: left.lines[at])
            wish = CreditWish(invoice, settlement=Settlement(settlement))
            if how == "third" and third:
                wish = replace(wish, amount=third)
            elif how == "line" and 0 < left.lines[dearest] <= left.net:
                wish = replace(wish, lines=[LineWish(dearest + 1)])
            create_credit_note(wish=wish, at=self.now)

    def charge(self, _: datetime, __: int, quantity: int) -> None:
        """Have something billed with the next invoice."""
        create_charge(
            customer=self.customer,
            description="Set-up",
            unit_amount=UNIT,
            quantity=Decimal(quantity),
            at=self.now,
        )
        self.note_one_off(quantity)

    def bill(self, _: datetime, __: int, quantity: int) -> None:
        """Bill something at once."""
        line = OneOffLine("Work", UNIT, Decimal(quantity))
        create_one_off_invoice(customer=self.customer, lines=[line], at=self.now, finalizes=True)
        self.note_one_off(quantity)

    def note_one_off(self, quantity: int) -> None:
        amount = rounded(Fraction(UNIT) * quantity, self.house.currency)
        self.one_offs.append(Charge("one_off", self.now, amount))

    def grant(self, _: datetime, priority: int, what: tuple[int, int | None, bool]) -> None:
        """Give credit for some days or for ever, for calls alone or for all."""
        amount, lasts, is_for_calls = what
        grant_credit(
            customer=self.customer,
            name="Goodwill",
            amount=Decimal(amount),
            at=self.now,
            expires_at=None if lasts is None else self.now + timedelta(days=lasts),
            priority=priority,
            prices=["calls"] if is_for_calls else [],
            kind=CreditGrant.Kind.PROMOTIONAL,
        )

    def end(self, at: datetime) -> None:
        """End all subscriptions, perhaps in a past that is billed."""
        sides = [*self.sides, *([self.neighbour] if self.neighbour else [])]
        ends = [max(at, side.latest.since + timedelta(hours=1)) for side in sides]
        self.now = max(self.now, *ends)
        for side, end in zip(sides, ends, strict=True):
            side.end(end, self.now)
        self.night(self.now + timedelta(days=3), 0, "whole")

    def settle(self) -> None:
        """Let the last nights come, of which the second makes good what the first has begun."""
        self.night(self.now + timedelta(days=3), 0, "whole")
        self.night(self.now + timedelta(days=1), 0, "whole")

    def charges(self) -> list[tuple[Side | None, Charge]]:
        """Return all that the customer is to be charged, in plain words."""
        of_sides = [(side, each) for side in self.sides for each in charges(side.life)]
        return [*of_sides, *((None, each) for each in self.one_offs)]


# Changes of a subscription


def change_plan(world: World, side: Side, at: datetime, plan: str) -> None:
    if at > side.latest.since and plan != side.latest.plan:
        moved = side.plans[plan]
        change_subscription(subscription=side.subscription, at=at, effective_at=at, plan=moved)
        side.now_on(at, plan=plan)


def change_seats(world: World, side: Side, at: datetime, seats: int) -> None:
    if at > side.latest.since and seats != side.latest.seats:
        units = {"seats": str(seats)}
        change_subscription(
            subscription=side.subscription, at=at, effective_at=at, quantities=units
        )
        side.now_on(at, seats=seats)


def pause(world: World, side: Side, at: datetime, _: None) -> None:
    if at > side.latest.since and side.latest.is_charged:
        pause_subscription(subscription=side.subscription, at=at, effective_at=at)
        side.now_on(at, is_charged=False)


def resume(world: World, side: Side, at: datetime, _: None) -> None:
    if at > side.latest.since and not side.latest.is_charged:
        resume_subscription(subscription=side.subscription, at=at, effective_at=at)
        side.now_on(at, is_charged=True)


def redeem(world: World, side: Side, _: datetime, key: str) -> None:
    """Redeem a coupon while the subscription runs: what is billed before stays as it is."""
    if key not in {each.key for each in side.redeemed}:
        coupon = coupon_of(key, world.house.currency)
        found = redeem_coupon(subscription=side.subscription, coupon=coupon, at=world.now)
        redeemed = Redeemed(key, found.start_at, found.end_at, from_start=False)
        side.redeemed.append(redeemed)
        world.is_sure = False


CHANGES: dict[str, Callable[[World, Side, datetime, Any], None]] = {
    "plan": change_plan,
    "seats": change_seats,
    "pause": pause,
    "resume": resume,
    "redeem": redeem,
}


# Failures of a night: what gives up, and how


def give_up(*_: object) -> None:
    raise PlannedError


def finish_for_all_but_the_neighbour(world: World) -> Callable[..., None]:
    whole = issuing.finish

    def finish(draft: issuing.Issue, *arguments: Any) -> None:
        if world.neighbour and draft.invoice.customer == world.neighbour.subscription.customer:
            raise PlannedError
        whole(draft, *arguments)

    return finish


FAILURES: dict[str, tuple[str, Callable[[World], Callable[..., None]]]] = {
    "fails": ("mark_settled", lambda _: give_up),
    "fails for the neighbour": ("finish", finish_for_all_but_the_neighbour),
}
