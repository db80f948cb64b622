"""What a document says: its lines with their explanations, and its totals.

Drafts, previews and the portal's cost so far are all made from here, so they always agree.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db.models import prefetch_related_objects

from billing import formatting
from billing.models import Invoice, InvoiceLine, Subscription, SubscriptionPeriod
from billing.rating.differences import Billed, left_to_bill, nothing_left
from billing.rating.lines import RatedLine
from billing.rating.minimums import KEY as MINIMUM
from billing.rating.minimums import least_of, true_up
from billing.rating.money import round_amount
from billing.rating.periods import Period
from billing.selectors.accounts import Account, ChargeKey, Contract, Ledger, read_accounts
from billing.selectors.charges import Charge, Question, charges_of
from billing.selectors.credits import Wallets, read_wallets
from billing.selectors.discounts import discounts_of
from billing.selectors.minimums import NO_PRICE, billed_beside, key_of_minimum, stakes_of
from billing.selectors.one_offs import line_of_charge
from billing.selectors.price_lists import listed_price
from billing.selectors.statement_lines import StatementLine
from billing.selectors.subscriptions import current_period, running_period
from billing.selectors.sums import TOTAL_FIELDS, sums_of
from billing.selectors.usage import UsageReader
from config.errors import DomainError, InvalidInputError
from customers.models import Customer

ZERO = Decimal(0)
Kind = InvoiceLine.Kind
TAKEN_BACK = "taken back"


@dataclass(frozen=True, slots=True)
class Statement:
    """Lines and totals in one currency; the names are those of Invoice."""

    customer: Customer
    currency: str
    period_start: datetime
    period_end: datetime
    lines: tuple[StatementLine, ...]
    subtotal: Decimal
    discount: Decimal
    tax: Decimal
    credits: Decimal
    total: Decimal
    discounts: list[dict[str, Any]]
    taxes: list[dict[str, Any]]
    tax_note: str

    @property
    def is_giving_back(self) -> bool:
        """Whether it comes to less than nothing, so that credit notes are to say so instead."""
        return self.total + self.credits < 0


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


def summed(
    customer: Customer,
    currency: str,
    period: Period,
    lines: Iterable[StatementLine],
    discounts: Sequence[dict[str, Any]] = (),
) -> Statement:
    """Return the lines, whose discounts are worked out, with their totals."""
    lines = tuple(lines)
    sums = sums_of(customer, currency, lines, discounts)
    return Statement(
        customer=customer,
        currency=currency,
        period_start=period.start,
        period_end=period.end,
        lines=lines,
        **{name: getattr(sums, name) for name in TOTAL_FIELDS},
    )


def discounted(
    account: Account, currency: str, period: Period, lines: Sequence[StatementLine]
) -> Statement:
    """Take off the lines what coupons do, and return them with their totals."""
    found = discounts_of(account, currency, lines)
    for line, discount in zip(lines, found.amounts, strict=True):
        line.discount = discount
    return summed(account.customer, currency, period, lines, found.coupons)


def paid_with(wallets: Wallets, statement: Statement) -> Statement:
    """Return a statement with what credits pay of it; the next one finds so much less of them."""
    taken = wallets.take(
        statement.customer, statement.currency, statement.lines, statement.total + statement.credits
    )
    if not taken:
        return statement
    paid = sum((amount for _, amount in taken), round_amount(ZERO, statement.currency))
    return replace(statement, credits=paid, total=statement.total + statement.credits - paid)


def preview_invoice(subscription: Subscription, at: datetime) -> Statement:
    """Return the invoice there would be if the current period ended at `at`.

    The subscription must run at `at`. Usage after it does not count; fees do in full. What was
    billed of the period before is taken off, and adjustments that wait for an invoice are on it.
    """
    [account] = read_accounts([subscription.customer], drafts_count=True)
    [preview] = previews(account, at, only=subscription.pk)
    return preview


def previews(account: Account, at: datetime, *, only: int | None = None) -> list[Statement]:
    """Return the previews of a customer's running subscriptions, the oldest first."""
    reader = UsageReader()
    question = Question(at=at, used_until=at, is_over=True)
    running = [
        replace(contract, periods=shown_periods(contract, at))
        for contract in account.contracts
        if contract.subscription.is_active(at) and only in {None, contract.subscription.pk}
    ]
    charges = [list(charges_of(contract, question, reader)) for contract in running]
    reader.read()
    wallets = read_wallets([account.customer], at)
    set_aside(wallets, account)
    statements = [
        discounted(
            account,
            contract.currency,
            current_period(contract, at),
            [
                *lines_left(contract, found, account.ledger, at, reader, is_over=True),
                *map(line_of_charge, account.take_waiting(contract.currency, at)),
            ],
        )
        for contract, found in zip(running, charges, strict=True)
    ]
    return [paid_with(wallets, statement) for statement in statements]


