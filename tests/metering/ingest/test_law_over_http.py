"""I1 through the real server: reports mixed, split, repeated and concurrent, and killed between."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from customers.models import Customer
from metering.models import Event, EventKey, PendingBatch
from tests.factories import make_customer, make_key
from tests.metering.ingest.reports import URL, counts, event
from tests.metering.ingest.servers import Sender, WebServer
from tests.metering.ingest.test_laws import CONTENTS, FAULTS

pytestmark = pytest.mark.django_db(transaction=True)

CONNECTIONS = 4
runs = count()

# An event is a number and what it says, or what is wrong with it. Each number has one content: of
# two reports at once nobody can say which is the first.
told = st.tuples(st.integers(0, 400), st.sampled_from([None, None, None, *FAULTS]))
batch = st.lists(told, min_size=1, max_size=60)
plans = st.tuples(
    st.lists(batch, min_size=6, max_size=16), st.lists(st.integers(0, 15), max_size=2)
)


@pytest.fixture
def server() -> Iterator[WebServer]:
    running = WebServer()
    yield running
    running.kill()


def document(customer: Customer, number: int, fault: dict[str, Any] | None) -> dict[str, Any]:
    says = CONTENTS[number % len(CONTENTS)] if fault is None else fault
    return event(f"e{number}", **{"customer": customer.key} | says)


def deliver(
    server: WebServer, sender: Sender, batches: list[list[dict[str, Any]]], kills: list[int]
) -> list[dict[str, Any]]:
    """Send each batch twice over several connections, killing the server at some of them."""
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        answers = []
        for number, documents in enumerate([*batches, *reversed(batches)]):
            answers.append(pool.submit(sender.send, documents))
            if number in kills:
                answers[number // 2].result()
                server.kill()
                server.start()
        return [answer.result() for answer in answers]


@given(plan=plans)
@settings(
    deadline=None, max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_happens_what_is_stored_is_the_set_of_distinct_valid_events(
    server: WebServer, plan: tuple[list[list[Any]], list[int]]
) -> None:
    sent, kills = plan
    customer = make_customer(f"c{next(runs)}")
    sender = Sender(server.port, make_key().secret, f"{URL}?backfill=true")
    batches = [[document(customer, *each) for each in one] for one in sent]
    answers = deliver(server, sender, batches, kills)

    valid = {f"e{number}": number for one in sent for number, fault in one if fault is None}
    stored = Event.objects.filter(customer=customer)
    assert sorted(each.event_id for each in stored) == sorted(valid)
    for each in stored:
        says = CONTENTS[valid[each.event_id] % len(CONTENTS)]
        assert (each.type, each.properties) == (
            says.get("type", "api.request"), says.get("properties", {}),
        )  # fmt: skip
    assert EventKey.objects.filter(customer=customer).count() == len(valid)
    pending = PendingBatch.objects.filter(customer=customer).values_list("events", flat=True)
    assert sum(pending) == len(valid)
    assert sum(counts(answer)[2] for answer in answers) == 0
    assert sum(counts(answer)[0] for answer in answers) <= len(valid)
