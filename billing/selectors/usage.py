"""What billing reads of usage: the one place where it asks metering."""

from collections import defaultdict
from collections.abc import Iterable
from copy import copy
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from billing.rating.usage import Usage, UsageKind, UsageRead, no_usage
from customers.models import Customer
from metering.models import Meter
from metering.selectors.changed_days import days_changed_since
from metering.selectors.cutoffs import Cutoff, current_cutoff
from metering.selectors.usage import usage, usage_by_customer, usage_quantity
from metering.selectors.values import event_values

QUANTITY = UsageRead(UsageKind.QUANTITY)


class UsageWant(NamedTuple):
    """A customer's usage of a meter in `[start, end)`, whose days are those of `time_zone`."""

    meter_id: int
    customer_id: int
    start: datetime
    end: datetime
    time_zone: str
    reads: UsageRead = QUANTITY


class UsageReader:
    """Collects what is wanted and reads it, quantities of customers with like periods together.

    All that one reader reads is as of one cut-off, whatever comes in meanwhile: the one it is given,
    for `read_alone`, or that of its first reading.
    """

    def __init__(self, cutoff: Cutoff | None = None) -> None:
        self.wants: dict[UsageWant, Usage | None] = {}
        self.meters: dict[int, Meter] = {}
        self.customers: dict[int, Customer] = {}
        self.cutoff = cutoff

    def want(
        self,
        meter: Meter,
        customer: Customer,
        start: datetime,
        end: datetime,
        time_zone: str,
        reads: UsageRead = QUANTITY,
    ) -> UsageWant:
        """Ask for usage; it is there after `read`."""
        want = UsageWant(meter.pk, customer.pk, start, end, time_zone, reads)
        self.wants.setdefault(want, None)
        self.meters[meter.pk] = meter
        self.customers[customer.pk] = customer
        return want

    def read(self) -> None:
        """Read all that is wanted and not read yet."""
        open_wants = [want for want, found in self.wants.items() if found is None]
        for want in open_wants:
            self.wants[want] = no_usage(want.reads.kind).usage
        asked = [want for want in open_wants if want.start < want.end]
        if not asked:
            return
        self.cutoff = self.cutoff or current_cutoff()
        self.read_together([want for want in asked if want.reads.kind is UsageKind.QUANTITY])
        # What came in while the others were read is left out, as of the cut-off.
        moved = self.moved_meanwhile({want.customer_id for want in asked})
        for want in asked:
            is_alone = want.reads.kind is not UsageKind.QUANTITY
            if is_alone or is_touched(want, moved.get(want.customer_id, ())):
                self.wants[want] = self.read_alone(want)

    def read_together(self, wants: Iterable[UsageWant]) -> None:
        together: dict[tuple[int, datetime, datetime, str], list[UsageWant]] = defaultdict(list)
        for want in wants:
            together[want.meter_id, want.start, want.end, want.time_zone].append(want)
        for (meter_id, start, end, _), alike in together.items():
            found = usage_by_customer(
                meter=self.meters[meter_id],
                customers=[self.customer_of(want) for want in alike],
                start=start,
                end=end,
            )
            self.wants.update(
                (want, found[want.customer_id]) for want in alike if want.customer_id in found
            )

    def moved_meanwhile(self, customer_ids: set[int]) -> dict[int, list[datetime]]:
        """Return the days of UTC whose usage may hold more or less than the cut-off says."""
        if self.cutoff is None:
            return {}
        # What is missing below the highest batch is noted under that one when it appears.
        seen = self.cutoff.highest + (0 if self.cutoff.missing else 1)
        return days_changed_since(seen, customer_ids)

    def read_alone(self, want: UsageWant) -> Usage:
        """Return one want's usage from the raw events, as of the reader's cut-off."""
        meter, customer = self.meters[want.meter_id], self.customer_of(want)
        start, end, cutoff = want.start, want.end, self.cutoff
        if want.reads.kind is UsageKind.VALUES:
            in_order = want.reads.in_order
            return event_values(
                meter=meter,
                customer=customer,
                start=start,
                end=end,
                in_order=in_order,
                cutoff=cutoff,
            )
        if want.reads.kind is UsageKind.QUANTITIES:
            rows = usage(
                meter=meter,
                customer=customer,
                start=start,
                end=end,
                group_by=want.reads.dimensions,
                cutoff=cutoff,
            )
            return [(row.group, row.value) for row in rows]
        return usage_quantity(meter=meter, customer=customer, start=start, end=end, cutoff=cutoff)

    def customer_of(self, want: UsageWant) -> Customer:
        return in_zone(self.customers[want.customer_id], want.time_zone)

    def usage(self, want: UsageWant) -> Usage:
        found = self.wants[want]
        return Decimal(0) if found is None else found


def is_touched(want: UsageWant, days: Iterable[datetime]) -> bool:
    """Say whether one of these days of UTC may move a quantity; an earlier one may be carried in."""
    return any(day < want.end for day in days)


def in_zone(customer: Customer, time_zone: str) -> Customer:
    """Return the customer as it was when its period was cut: windows are counted in that zone."""
    if customer.time_zone == time_zone:
        return customer
    there = copy(customer)
    there.time_zone = time_zone
    return there
