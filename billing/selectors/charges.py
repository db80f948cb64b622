"""Charges: what prices cost for the stretches of billing periods, and what is left to bill of them.

There is one rule. A charge is worth what its price makes of its usage or quantity as they are known
now; documents have billed some of that before; the difference is the next line. First usage, late
usage, corrections, thresholds and changes of plan are all that same difference.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from zoneinfo import ZoneInfo

from billing.models import Subscription, SubscriptionPeriod
from billing.rating.lines import RatedLine, price_usage
from billing.rating.periods import Period, nearest_midnight
from billing.rating.phases import Phase, Stretch, stretches
from billing.rating.proration import proration_fraction
from billing.selectors.accounts import ChargeKey, Contract
from billing.selectors.price_lists import ListedPrice
from billing.selectors.usage import UsageReader, UsageWant

ONE = Decimal(1)
ZERO = Decimal(0)


@dataclass(slots=True)
class Charge:
    """A price for one stretch of a period. `is_due` says whether it is billed as of now.

    `want` is the usage it depends on, `quantity` the units it states where it reads none.
    `is_changed` says that it took over from other terms within the period.
    """

    key: ChargeKey
    contract: Contract
    period: SubscriptionPeriod
    listed: ListedPrice
    stretch: Stretch
    quantity: Decimal
    want: UsageWant | None
    fraction: Fraction
    is_due: bool
    is_changed: bool

    @property
    def currency(self) -> str:
        return self.contract.lists[self.stretch.phase.version].version.currency

    @property
    def order(self) -> tuple[datetime, datetime, int]:
        """Return where its line stands among those of its subscription."""
        return self.period.period_start, self.stretch.start, self.listed.row.position

    def worth(self, reader: UsageReader, *, is_final: bool = True) -> RatedLine:
        """Return what it comes to, with the steps that say why.

        Only what is final has the minimum of its price.
        """
        usage = self.quantity if self.want is None else reader.usage(self.want)
        return price_usage(
            self.listed.price,
            usage,
            None,
            self.currency,
            fraction=self.fraction,
            is_final=is_final,
        )


@dataclass(frozen=True, slots=True)
class Question:
    """As of when charges are worked out.

    Usage counts until `used_until`. `is_over` asks what would be due if the running periods ended
    now.
    """

    at: datetime
    used_until: datetime | None = None
    is_over: bool = False


def charges_of(contract: Contract, question: Question, reader: UsageReader) -> Iterator[Charge]:
    """Yield the charges of the unsettled periods that have begun, the usage they want asked for."""
    for period in contract.periods:
        if period.period_start <= question.at:
            yield from charges_of_period(contract, period, question, reader)


def charges_of_period(
    contract: Contract, period: SubscriptionPeriod, question: Question, reader: UsageReader
) -> Iterator[Charge]:
    end = known_end(contract, period, question.at)
    if end <= period.period_start:
        return
    phases = [phase for phase in contract.known(question.at) if phase.is_billed]
    is_over = question.is_over or contract.end_of(period) <= question.at
    for version in dict.fromkeys(phase.version for phase in phases):
        same_list = [phase for phase in phases if phase.version == version]
        for listed in contract.lists[version].prices:
            for stretch in stretches_of(listed, same_list, period.period_start, end):
                is_advance = listed.price.timing == "advance"
                is_due = is_over or is_advance
                # Usage that is not due is of interest where open usage counts up to an instant.
                is_asked = is_due or question.used_until is not None
                yield Charge(
                    key=ChargeKey(period.pk, listed.row.pk, stretch.start),
                    contract=contract,
                    period=period,
                    listed=listed,
                    stretch=stretch,
                    quantity=stated_quantity(listed, stretch.phase),
                    want=usage_wanted(contract, period, listed, stretch, question, reader)
                    if is_asked
                    else None,
                    fraction=fee_fraction(contract, period, listed, stretch),
                    is_due=is_due,
                    is_changed=is_advance and any(p.end == stretch.start for p in phases),
                )


def known_end(contract: Contract, period: SubscriptionPeriod, at: datetime) -> datetime:
    """Return where a period ends as far as was known at an instant.

    A change of plan to another interval cuts it short, but not before it happens.
    """
    end_at = contract.subscription.end_at
    end = period.period_end if period.period_end <= at else period.full_end
    return end if end_at is None else min(end, end_at)


def stretches_of(
    listed: ListedPrice, phases: Sequence[Phase], start: datetime, end: datetime
) -> list[Stretch]:
    """Return the stretches of one price; a unit that is charged in full is charged once a period."""
    if listed.row.meter is not None:
        return list(stretches(phases, start, end, same=lambda _: None))
    found = list(stretches(phases, start, end, same=lambda phase: stated_quantity(listed, phase)))
    if listed.price.proration != "none" or len(found) < 2:
        return found
    most = max(found, key=lambda stretch: stated_quantity(listed, stretch.phase))
    return [Stretch(found[0].start, found[-1].end, most.phase)]


def stated_quantity(listed: ListedPrice, phase: Phase) -> Decimal:
    """Return how many units the subscription states; a flat fee is one."""
    if not listed.is_licensed:
        return ONE
    return Decimal(phase.quantities.get(listed.price.key, "0"))


def usage_wanted(
    contract: Contract,
    period: SubscriptionPeriod,
    listed: ListedPrice,
    stretch: Stretch,
    question: Question,
    reader: UsageReader,
) -> UsageWant | None:
    if listed.row.meter is None:
        return None
    end = stretch.end if question.used_until is None else min(stretch.end, question.used_until)
    return reader.want(
        listed.row.meter,
        contract.subscription.customer,
        stretch.start,
        max(stretch.start, end),
        period.time_zone,
        listed.price.model.reads,
    )


def fee_fraction(
    contract: Contract, period: SubscriptionPeriod, listed: ListedPrice, stretch: Stretch
) -> Fraction:
    """Return how much of a full period's fee is due for a stretch."""
    is_last = stretch.end == contract.subscription.end_at
    subscription, part = contract.subscription, Period(stretch.start, stretch.end)
    proration = listed.price.proration
    return fraction_of(proration, subscription, period, part, is_last=is_last)


def fraction_of(
    proration: str,
    subscription: Subscription,
    period: SubscriptionPeriod,
    part: Period,
    *,
    is_last: bool,
) -> Fraction:
    """Return how much of a full period's fee is due for a part of it, prorated like this.

    `is_last` says that the subscription ends with the part.
    """
    # The customer may have moved to another time zone since the period before.
    follows = part.start == period.period_start != subscription.start_at
    return fraction_within(
        proration,
        part,
        Period(period.full_start, period.full_end),
        period.zone,
        may_have_moved=follows and not period.starts_rhythm,
        is_last=is_last,
    )


@lru_cache(maxsize=4096)  # A night asks the same of many customers.
def fraction_within(
    proration: str,
    part: Period,
    full: Period,
    zone: ZoneInfo,
    *,
    may_have_moved: bool,
    is_last: bool,
) -> Fraction:
    start = nearest_midnight(part.start, zone) if may_have_moved else part.start
    start, end = max(start, full.start), min(part.end, full.end)
    if start >= end:
        return Fraction(0)
    return proration_fraction(proration, Period(start, end), full, zone, is_last=is_last)


def keys_of(charges: Iterable[Charge]) -> set[ChargeKey]:
    return {charge.key for charge in charges}
