"""What credits customers have, and what documents would take of them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from django.db.models import Q

from billing.models import CreditEntry, CreditGrant
from billing.rating.credits import pay_with
from billing.rating.money import round_amount
from billing.selectors.sums import Amount
from customers.models import Customer

ZERO = Decimal(0)


@dataclass(slots=True)
class Balance:
    """What is left of a grant."""

    grant: CreditGrant
    amount: Decimal


@dataclass(slots=True)
class Wallets:
    """The balances of some customers as of an instant, in the order they are used."""

    of_customer: dict[int, list[Balance]] = field(default_factory=lambda: defaultdict(list))

    def take(
        self, customer: Customer, currency: str, lines: Sequence[Amount], owed: Decimal
    ) -> list[tuple[CreditGrant, Decimal]]:
        """Return what each grant pays of a document; the next one finds so much less."""
        balances = [
            each for each in self.of_customer[customer.pk] if each.grant.currency == currency
        ]
        if not balances:
            return []
        amounts = pay_with(
            [(each.amount, each.grant.prices) for each in balances],
            [(line.price, line.amount - line.discount) for line in lines],
            owed,
            currency,
        )
        taken = []
        for balance, amount in zip(balances, amounts, strict=True):
            if amount:
                balance.amount -= amount
                taken.append((balance.grant, amount))
        return taken


def read_wallets(customers: Iterable[Customer], at: datetime) -> Wallets:
    """Return the credits that can pay documents at an instant."""
    wallets = Wallets()
    grants = CreditGrant.objects.filter(
        Q(expires_at=None) | Q(expires_at__gt=at),
        customer__any={customer.pk for customer in customers},
        effective_at__lte=at,
    )
    for grant in grants.not_used_up().in_order_of_use():
        wallets.of_customer[grant.customer_id].append(Balance(grant, grant.balance))
    return wallets


@dataclass(frozen=True, slots=True)
class CreditBalance:
    """A customer's credits in one currency: paid and promotional, and what open usage will take."""

    currency: str
    paid: Decimal
    promotional: Decimal
    pending: Decimal

    @property
    def balance(self) -> Decimal:
        return self.paid + self.promotional

    @property
    def available(self) -> Decimal:
        return self.balance - self.pending


def credit_balances(
    customer: Customer, at: datetime, pending: dict[str, Decimal]
) -> list[CreditBalance]:
    """Return a customer's credits by currency; `pending` is what documents to come will take."""
    sums: dict[str, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for balance in read_wallets([customer], at).of_customer[customer.pk]:
        sums[balance.grant.currency][balance.grant.kind] += balance.amount
    return [
        CreditBalance(
            currency,
            paid=round_amount(of[CreditGrant.Kind.PAID], currency),
            promotional=round_amount(of[CreditGrant.Kind.PROMOTIONAL], currency),
            pending=round_amount(pending.get(currency, ZERO), currency),
        )
        for currency, of in sorted(sums.items())
    ]


def unreturned(invoice_id: int) -> list[CreditEntry]:
    """Return what was applied to an invoice and not given back."""
    applied = CreditEntry.objects.filter(invoice=invoice_id, kind=CreditEntry.Kind.APPLIED)
    returned = CreditEntry.objects.filter(invoice=invoice_id, kind=CreditEntry.Kind.RETURNED)
    return list(applied.exclude(grant__in=returned.values("grant")))
