"""What billing knows of customers: their subscriptions, and what documents have billed of them.

Everything is read for many customers at once, in a fixed number of queries.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from django.db.models import Exists, OuterRef, Q

from billing.models import (
    CouponRedemption,
    CreditNoteLine,
    Invoice,
    InvoiceLine,
    OneOffCharge,
    Subscription,
    SubscriptionPeriod,
    SubscriptionPhase,
)
from billing.rating.differences import Billed
from billing.rating.phases import Phase, known_phases
from billing.selectors.one_offs import waiting_charges
from billing.selectors.price_lists import PriceList, price_lists
from customers.models import Customer
from customers.selectors import prefetch_rates

# Documents whose content is worked out from subscriptions, and worked out anew while they are
# drafts. The others are issued as they are made.
RECOMPUTED = (Invoice.Reason.CYCLE, Invoice.Reason.CHANGE)
LINE_COLUMNS = (
    "billing_period_id", "billed_price_id", "period_start",
    "pk", "amount", "discount", "quantity", "part",
)  # fmt: skip


class ChargeKey(NamedTuple):
    """A charge: a price for the stretch of a billing period that begins at `start`."""

    period_id: int
    price_id: int
    start: datetime


@dataclass(slots=True)
class Ledger:
    """What documents have billed, charge by charge, and the invoice line that billed it last.

    `discounts` are what coupons took off what was billed. `parts` counts the lines there ever were
    of a charge, those of reissued invoices too.
    """

    billed: dict[ChargeKey, Billed] = field(default_factory=dict)
    discounts: dict[ChargeKey, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    last_line: dict[ChargeKey, InvoiceLine] = field(default_factory=dict)
    of_period: dict[int, set[ChargeKey]] = field(default_factory=lambda: defaultdict(set))
    parts: dict[ChargeKey, int] = field(default_factory=lambda: defaultdict(int))

    def count(self, key: ChargeKey, part: int) -> None:
        self.parts[key] = max(self.parts[key], part + 1)

    def add(self, line: InvoiceLine | CreditNoteLine) -> None:
        """Count a line; what a credit note gives back is taken off."""
        key, amount, discount = key_of(line), line.amount, line.discount
        if isinstance(line, CreditNoteLine):
            amount, discount = -amount, -discount
        else:
            self.last_line[key] = line
        before = self.billed.get(key) or Billed(Decimal(0), Decimal(0), 0)
        self.billed[key] = before.with_line(amount, line.quantity, line.part)
        if discount:
            self.discounts[key] += discount
        self.count(key, line.part)
        self.of_period[key.period_id].add(key)


@dataclass(slots=True)
class Contract:
    """A subscription with its phases, and those of its periods that are not settled."""

    subscription: Subscription
    rows: list[SubscriptionPhase]
    phases: list[Phase]
    periods: list[SubscriptionPeriod]
    last_period: SubscriptionPeriod | None
    lists: dict[int, PriceList]

    def known(self, at: datetime) -> list[Phase]:
        return known_phases(self.phases, at)

    def list_at(self, at: datetime) -> PriceList:
        """Return the price list that holds at an instant, the first one's before the start."""
        known = self.known(at) or self.phases[:1]
        return self.lists[known[-1].version]

    def end_of(self, period: SubscriptionPeriod) -> datetime:
        """Return where a period ends, which the subscription may do before."""
        end_at = self.subscription.end_at
        return period.period_end if end_at is None else min(period.period_end, end_at)

    @property
    def currency(self) -> str:
        return self.subscription.plan_version.currency

    def is_billed_after(self, at: datetime) -> bool:
        """Say whether anything will be charged of what is not billed yet; not while it is paused."""
        if self.is_over(at):
            return False
        since = min([at, *(each.period_start for each in self.periods if not each.closed_at)])
        return any(
            phase.is_billed and (phase.end is None or phase.end > since) for phase in self.phases
        )

    def is_over(self, at: datetime) -> bool:
        """Say whether no further document of it will come by itself."""
        end_at = self.subscription.end_at
        return (
            end_at is not None
            and end_at <= at
            and all(period.closed_at is not None for period in self.periods)
        )


