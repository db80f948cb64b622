"""How customers' roll-ups are cut, and whether there are any to rely on."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import F, Q

from customers.models import Customer
from metering.models import Meter, UsageLayout
from metering.selectors.archive import stale_layouts


def layout_of(meter: Meter, customer: Customer) -> UsageLayout | None:
    """Return the layout of a customer's roll-ups of a meter, if they are complete."""
    if meter.filled_at is None:
        return None
    return UsageLayout.objects.filter(customer_id=customer.pk, meter=meter).first()


@dataclass(frozen=True, slots=True)
class CutAlike:
    """Customers whose roll-ups of a meter are cut alike: `layout` says how, of no one of them."""

    layout: UsageLayout | None
    customer_ids: Sequence[int]
    revisions: Sequence[UUID]


def cut_alike(meter: Meter, customer_ids: Collection[int]) -> list[CutAlike]:
    """Return customers by the layout of a meter's roll-ups, those last who have none to rely on."""
    found: list[CutAlike] = []
    if meter.filled_at is not None:
        of_meter = UsageLayout.objects.filter(customer_id__any=customer_ids, meter=meter)
        alike = of_meter.values("time_zone", "kept", "lacks").annotate(
            customer_ids=ArrayAgg("customer_id"), revisions=ArrayAgg("revision")
        )
        for row in alike.order_by():
            layout = UsageLayout(
                meter=meter, time_zone=row["time_zone"], kept=row["kept"], lacks=row["lacks"]
            )
            found.append(CutAlike(layout, row["customer_ids"], row["revisions"]))
    others = set(customer_ids).difference(*(each.customer_ids for each in found))
    return [*found, CutAlike(None, sorted(others), [])] if others else found


def layouts_for(customer_id: int) -> dict[int, UsageLayout]:
    """Return a customer's layouts by meter."""
    found = UsageLayout.objects.filter(customer_id=customer_id)
    return {layout.meter_id: layout for layout in found}


def outdated_layouts() -> list[UsageLayout]:
    """Return the layouts that the aggregator is to make anew.

    They are in another time zone than the customer's, or lack months that were restored.
    """
    zone_is_other = ~Q(time_zone=F("customer__time_zone"))
    layouts = UsageLayout.objects.filter(zone_is_other | ~Q(lacks=[]))
    layouts = layouts.select_related("customer", "meter").order_by("customer_id", "meter_id")
    return stale_layouts(list(layouts))
