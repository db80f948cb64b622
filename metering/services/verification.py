"""Proof that roll-ups equal a fresh aggregation of the raw events."""

from collections.abc import Iterator

from django.db import transaction

from customers.models import Customer
from metering.models import Meter
from metering.selectors.differences import Difference, differences
from metering.services.folding import lock_usage


def verify_usage(*, customer: Customer | None = None) -> Iterator[Difference]:
    """Yield every row of the roll-ups, of one customer or of all, that the events contradict.

    Batches still to be folded and meters still to be filled are no difference: usage is read from
    their events. Nothing is changed.
    """
    meters = list(Meter.objects.exclude(filled_at=None).order_by("key"))
    customers = [customer] if customer is not None else Customer.objects.order_by("key")
    for each in customers:
        for meter in meters:
            if list(differences(meter, each)):
                # What was folded or made anew between two looks is none: look with nobody folding.
                with transaction.atomic():
                    lock_usage(each.pk)
                    found = list(differences(meter, each))
                yield from found
