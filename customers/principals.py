"""Who is asking: the one value that every tenancy decision is made from."""

from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """What an API key may do. `admin` includes all others."""

    EVENTS_WRITE = "events:write"
    USAGE_READ = "usage:read"
    BILLING_READ = "billing:read"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller, and the customers whose objects it may see.

    `customer_ids` is None for staff and operator keys, who see every customer; `event_types` is
    None for whoever may report events of every type.
    """

    customer_ids: frozenset[int] | None
    scopes: frozenset[Scope] = frozenset()
    api_key_id: int | None = None
    user_id: int | None = None
    event_types: frozenset[str] | None = None

    @property
    def sees_all_customers(self) -> bool:
        return self.customer_ids is None

    def has_scope(self, scope: Scope) -> bool:
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def sees(self, customer_id: int) -> bool:
        return self.customer_ids is None or customer_id in self.customer_ids
