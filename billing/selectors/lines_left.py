"""What is left to bill of a subscription: the lines of its next document, with their explanations."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings

from billing import formatting
from billing.models import InvoiceLine, SubscriptionPeriod
from billing.rating.differences import Billed, left_to_bill, nothing_left
from billing.rating.lines import RatedLine
from billing.rating.minimums import KEY as MINIMUM
from billing.rating.minimums import least_of, true_up
from billing.rating.money import round_amount
from billing.selectors.accounts import ChargeKey, Contract, Ledger
from billing.selectors.charges import Charge
from billing.selectors.minimums import NO_PRICE, billed_beside, key_of_minimum, stakes_of
from billing.selectors.price_lists import listed_price
from billing.selectors.statement_lines import StatementLine
from billing.selectors.usage import UsageReader

ZERO = Decimal(0)
Kind = InvoiceLine.Kind
TAKEN_BACK = "taken back"


def lines_left(
    contract: Contract,
    charges: Sequence[Charge],
    ledger: Ledger,
    at: datetime,
    reader: UsageReader,
    *,
    is_over: bool = False,
) -> list[StatementLine]:
    """Return what is left to bill of a subscription as of an instant, one line for each charge.

    `charges` are all of its unsettled periods; those that are due have a line, unless an earlier
    document billed all of it. What puts earlier documents right comes last, and what was billed
    for a charge that is no more is taken back. `is_over` takes the running period for ended.
    """
    placed = [
        (charge.order, line)
        for charge in charges
        if charge.is_due and (line := line_of(charge, ledger, at, reader)) is not None
    ]
    back = taken_back(contract, charges, ledger, at)
    lines = [*(line for _, line in placed), *back]
    for period in contract.periods:
        if period.period_start <= at and (is_over or contract.end_of(period) <= at):
            found = minimum_line(contract, period, lines, ledger, at)
            after_all = period.period_start, period.period_end, 0
            placed += [(after_all, line) for line in found]

    def place(line: tuple[tuple[datetime, datetime, int], StatementLine]) -> tuple[bool, Any]:
        order, it = line
        return it.billing_period is not None and contract.end_of(it.billing_period) < at, order

    return [*(line for _, line in sorted(placed, key=place)), *back]


def line_of(
    charge: Charge, ledger: Ledger, at: datetime, reader: UsageReader, *, is_final: bool = True
) -> StatementLine | None:
    billed = ledger.billed.get(charge.key)
    worth = charge.worth(reader, is_final=is_final)
    rated = left_to_bill(worth, billed, counts_units=charge.listed.price.counts_units)
    kind = kind_of(charge, billed, at)
    is_first = billed is None and charge.contract.end_of(charge.period) >= at
    if not is_first and is_negligible(kind, rated.amount):
        return None
    row, stretch = charge.listed.row, charge.stretch
    return StatementLine(
        kind=kind,
        price=row.key,
        meter="" if row.meter is None else row.meter.key,
        description=described(charge, rated, kind),
        quantity=rated.quantity,
        amount=rated.amount,
        period_start=stretch.start,
        period_end=stretch.end,
        document=row.document,
        steps=[step.as_document() for step in rated.steps],
        billed_quantity=rated.billed_quantity,
        subscription=charge.contract.subscription,
        billing_period=charge.period,
        billed_price=row,
        part=ledger.parts.get(charge.key, 0),
        original=ledger.last_line.get(charge.key),
    )


def kind_of(charge: Charge, billed: Billed | None, at: datetime) -> InvoiceLine.Kind:
    """Say what a line is: of its period, of a change within it, or of what was billed before."""
    is_past = charge.contract.end_of(charge.period) < at
    if charge.want is not None:
        return Kind.ADJUSTMENT if is_past else Kind.USAGE
    is_change = billed is not None or charge.is_changed or is_past
    return Kind.PRORATION if is_change else Kind.FEE


def is_negligible(kind: str, amount: Decimal) -> bool:
    """Say whether a difference is not worth a line; usage has a limit that can be set."""
    least = settings.ADJUSTMENT_MINIMUM if kind == Kind.ADJUSTMENT else ZERO
    return not amount or abs(amount) < least


def described(charge: Charge, rated: RatedLine, kind: str) -> str:
    """Return the words of a line; a fee for part of a period says which part."""
    customer, name = charge.contract.subscription.customer, charge.listed.row.name
    stretch, part = charge.stretch, part_in_words(charge)
    if kind == Kind.ADJUSTMENT:
        before, now = (
            formatting.quantity(quantity, customer.locale)
            for quantity in (rated.billed_quantity or ZERO, rated.quantity)
        )
        return f"{name}, {part}: {now} in all, {before} billed before"
    if kind == Kind.PRORATION and rated.amount < 0:
        return f"{name}, unused: owed for {part} alone" if charge.fraction else f"{name}, unused"
    if charge.want is not None:
        bounds = charge.period.period_start, charge.contract.end_of(charge.period)
        is_whole = (stretch.start, stretch.end) == bounds
    else:
        is_whole = charge.fraction == 1 and kind == Kind.FEE
    return name if is_whole else f"{name}, {part}"


def minimum_line(
    contract: Contract,
    period: SubscriptionPeriod,
    lines: Iterable[StatementLine],
    ledger: Ledger,
    at: datetime,
) -> Iterator[StatementLine]:
    """Yield what is left to bill of a period's minimum, beside the lines of the same document."""
    subscription, currency = contract.subscription, contract.currency
    stakes = list(stakes_of(contract, period, at))
    key = key_of_minimum(period)
    if not stakes and key not in ledger.billed:
        return
    reached = sum(
        (line.amount for line in lines if line.billing_period is period),
        billed_beside(ledger, period),
    )
    commitments = [each.commitment(subscription, period, subscription.end_at) for each in stakes]
    missing = true_up(commitments, reached, currency)
    rated = left_to_bill(missing, ledger.billed.get(key), counts_units=False)
    if not rated.amount:
        return
    customer, end = subscription.customer, max(contract.end_of(period), period.period_start)
    least, there = (
        formatting.money(amount, currency, customer.locale)
        for amount in (least_of(commitments, currency), reached)
    )
    days = formatting.period(period.period_start, end, period.zone, customer.locale)
    yield StatementLine(
        kind=Kind.MINIMUM,
        price=MINIMUM,
        meter="",
        description=f"Minimum, {days}: {least}, of which fees and usage come to {there}",
        quantity=rated.quantity,
        amount=rated.amount,
        period_start=period.period_start,
        period_end=end,
        document={"minimums": [each.as_document() for each in stakes]},
        steps=[step.as_document() for step in rated.steps],
        billed_quantity=rated.billed_quantity,
        subscription=subscription,
        billing_period=period,
        part=ledger.parts.get(key, 0),
        original=ledger.last_line.get(key),
    )