@dataclass(slots=True)
class Account:
    """A customer with its contracts, its drafts, what was billed, and the coupons it redeemed.

    `spent` are the ids of the redemptions that nothing comes off for any more; `waiting` are the
    charges for its next invoice.
    """

    customer: Customer
    contracts: list[Contract]
    drafts: list[Invoice]
    ledger: Ledger
    redemptions: list[CouponRedemption] = field(default_factory=list)
    spent: set[int] = field(default_factory=set)
    waiting: list[OneOffCharge] = field(default_factory=list)

    def take_waiting(self, currency: str, until: datetime) -> list[OneOffCharge]:
        """Return the charges asked for by an instant; nobody else gets them."""
        taken = [
            each for each in self.waiting if each.currency == currency and each.created_at <= until
        ]
        self.waiting = [each for each in self.waiting if each not in taken]
        return taken

    def is_past(self, instant: datetime) -> bool:
        """Say whether anything was billed as of an instant, or a later one, before."""
        reached = (contract.subscription.billed_until for contract in self.contracts)
        return any(until is not None and instant <= until for until in reached)

    def has_next(self, currency: str, at: datetime) -> bool:
        """Say whether a document in a currency is still to come by itself."""
        return any(
            contract.is_billed_after(at)
            for contract in self.contracts
            if contract.currency == currency
        )

    def contract(self, subscription_id: int) -> Contract:
        return next(each for each in self.contracts if each.subscription.pk == subscription_id)


def read_accounts(customers: Sequence[Customer], *, drafts_count: bool = False) -> list[Account]:
    """Return the accounts of some customers, whom the caller has locked if it is to write.

    Whoever works drafts out anew does not count what they bill; for others `drafts_count`.
    """
    prefetch_rates(customers)
    customer_ids = [customer.pk for customer in customers]
    found = Subscription.objects.filter(customer__any=customer_ids)
    subscriptions = list(found.order_by("start_at", "pk"))
    drafts = Invoice.objects.filter(
        customer__any=customer_ids, status=Invoice.Status.DRAFT, billing_reason__in=RECOMPUTED
    ).exclude(billing_at=None)
    contracts = read_contracts(subscriptions)
    ledger = read_ledger(
        [period.pk for each in contracts.values() for period in each.periods], drafts_count
    )
    by_customer: dict[int, list[Contract]] = defaultdict(list)
    for subscription in subscriptions:
        by_customer[subscription.customer_id].append(contracts[subscription.pk])
    drafts_of: dict[int, list[Invoice]] = defaultdict(list)
    for draft in drafts.order_by("billing_at", "pk") if subscriptions else ():
        drafts_of[draft.customer_id].append(draft)
    accounts = []
    for customer in customers:
        for contract in by_customer[customer.pk]:
            contract.subscription.customer = customer
        accounts.append(Account(customer, by_customer[customer.pk], drafts_of[customer.pk], ledger))
    read_coupons(accounts, drafts_count)
    read_waiting(accounts, drafts_count)
    return accounts


def read_waiting(accounts: Sequence[Account], drafts_count: bool) -> None:
    """Give accounts the charges for their next invoice; those on drafts are not, if drafts count."""
    by_customer = {account.customer.pk: account for account in accounts}
    for charge in waiting_charges(by_customer, drafts_count=drafts_count):
        by_customer[charge.customer_id].waiting.append(charge)


def read_coupons(accounts: Sequence[Account], drafts_count: bool) -> None:
    """Give accounts the coupons of their subscriptions; what drafts use is spent if they count."""
    by_subscription = {
        contract.subscription.pk: account for account in accounts for contract in account.contracts
    }
    redemptions = CouponRedemption.objects.filter(subscription__any=by_subscription)
    for redemption in redemptions.select_related("coupon", "used_on") if by_subscription else ():
        account = by_subscription[redemption.subscription_id]
        account.redemptions.append(redemption)
        if redemption.is_spent:
            account.spent.add(redemption.pk)
    for account in accounts if drafts_count else ():
        once = {each.pk for each in account.redemptions if each.coupon.duration == "once"}
        used = {each["redemption"] for draft in account.drafts for each in draft.discounts}
        account.spent |= once & used


