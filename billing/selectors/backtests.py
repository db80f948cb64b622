"""Back-tests: what past usage would have cost under another plan version.

Both sides are worked out by the code that bills, from the usage as it is known now: what a
customer's own terms come to and what the other version does. Nothing is stored.
"""

from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import batched

from django.db.models import Q, QuerySet

from billing.models import Plan, PlanVersion, Subscription, SubscriptionPeriod
from billing.rating.minimums import Commitment, true_up
from billing.rating.money import round_amount
from billing.rating.periods import start_of_day
from billing.selectors.accounts import Contract, read_contracts
from billing.selectors.charges import Charge, Question, charges_of_period
from billing.selectors.minimums import commitments_of
from billing.selectors.price_lists import PriceList, price_lists
from billing.selectors.subscriptions import period_from
from billing.selectors.usage import UsageReader
from config.errors import InvalidInputError
from customers.models import Customer

# So many subscriptions are read and priced at once.
BATCH = 200
# A mistyped year must not price centuries.
LONGEST_DAYS = 3 * 366
ZERO = Decimal(0)
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one customer's usage came to, and would have come to, before discounts and tax."""

    customer: Customer
    plans: str
    own_amount: Decimal
    other_amount: Decimal

    @property
    def difference(self) -> Decimal:
        """Return what the customer would have paid more; below zero, less."""
        return self.other_amount - self.own_amount


@dataclass(frozen=True, slots=True)
class BackTest:
    """The outcomes of a window, who would have paid most more first, and who is not among them."""

    version: PlanVersion
    since: date
    until: date
    outcomes: tuple[Outcome, ...]
    left_out: tuple[Subscription, ...]

    @property
    def own_amount(self) -> Decimal:
        return self.total(each.own_amount for each in self.outcomes)

    @property
    def other_amount(self) -> Decimal:
        return self.total(each.other_amount for each in self.outcomes)

    @property
    def difference(self) -> Decimal:
        return self.other_amount - self.own_amount

    @property
    def losers(self) -> int:
        """Return how many would have paid more."""
        return sum(each.difference > 0 for each in self.outcomes)

    @property
    def winners(self) -> int:
        """Return how many would have paid less."""
        return sum(each.difference < 0 for each in self.outcomes)

    def total(self, amounts: Iterable[Decimal]) -> Decimal:
        return sum(amounts, round_amount(ZERO, self.version.currency))


@dataclass(frozen=True, slots=True)
class PeriodOfSide:
    """A billing period under a set of terms: its charges, and the minimums they have to reach."""

    charges: list[Charge]
    commitments: list[Commitment]

    def worth(self, currency: str, reader: UsageReader) -> Decimal:
        amounts = (charge.worth(reader).amount for charge in self.charges)
        reached = sum(amounts, round_amount(ZERO, currency))
        return reached + true_up(self.commitments, reached, currency).amount


@dataclass(frozen=True, slots=True)
class Side:
    """One subscription under one set of terms, over a stretch of time."""

    contract: Contract
    start: datetime
    end: datetime

    def asked(self, reader: UsageReader) -> list[PeriodOfSide]:
        """Return its periods, the usage they want asked for."""
        question = Question(at=self.end, is_over=True)
        return [
            PeriodOfSide(
                list(charges_of_period(self.contract, period, question, reader)),
                list(commitments_of(self.contract, period, self.end)),
            )
            for period in self.periods()
        ]

    def periods(self) -> Iterator[SubscriptionPeriod]:
        """Yield the billing periods of the stretch; the first and the last may be cut by it."""
        start, customer = self.start, self.contract.subscription.customer
        while start < self.end:
            period = period_from(self.contract, start, customer.time_zone)
            period.period_end = min(period.period_end, self.end)
            yield period
            start = period.period_end


def back_test(
    *, version: PlanVersion, since: date, until: date, at: datetime, plan: Plan | None = None
) -> BackTest:
    """Return what customers would have paid on a plan version, a draft too, for past usage.

    The window `[since, until)` is of the customers' own days and ends at `at` at the latest. Tested
    are the subscriptions of the version's kind, base plans or add-ons, of `plan` alone if it is
    named. Those in another currency are left out. Fees of periods that the window cuts are
    prorated. Raises InvalidInputError for a window that is none, or too long.
    """
    check_window(since, until, at)
    lists = price_lists([version.pk])
    tested: list[Subscription] = []
    left_out: list[Subscription] = []
    for subscription in candidates(version, since, until, plan):
        is_comparable = subscription.plan_version.currency == version.currency
        (tested if is_comparable else left_out).append(subscription)
    outcomes = [
        outcome
        for batch in batched(tested, BATCH, strict=False)
        for outcome in outcomes_of(batch, lists[version.pk], since, until, at)
    ]
    return BackTest(
        version=version,
        since=since,
        until=until,
        outcomes=tuple(
            sorted(merged(outcomes), key=lambda each: (-each.difference, each.customer.key))
        ),
        left_out=tuple(left_out),
    )