def set_aside(wallets: Wallets, account: Account) -> None:
    """Leave previews the credits that drafts do not take, which are issued before them."""
    with_credits = [draft for draft in account.drafts if draft.credits]
    prefetch_related_objects(with_credits, "lines")
    for draft in with_credits:
        owed = draft.total + draft.credits
        wallets.take(account.customer, draft.currency, list(draft.lines.all()), owed)


def pending_credits(customer: Customer, at: datetime) -> dict[str, Decimal]:
    """Return what drafts and a customer's previews take of its credits, by currency."""
    [account] = read_accounts([customer], drafts_count=True)
    return credits_in([*account.drafts, *previews(account, at)])


def credits_in(documents: Iterable[Invoice | Statement]) -> dict[str, Decimal]:
    """Return what documents take of a customer's credits, by currency."""
    taken: dict[str, Decimal] = {}
    for each in documents:
        taken[each.currency] = taken.get(each.currency, ZERO) + each.credits
    return taken


def shown_periods(contract: Contract, at: datetime) -> list[SubscriptionPeriod]:
    """Return the running period, stored or not, and the past ones that something changed for."""
    stale = [period for period in contract.periods if period.closed_at and period.is_stale]
    return [*stale, running_period(contract, at)]


def cost_so_far(customer: Customer, at: datetime) -> list[Statement]:
    """Return a customer's running subscriptions' previews summed, one statement per currency."""
    by_currency: dict[str, list[Statement]] = {}
    [account] = read_accounts([customer], drafts_count=True)
    for preview in previews(account, at):
        by_currency.setdefault(preview.currency, []).append(preview)
    return [combined(statements) for statements in by_currency.values()]


def combined(statements: list[Statement]) -> Statement:
    """Return statements of one currency as one; each line keeps its own period."""
    period = Period(
        min(each.period_start for each in statements), max(each.period_end for each in statements)
    )
    lines = [line for each in statements for line in each.lines]
    discounts = [discount for each in statements for discount in each.discounts]
    whole = summed(statements[0].customer, statements[0].currency, period, lines, discounts)
    credits = sum((each.credits for each in statements), whole.credits)
    return replace(whole, credits=credits, total=whole.total - credits)


def preview_for_customer(
    customer: Customer, at: datetime, currency: str | None = None
) -> Statement:
    """Return what a customer would be invoiced for if its current periods ended at `at`.

    Raises DomainError when no subscription runs then, and InvalidInputError when they run in
    several currencies and `currency` names none of them.
    """
    previews = {preview.currency: preview for preview in cost_so_far(customer, at)}
    if not previews:
        raise DomainError(f"{customer} has no running subscription.", code="no_subscription")
    if currency is None and len(previews) == 1:
        return next(iter(previews.values()))
    if currency not in previews:
        known = ", ".join(sorted(previews))
        raise InvalidInputError(
            f"{customer} has subscriptions in {known}: name one of them.", field="currency"
        )
    return previews[currency]