def part_in_words(charge: Charge) -> str:
    """Name the time of a charge; a fee that is prorated by days names the days it is charged for.

    No day is in two lines: the day of a change belongs to what comes after it, and where that is
    not so the time of the change is said.
    """
    subscription, start, end = (
        charge.contract.subscription,
        charge.stretch.start,
        charge.stretch.end,
    )
    zone, locale = charge.period.zone, subscription.customer.locale
    if charge.want is not None or charge.listed.price.proration != "day":
        return formatting.span(start, end, zone, locale)
    first, beyond = start.astimezone(zone).date(), end.astimezone(zone).date()
    if end == subscription.end_at and not formatting.is_midnight(end, zone):
        beyond += timedelta(days=1)
    if first >= beyond:
        return "less than a day"
    return formatting.days(first, beyond - timedelta(days=1), locale)


def taken_back(
    contract: Contract, charges: Sequence[Charge], ledger: Ledger, at: datetime
) -> list[StatementLine]:
    """Return lines for what was billed of charges that are no more, after a change of the past."""
    there = {charge.key for charge in charges}
    return [
        gone(contract, period, key, ledger)
        for period in contract.periods
        if period.period_start <= at
        for key in sorted(ledger.of_period.get(period.pk, ()), key=lambda key: key.start)
        if key.price_id != NO_PRICE
        and key not in there
        and key.start <= at
        and ledger.billed[key].amount
    ]


def gone(
    contract: Contract, period: SubscriptionPeriod, key: ChargeKey, ledger: Ledger
) -> StatementLine:
    billed, original = ledger.billed[key], ledger.last_line[key]
    known = (each for one in contract.lists.values() for each in one.prices)
    listed = next((each for each in known if each.row.pk == key.price_id), None)
    if listed is None:
        # Nothing is left of the change that brought its plan.
        assert original.billed_price is not None  # noqa: S101  # The key names it.
        listed = listed_price(original.billed_price)
    zero = round_amount(ZERO, contract.currency)
    counts_units = listed.price.counts_units
    rated = nothing_left(listed.row.key, billed, zero, counts_units=counts_units)
    return StatementLine(
        kind=Kind.PRORATION if listed.row.meter is None else Kind.ADJUSTMENT,
        price=listed.row.key,
        meter="" if listed.row.meter is None else listed.row.meter.key,
        description=f"{listed.row.name}, {TAKEN_BACK}",
        quantity=rated.quantity,
        amount=rated.amount,
        period_start=key.start,
        period_end=max(contract.end_of(period), period.period_end, key.start),
        document=listed.row.document,
        steps=[step.as_document() for step in rated.steps],
        billed_quantity=rated.billed_quantity,
        subscription=contract.subscription,
        billing_period=period,
        billed_price=listed.row,
        part=ledger.parts[key],
        original=original,
    )
