"""How customers' roll-ups are cut, and whether there are any to rely on."""

from collections.abc import Collection

from django.db.models import F, Q

from metering.models import Meter, UsageLayout
from metering.selectors.archive import stale_layouts


def layouts_of(meter: Meter, customer_ids: Collection[int]) -> dict[int, UsageLayout]:
    """Return by customer the layouts of a meter's roll-ups, of those that are complete."""
    if meter.filled_at is None:
        return {}
    found = UsageLayout.objects.filter(customer_id__in=customer_ids, meter=meter)
    return {layout.customer_id: layout for layout in found}


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
