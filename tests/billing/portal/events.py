"""Events with properties, through the real intake."""

from itertools import count

from customers.models import Customer
from customers.principals import Principal
from metering.models import IngestBatch
from metering.services.decoding import EventDocument
from metering.services.ingest import ingest_events
from tests.billing.usage import instant

_ids = count(1)


def report(customer: Customer, at: str, times: int = 1, **properties: object) -> None:
    """Report so many api.request events at the instant `at`, all with these properties."""
    events = [
        EventDocument(
            id=f"event-{next(_ids)}",
            type="api.request",
            customer=customer.key,
            timestamp=instant(at),
            properties=properties,
        )
        for _ in range(times)
    ]
    result = ingest_events(
        items=events,
        principal=Principal(customer_ids=None),
        source=IngestBatch.Source.API,
        at=instant(at),
        is_backfill=True,
    )
    assert result.accepted == times