def check_window(since: date, until: date, at: datetime) -> None:
    if since >= until:
        raise InvalidInputError(
            f"The window ends before it begins: write a day after {since.isoformat()}.",
            field="until",
        )
    if (until - since).days > LONGEST_DAYS:
        raise InvalidInputError("Test at most three years at once.", field="since")
    if since >= at.date():
        raise InvalidInputError(
            "Name a day that is past: what is to come is not known.", field="since"
        )


def candidates(
    version: PlanVersion, since: date, until: date, plan: Plan | None
) -> QuerySet[Subscription]:
    """Return the subscriptions that may have run in the window, a day too many at either end."""
    first, last = (datetime(day.year, day.month, day.day, tzinfo=UTC) for day in (since, until))
    subscriptions = Subscription.objects.filter(
        Q(end_at=None) | Q(end_at__gt=first - DAY),
        start_at__lt=last + DAY,
        plan_version__is_addon=version.is_addon,
    )
    if plan is not None:
        subscriptions = subscriptions.filter(plan_version__plan=plan)
    if version.customer_id is not None:
        subscriptions = subscriptions.filter(customer=version.customer_id)
    related = subscriptions.select_related("customer", "plan_version__plan")
    return related.order_by("customer__key", "pk")


def outcomes_of(
    subscriptions: Sequence[Subscription], other: PriceList, since: date, until: date, at: datetime
) -> list[Outcome]:
    """Return the outcomes of some subscriptions; their usage is read together."""
    contracts = read_contracts(subscriptions)
    reader = UsageReader()
    asked = []
    for subscription in subscriptions:
        customer = subscription.customer
        start = max(subscription.start_at, start_of_day(since, customer.zone))
        end = min(start_of_day(until, customer.zone), at, subscription.end_at or at)
        if start < end:
            own = Side(contracts[subscription.pk], start, end)
            moved = replace(own, contract=moved_to(own.contract, other))
            asked.append((subscription, own.asked(reader), moved.asked(reader)))
    reader.read()
    return [
        Outcome(
            customer=subscription.customer,
            plans=str(subscription.plan_version),
            own_amount=worth(own, other.version.currency, reader),
            other_amount=worth(moved, other.version.currency, reader),
        )
        for subscription, own, moved in asked
    ]


def moved_to(contract: Contract, other: PriceList) -> Contract:
    """Return a contract as if the other price list had held in all of its phases."""
    rows = [copy(row) for row in contract.rows]
    for row in rows:
        row.plan_version_id = other.version.pk
    return replace(
        contract,
        rows=rows,
        phases=[replace(phase, version=other.version.pk) for phase in contract.phases],
        lists={other.version.pk: other},
    )


def worth(periods: Iterable[PeriodOfSide], currency: str, reader: UsageReader) -> Decimal:
    amounts = (period.worth(currency, reader) for period in periods)
    return sum(amounts, round_amount(ZERO, currency))


def merged(outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
    """Yield one outcome for each customer."""
    by_customer: dict[int, Outcome] = {}
    for outcome in outcomes:
        earlier = by_customer.get(outcome.customer.pk)
        by_customer[outcome.customer.pk] = (
            outcome
            if earlier is None
            else replace(
                earlier,
                plans=f"{earlier.plans}, {outcome.plans}",
                own_amount=earlier.own_amount + outcome.own_amount,
                other_amount=earlier.other_amount + outcome.other_amount,
            )
        )
    yield from by_customer.values()


HEADER = ("customer", "name", "plans", "currency", "own_amount", "other_amount", "difference")


def cells_of(test: BackTest) -> Iterator[tuple[str, ...]]:
    """Yield a row of texts for each customer, under HEADER."""
    for each in test.outcomes:
        amounts = (each.own_amount, each.other_amount, each.difference)
        yield (
            each.customer.key,
            each.customer.name,
            each.plans,
            test.version.currency,
            *(format(amount, "f") for amount in amounts),
        )
