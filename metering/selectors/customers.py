"""Customers as events and logs name them."""

from collections.abc import Collection

from customers.models import Customer
from customers.principals import Principal
from metering.filters import is_storable


def ids_by_key(principal: Principal, keys: Collection[str]) -> dict[str, int]:
    """Return the ids of those of the customers with these keys that `principal` may see.

    The keys may be any text.
    """
    possible = [key for key in keys if is_storable(key)]
    if not possible:
        return {}
    customers = Customer.objects.visible_to(principal).filter(key__in=possible)
    return dict(customers.values_list("key", "pk"))


def keys_by_id(customer_ids: Collection[int]) -> dict[int, str]:
    return dict(Customer.objects.filter(pk__in=customer_ids).values_list("pk", "key"))


def ids_of_all(keys: Collection[str]) -> dict[str, int]:
    """Return the ids of the customers with these keys, for work on behalf of the operator."""
    return ids_by_key(Principal(customer_ids=None), keys)
