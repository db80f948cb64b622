"""Events that a test corrects, and who corrects them."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection

from customers.models import Customer
from customers.principals import Principal, Scope
from metering.models import Correction, Meter
from metering.selectors.usage import usage_quantity
from metering.services.corrections import amend_event, void_event
from tests.factories import NOW
from tests.metering.ingest.reports import event, report

STAFF = Principal(customer_ids=None, scopes=frozenset({Scope.ADMIN}))
START, END = NOW - timedelta(days=30), NOW + timedelta(days=30)


def store(customer: Customer, event_id: str, at: datetime = NOW, /, **properties: Any) -> None:
    """Report one event of the type that meters of the factories count."""
    fields = {"timestamp": at.isoformat(), "properties": properties}
    report([event(event_id, customer=customer.key, **fields)], is_backfill=True)


def void(customer: Customer, event_id: str, **changes: Any) -> Correction:
    asked: dict[str, Any] = {"reason": "A test call.", "principal": STAFF, "at": NOW}
    return void_event(customer=customer, event_id=event_id, **asked | changes)


def amend(customer: Customer, event_id: str, **changes: Any) -> Correction:
    asked: dict[str, Any] = {"reason": "Measured wrong.", "principal": STAFF, "at": NOW}
    return amend_event(customer=customer, event_id=event_id, **asked | changes)


def used(meter: Meter, customer: Customer, start: datetime = START, end: datetime = END) -> Decimal:
    return usage_quantity(meter=meter, customer=customer, start=start, end=end)


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Run each in a thread with a connection of its own; return their results."""

    def run(call: Callable[[], Any]) -> Any:
        try:
            return call()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(run, call) for call in calls]]
