"""Usage for billing tests: real events through the real intake."""

from datetime import UTC, datetime, timedelta
from itertools import count

from customers.models import Customer
from customers.principals import Principal
from metering.models import IngestBatch
from metering.services.decoding import EventDocument
from metering.services.ingest import ingest_events

_ids = count(1)


def instant(text: str) -> datetime:
    """Return the instant of an ISO text; without an offset it is UTC."""
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def report_calls(customer: Customer, at: str, calls: int = 1) -> None:
    """Report so many api.request events, a microsecond apart from `at` on."""
    first = instant(at)
    documents = [
        EventDocument(
            id=f"call-{next(_ids)}",
            type="api.request",
            customer=customer.key,
            timestamp=first + timedelta(microseconds=number),
        )
        for number in range(calls)
    ]
    result = ingest_events(
        items=documents,
        principal=Principal(customer_ids=None),
        source=IngestBatch.Source.API,
        at=first + timedelta(hours=1),
        is_backfill=True,
    )
    assert result.accepted == calls
