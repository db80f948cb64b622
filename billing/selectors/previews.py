"""What customers would be invoiced for if their periods ended now."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from django.db.models import prefetch_related_objects

from billing.models import Invoice, Subscription, SubscriptionPeriod
from billing.rating.periods import Period
from billing.selectors.accounts import Account, Contract, read_accounts
from billing.selectors.charges import Question, charges_of
from billing.selectors.credits import Wallets, read_wallets
from billing.selectors.lines_left import lines_left
from billing.selectors.one_offs import line_of_charge
from billing.selectors.statements import Statement, discounted, paid_with, summed
from billing.selectors.subscriptions import current_period, running_period
from billing.selectors.usage import UsageReader
from config.errors import DomainError, InvalidInputError
from customers.models import Customer

ZERO = Decimal(0)


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
