"""What a change of usage does to quantities and to money, as staff look at it beforehand."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import Q

from billing.models import Invoice
from billing.selectors.previews import cost_so_far
from metering.selectors.effects import Stretch, usage_of_stretches

type Amounts = dict[tuple[str, str], Decimal]


@dataclass(frozen=True, slots=True)
class Picture:
    """Usage by the keys of customer and meter; amounts by customer and currency.

    An amount is what the customer would be invoiced for now, before tax: for the running periods,
    and for what billed ones are worth more or less since.
    """

    usage: dict[tuple[str, str], Decimal]
    amounts: Amounts


def picture_of(stretches: Sequence[Stretch], at: datetime) -> Picture:
    """Return what is to be seen of the customers whose stretches of time are given."""
    return Picture(usage_of_stretches(stretches), amounts_of(stretches, at))


def amounts_of(stretches: Sequence[Stretch], at: datetime) -> Amounts:
    return {
        (stretch.customer.key, statement.currency): statement.subtotal
        for stretch in stretches
        for statement in cost_so_far(stretch.customer, at)
    }


def documents_reached(stretches: Sequence[Stretch]) -> list[Invoice]:
    """Return the invoices for a period that one of these stretches reaches into.

    Drafts are written anew by themselves; what was issued stays, and is put right by a later
    document.
    """
    reached = Q(pk__in=[])
    for stretch in stretches:
        reached |= Q(
            customer=stretch.customer,
            period_start__lt=stretch.end,
            period_end__gt=stretch.start,
        )
    invoices = Invoice.objects.filter(reached).exclude(status=Invoice.Status.VOID)
    return list(invoices.select_related("customer").order_by("customer", "period_start", "pk"))
