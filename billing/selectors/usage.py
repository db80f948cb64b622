"""What billing reads of usage: the one place where it asks metering."""

from collections import defaultdict
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from customers.models import Customer
from metering.models import Meter
from metering.selectors.usage import usage_by_customer

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class UsageWant:
    """A customer's usage of a meter in `[start, end)`, whose days are those of `time_zone`."""

    meter_id: int
    customer_id: int
    start: datetime
    end: datetime
    time_zone: str


class UsageReader:
    """Collects what is wanted and reads it with one statement for each meter and stretch of time.

    Customers whose periods are cut alike are answered together.
    """

    def __init__(self) -> None:
        self.wants: dict[UsageWant, Decimal] = {}
        self.meters: dict[int, Meter] = {}
        self.customers: dict[int, Customer] = {}

    def want(
        self, meter: Meter, customer: Customer, start: datetime, end: datetime, time_zone: str
    ) -> UsageWant:
        """Ask for usage; it is there after `read`."""
        want = UsageWant(meter.pk, customer.pk, start, end, time_zone)
        self.wants.setdefault(want, ZERO)
        self.meters[meter.pk] = meter
        self.customers[customer.pk] = customer
        return want

    def read(self) -> None:
        """Read all that is wanted and not read yet."""
        together: dict[tuple[int, datetime, datetime, str], list[UsageWant]] = defaultdict(list)
        for want in self.wants:
            if want.start < want.end:
                key = (want.meter_id, want.start, want.end, want.time_zone)
                together[key].append(want)
        for (meter_id, start, end, time_zone), wants in together.items():
            customers = [in_zone(self.customers[want.customer_id], time_zone) for want in wants]
            found = usage_by_customer(
                meter=self.meters[meter_id], customers=customers, start=start, end=end
            )
            self.wants.update(
                (want, found[want.customer_id]) for want in wants if want.customer_id in found
            )

    def quantity(self, want: UsageWant) -> Decimal:
        return self.wants[want]


def in_zone(customer: Customer, time_zone: str) -> Customer:
    """Return the customer as it was when its period was cut: windows are counted in that zone."""
    if customer.time_zone == time_zone:
        return customer
    there = copy(customer)
    there.time_zone = time_zone
    return there
