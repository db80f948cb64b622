"""Minimum commitments of periods: the least that their lines come to.

What counts is all that documents bill of a period, fees in advance too, before discounts. So usage
that comes late below the minimum takes as much off the minimum's line as it adds.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Self

from billing.models import Subscription, SubscriptionPeriod
from billing.rating.arithmetic import plain
from billing.rating.minimums import Commitment
from billing.rating.periods import Period
from billing.rating.phases import Phase, stretches
from billing.selectors.accounts import ChargeKey, Contract, Ledger
from billing.selectors.charges import fraction_of, known_end

# A period has one minimum, and no price stands behind it.
NO_PRICE = 0


@dataclass(frozen=True, slots=True)
class Stake:
    """The minimum of a plan version, for the part of a period in which that is in force."""

    plan: str
    minimum_amount: Decimal
    proration: str
    part: Period

    def as_document(self) -> dict[str, str]:
        return {
            "plan": self.plan,
            "minimum_amount": plain(self.minimum_amount),
            "proration": self.proration,
            "period_start": self.part.start.isoformat(),
            "period_end": self.part.end.isoformat(),
        }

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Self:
        start, end = (
            datetime.fromisoformat(document[name]) for name in ("period_start", "period_end")
        )
        return cls(
            document["plan"],
            Decimal(document["minimum_amount"]),
            document["proration"],
            Period(start, end),
        )

    def commitment(
        self, subscription: Subscription, period: SubscriptionPeriod, ends_at: datetime | None
    ) -> Commitment:
        """Return what it comes to; `ends_at` is when the subscription ends, if it does."""
        is_last = self.part.end == ends_at
        fraction = fraction_of(self.proration, subscription, period, self.part, is_last=is_last)
        return Commitment(self.minimum_amount, fraction)


def stakes_of(contract: Contract, period: SubscriptionPeriod, at: datetime) -> Iterator[Stake]:
    """Yield the minimums in force in a period, as was known at an instant; none while it is free."""
    end = known_end(contract, period, at)
    phases = [phase for phase in contract.known(at) if phase.is_billed]
    for version in dict.fromkeys(phase.version for phase in phases):
        terms = contract.lists[version]
        same_terms = [phase for phase in phases if phase.version == version]
        for part in parts_of(same_terms, period.period_start, end, terms.proration):
            if terms.minimum is not None:
                yield Stake(str(terms.version), terms.minimum, terms.proration, part)


def commitments_of(
    contract: Contract, period: SubscriptionPeriod, at: datetime
) -> Iterator[Commitment]:
    """Yield what the minimums in force in a period come to."""
    subscription = contract.subscription
    for stake in stakes_of(contract, period, at):
        yield stake.commitment(subscription, period, subscription.end_at)


def parts_of(
    phases: Sequence[Phase], start: datetime, end: datetime, proration: str
) -> list[Period]:
    """Return the parts of a period that phases cover; what is charged in full is one of them."""
    parts = [
        Period(each.start, each.end) for each in stretches(phases, start, end, same=lambda _: None)
    ]
    if proration == "none" and parts:
        return [Period(parts[0].start, parts[-1].end)]
    return parts


def key_of_minimum(period: SubscriptionPeriod) -> ChargeKey:
    return ChargeKey(period.pk, NO_PRICE, period.period_start)


def billed_beside(ledger: Ledger, period: SubscriptionPeriod) -> Decimal:
    """Return what documents have billed of a period's prices."""
    keys = ledger.of_period.get(period.pk, ())
    amounts = (ledger.billed[key].amount for key in keys if key.price_id != NO_PRICE)
    return sum(amounts, Decimal(0))