def read_contracts(subscriptions: Sequence[Subscription]) -> dict[int, Contract]:
    """Return the contracts by subscription: with all phases, and the periods not settled."""
    ids = [subscription.pk for subscription in subscriptions]
    rows: dict[int, list[SubscriptionPhase]] = defaultdict(list)
    for row in SubscriptionPhase.objects.filter(subscription__any=ids).order_by("start_at"):
        rows[row.subscription_id].append(row)
    periods: dict[int, list[SubscriptionPeriod]] = defaultdict(list)
    last: dict[int, SubscriptionPeriod] = {}
    for period, is_unsettled in unsettled_periods(ids):
        if is_unsettled:
            periods[period.subscription_id].append(period)
        last[period.subscription_id] = period
    lists = price_lists(
        [row.plan_version_id for each in rows.values() for row in each]
        + [subscription.plan_version_id for subscription in subscriptions]
    )
    for subscription in subscriptions:
        subscription.plan_version = lists[subscription.plan_version_id].version
    return {
        subscription.pk: Contract(
            subscription=subscription,
            rows=rows[subscription.pk],
            phases=[phase_of(row) for row in rows[subscription.pk]],
            periods=periods[subscription.pk],
            last_period=last.get(subscription.pk),
            lists=lists,
        )
        for subscription in subscriptions
    }


def unsettled_periods(
    subscription_ids: Sequence[int],
) -> Iterator[tuple[SubscriptionPeriod, bool]]:
    """Yield each subscription's last period and those whose bills may still change, in order.

    The latter, for which the second value is true, are the ones not closed, those that something
    has changed for since, and those on drafts.
    """
    on_draft = InvoiceLine.objects.filter(
        billing_period=OuterRef("pk"), invoice__status=Invoice.Status.DRAFT
    )
    later = SubscriptionPeriod.objects.filter(
        subscription=OuterRef("subscription"), period_start__gt=OuterRef("period_start")
    )
    periods = SubscriptionPeriod.objects.filter(subscription__any=subscription_ids)
    marked = periods.annotate(is_on_draft=Exists(on_draft), is_last=~Exists(later))
    is_wanted = Q(closed_at=None) | Q(is_stale=True) | Q(is_on_draft=True) | Q(is_last=True)
    for period in marked.filter(is_wanted).order_by("period_start"):
        yield period, period.closed_at is None or period.is_stale or period.is_on_draft


def phase_of(row: SubscriptionPhase) -> Phase:
    return Phase(
        start=row.start_at,
        end=row.end_at,
        version=row.plan_version_id,
        is_billed=row.state == SubscriptionPhase.State.ACTIVE,
        quantities=row.quantities,
    )


def read_ledger(period_ids: Sequence[int], drafts_count: bool = False) -> Ledger:
    """Return what documents have billed of some periods, drafts too if they are to count.

    What a credit note took back is taken off. A void invoice counts, and what was taken back of it,
    unless it is billed again.
    """
    ledger = Ledger()
    if not any(period_ids):
        return ledger
    lines = InvoiceLine.objects.filter(billing_period__any=period_ids)
    if not drafts_count:
        lines = lines.exclude(invoice__status=Invoice.Status.DRAFT)
    lines = lines.select_related("invoice").only(*LINE_COLUMNS, "invoice__is_reissued")
    for line in lines.order_by("pk"):
        if line.invoice.is_reissued:
            ledger.count(key_of(line), line.part)
        else:
            ledger.add(line)
    taken_back = CreditNoteLine.objects.filter(
        billing_period__any=period_ids, credit_note__status="issued"
    )
    taken_back = taken_back.select_related("credit_note__invoice")
    for note_line in taken_back.only(*LINE_COLUMNS, "credit_note__invoice__is_reissued"):
        if note_line.credit_note.invoice.is_reissued:
            ledger.count(key_of(note_line), note_line.part)
        else:
            ledger.add(note_line)
    return ledger


def key_of(line: InvoiceLine | CreditNoteLine) -> ChargeKey:
    return ChargeKey(line.billing_period_id or 0, line.billed_price_id or 0, line.period_start)
