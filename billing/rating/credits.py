"""Credits: how much of a document each balance pays, in the order the balances come in."""

from collections.abc import Collection, Sequence
from decimal import Decimal

from billing.rating.arithmetic import exact_arithmetic
from billing.rating.money import allocate_amount, round_amount

ZERO = Decimal(0)


def pay_with(
    balances: Sequence[tuple[Decimal, Collection[str]]],
    lines: Sequence[tuple[str, Decimal]],
    owed: Decimal,
    currency: str,
) -> list[Decimal]:
    """Return how much each balance pays of what is `owed`, never more than there is of either.

    A balance is an amount and the keys of the prices whose lines it pays; none pays all. `lines`
    are pairs of a price's key and what is left of it after discounts. What is owed, tax included,
    is shared out among those above zero in proportion, so that a balance for some prices pays their
    tax too.
    """
    weights = [max(amount, ZERO) for _, amount in lines]
    if owed <= 0 or not any(weights):
        return [round_amount(ZERO, currency) for _ in balances]
    with exact_arithmetic():
        left = list(allocate_amount(owed, weights, currency))
        paid = []
        for balance, prices in balances:
            scope = [at for at, (key, _) in enumerate(lines) if not prices or key in prices]
            there = sum((left[at] for at in scope), ZERO)
            amount = round_amount(min(balance, there), currency)
            paid.append(amount)
            if amount:
                shares = allocate_amount(amount, [left[at] for at in scope], currency)
                for at, share in zip(scope, shares, strict=True):
                    left[at] -= share
    return paid
