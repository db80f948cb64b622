"""Lines of documents that are not on a document yet."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from billing.models import InvoiceLine, OneOffCharge, Price, Subscription, SubscriptionPeriod

ZERO = Decimal(0)


@dataclass(slots=True)
class StatementLine:
    """A document's line that is not on a document yet; the names are those of DocumentLine."""

    kind: str
    price: str
    meter: str
    description: str
    quantity: Decimal
    amount: Decimal
    period_start: datetime
    period_end: datetime
    document: dict[str, Any]
    steps: list[dict[str, Any]]
    billed_quantity: Decimal | None = None
    subscription: Subscription | None = None
    billing_period: SubscriptionPeriod | None = None
    billed_price: Price | None = None
    part: int = 0
    original: InvoiceLine | None = None
    one_off: OneOffCharge | None = None
    discount: Decimal = ZERO
