"""Verbs on credits: granted, applied, given back, expired, taken back.

Whoever moves a customer's credits has locked the customer, as for documents.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import Sum

from billing.models import CreditEntry, CreditGrant, Invoice, InvoiceLine
from billing.rating.money import round_amount
from billing.rating.periods import months_later
from billing.selectors.credits import read_wallets, unreturned
from config.errors import DomainError, InvalidInputError
from config.validation import validate
from customers.models import Customer

Kind = CreditEntry.Kind
# What a grant has in common with what is carried over of it.
CARRIED = ("customer", "name", "kind", "currency", "cost_basis", "priority", "prices")


@transaction.atomic
def grant_credit(
    *,
    customer: Customer,
    name: str,
    amount: Decimal,
    at: datetime,
    currency: str = "",
    effective_at: datetime | None = None,
    **fields: Any,
) -> CreditGrant:
    """Give a customer credit, in its own currency unless another is named, from `at` unless said.

    Raises InvalidInputError naming the first wrong field.
    """
    grant = CreditGrant(
        customer=customer,
        name=name,
        amount=amount,
        currency=currency or customer.currency,
        effective_at=effective_at or at,
        created_at=at,
        **fields,
    )
    validate(grant)
    grant.amount = round_amount(amount, grant.currency)
    if grant.amount != amount:
        raise InvalidInputError(
            f"{amount} is no amount of {grant.currency}: it has too many places.", field="amount"
        )
    if grant.rollover_amount is not None:
        grant.rollover_amount = round_amount(grant.rollover_amount, grant.currency)
    if grant.expires_at is not None and grant.expires_at <= at:
        raise InvalidInputError("The expiry must lie in the future.", field="expires_at")
    grant.save()
    CreditEntry.objects.create(grant=grant, kind=Kind.GRANTED, amount=grant.amount, at=at)
    return grant


def apply_credits(
    *, drafts: Sequence[tuple[Invoice, Sequence[InvoiceLine]]], at: datetime
) -> list[CreditEntry]:
    """Pay drafts that are being issued with credits, in their order; return what was taken.

    The caller has locked the customers, so that nobody else takes the same.
    """
    wallets = read_wallets({invoice.customer for invoice, _ in drafts}, at)
    entries = []
    for invoice, lines in drafts:
        owed = invoice.total + invoice.credits
        left = owed - invoice.amount_credited
        taken = wallets.take(invoice.customer, invoice.currency, lines, left)
        invoice.credits = sum((amount for _, amount in taken), owed - owed)
        invoice.total = owed - invoice.credits
        entries += [
            CreditEntry(grant=grant, kind=Kind.APPLIED, amount=-amount, invoice=invoice, at=at)
            for grant, amount in taken
        ]
    return CreditEntry.objects.bulk_create(entries)


def return_credits(*, invoice: Invoice, at: datetime) -> None:
    """Give back what an invoice that is void was paid with; once, however often it is asked."""
    CreditEntry.objects.bulk_create(
        CreditEntry(
            grant_id=entry.grant_id,
            kind=Kind.RETURNED,
            amount=-entry.amount,
            invoice=invoice,
            at=at,
        )
        for entry in unreturned(invoice.pk)
    )


@transaction.atomic
def void_credit_grant(*, grant: CreditGrant, at: datetime) -> CreditGrant:
    """Take back what is left of a grant. Raises DomainError if nothing is."""
    Customer.objects.select_for_update(no_key=True).get(pk=grant.customer_id)
    if not take_rest([grant.pk], Kind.VOIDED, at):
        raise DomainError(f"Nothing is left of {grant}.", code="nothing_left")
    return CreditGrant.objects.with_balance().get(pk=grant.pk)


def expire_credits(*, at: datetime) -> int:
    """Write off what is left of the grants that have expired; return of how many.

    What a grant carries over becomes a grant of its own.
    """
    expired = CreditGrant.objects.filter(expires_at__lte=at).not_used_up()
    ids = sorted({(grant.customer_id, grant.pk) for grant in expired})
    for customer_id, pk in ids:
        with transaction.atomic():
            Customer.objects.select_for_update(no_key=True).get(pk=customer_id)
            roll_over(pk, at)
            take_rest([pk], Kind.EXPIRED, at)
    return len(ids)


def roll_over(pk: int, at: datetime) -> None:
    """Carry over what an expired grant says, less what was carried over of it before.

    There is a second time when a void invoice gives back to a grant that has expired.
    """
    grant = CreditGrant.objects.select_related("customer").not_used_up().filter(pk=pk).first()
    if grant is None or grant.rollover_amount is None or grant.expires_at is None:
        return
    entries = grant.entries.filter(kind=Kind.ROLLED_OVER)
    before = entries.aggregate(sum=Sum("amount"))["sum"] or Decimal(0)
    amount = min(grant.balance, grant.rollover_amount + before)
    if amount <= 0:
        return
    CreditEntry.objects.create(grant=grant, kind=Kind.ROLLED_OVER, amount=-amount, at=at)
    carried = CreditGrant.objects.create(
        amount=amount,
        effective_at=grant.expires_at,
        expires_at=months_later(grant.expires_at, grant.rollover_months or 0, grant.customer.zone),
        created_at=at,
        rolled_over_from=grant,
        **{name: getattr(grant, name) for name in CARRIED},
    )
    CreditEntry.objects.create(grant=carried, kind=Kind.GRANTED, amount=amount, at=at)


def take_rest(ids: Iterable[int], kind: Kind, at: datetime) -> list[CreditEntry]:
    left = CreditGrant.objects.filter(pk__in=ids).not_used_up()
    return CreditEntry.objects.bulk_create(
        CreditEntry(grant=grant, kind=kind, amount=-grant.balance, at=at) for grant in left
    )
