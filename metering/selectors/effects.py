"""Usage of the stretches of time that a change reaches."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from customers.models import Customer
from metering import windows
from metering.models import Meter
from metering.selectors.usage import usage_quantity


class Stretch(Protocol):
    """A stretch of a customer's time and the types of the events that change in it."""

    @property
    def customer(self) -> Customer: ...
    @property
    def start(self) -> datetime: ...
    @property
    def end(self) -> datetime: ...
    @property
    def event_types(self) -> frozenset[str]: ...


def usage_of_stretches(stretches: Iterable[Stretch]) -> dict[tuple[str, str], Decimal]:
    """Return usage by the keys of customer and meter, in the whole days that stretches lie in.

    Days are the customer's own. A meter that counts none of the event types is left out.
    """
    found: dict[tuple[str, str], Decimal] = {}
    for stretch in stretches:
        customer = stretch.customer
        first = windows.local_day(stretch.start, customer.zone)
        last = windows.local_day(stretch.end, customer.zone)
        start = windows.midnight(first, customer.zone)
        end = windows.midnight(windows.next_day(last), customer.zone)
        for meter in (
            Meter.objects.current().filter(event_type__in=stretch.event_types).order_by("key")
        ):
            key = (customer.key, meter.key)
            found[key] = usage_quantity(meter=meter, customer=customer, start=start, end=end)
    return found
