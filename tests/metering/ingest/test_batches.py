"""What becomes of the events of a batch, and of a batch that is sent again."""

from datetime import timedelta

import pytest

from customers.models import Customer
from metering.models import Event, EventKey, IngestBatch, PendingBatch, RefusedEvent
from metering.services.decoding import EventDocument, decode_json
from metering.services.ingest import ingest_events
from tests.factories import NOW, make_customer
from tests.metering.ingest.reports import OPERATOR, counts, event, report, stored_ids

pytestmark = pytest.mark.django_db


def test_a_mixed_batch_of_a_thousand_gets_exact_counts_and_again_counts_nothing(
    acme: Customer,
) -> None:
    report(event(f"known-{number}", properties={"bytes": number}) for number in range(15))
    duplicates = [event(f"known-{number}", properties={"bytes": number}) for number in range(10)]
    conflicts = [event(f"known-{number}", properties={"bytes": 0.5}) for number in range(10, 15)]
    invalid = [event(f"bad-{number}", properties=[]) for number in range(5)]
    new = [event(f"new-{number}") for number in range(980)]
    batch = [*conflicts, *new[:500], *invalid, *duplicates, *new[500:]]

    assert counts(report(batch)) == (980, 10, 5, 5)
    assert counts(report(batch)) == (0, 990, 5, 5)
    assert Event.objects.filter(customer=acme).count() == 995


def test_errors_name_conflicts_and_rejections_by_index_in_order(acme: Customer) -> None:
    report([event("b", properties={"n": 1})])
    result = report([event("a", type=""), event("b", properties={"n": 2}), event("c"), {"id": 7}])
    errors = [(each.index, each.printable_id, each.reason.code) for each in result.errors]
    assert errors == [(0, "a", "invalid_type"), (1, "b", "conflict"), (3, "", "invalid_id")]


def test_the_first_of_two_events_with_one_id_in_a_batch_stands(acme: Customer) -> None:
    first, same, other = (event("a", properties={"n": n}) for n in (1, 1, 2))
    assert counts(report([first, same, other])) == (1, 1, 1, 0)
    assert Event.objects.get().properties == {"n": 1}


def test_repeats_in_a_batch_are_held_against_the_event_that_stands(acme: Customer) -> None:
    report([event("a", properties={"n": 1})])
    result = report([event("a", properties={"n": 2}), event("a", properties={"n": 1})])
    assert counts(result) == (0, 1, 1, 0)


def test_a_retry_without_timestamp_is_a_duplicate_however_late_it_comes(acme: Customer) -> None:
    report([event("a")])
    assert counts(report([event("a")], at=NOW + timedelta(days=3))) == (0, 1, 0, 0)
    assert Event.objects.get().timestamp == NOW


def test_the_same_instant_in_another_offset_and_other_key_order_is_the_same_event(
    acme: Customer,
) -> None:
    report([event("a", timestamp="2026-03-15T10:00:00Z", properties={"x": 1, "y": [{"b": 1}]})])
    again = event("a", timestamp="2026-03-15T12:00:00+02:00", properties={"y": [{"b": 1}], "x": 1})
    assert counts(report([again])) == (0, 1, 0, 0)


@pytest.mark.parametrize(
    ("first", "second", "is_same"),
    [
        ("5120", "5120.0", True),
        ("[0, -0.0]", "[0e3, 0]", True),
        ('{"a": 1.50}', '{"a": 0.15e1}', True),
        ("123456789012345678901234567890.10", "123456789012345678901234567890.1", True),
        ("123456789012345678901234567890.1", "123456789012345678901234567890", False),
        ("1", "true", False),
        ("1", '"1"', False),
    ],
)
def test_a_number_says_the_same_however_it_is_written(
    acme: Customer, first: str, second: str, is_same: bool
) -> None:
    body = '{"id": "a", "type": "t", "customer": "acme", "properties": {"n": %s}}'
    outcomes = []
    for text in (first, second):
        items = decode_json((body % text).encode())
        result = ingest_events(
            items=items, principal=OPERATOR, source=IngestBatch.Source.API, at=NOW
        )
        outcomes.append(counts(result))
    assert outcomes == [(1, 0, 0, 0), (0, 1, 0, 0) if is_same else (0, 0, 1, 0)]


@pytest.mark.parametrize(
    "change",
    [
        {"type": "other"},
        {"properties": {"n": 2}},
        {"properties": {}},
        {"timestamp": "2026-03-15T10:00:00.000001Z"},
    ],
)
def test_the_same_id_that_says_something_else_is_a_conflict_and_kept(
    acme: Customer, change: dict[str, object]
) -> None:
    first = event("a", timestamp="2026-03-15T10:00:00Z", properties={"n": 1})
    report([first])
    assert counts(report([first | change])) == (0, 0, 1, 0)
    kept = RefusedEvent.objects.get()
    assert (kept.kind, kept.customer, kept.event_id) == ("conflict", acme, "a")
    assert Event.objects.get().properties == {"n": 1}


def test_the_same_id_of_another_customer_is_another_event(acme: Customer) -> None:
    globex = make_customer("globex")
    assert counts(report([event("a"), event("a", customer="globex")])) == (2, 0, 0, 0)
    assert set(Event.objects.values_list("customer_id", flat=True)) == {acme.pk, globex.pk}


def test_every_accepted_event_has_one_key_and_waits_for_the_aggregator(acme: Customer) -> None:
    times = ["2026-03-15T08:00:00Z", "2026-03-14T09:30:00Z", "2026-03-15T07:00:00Z"]
    report([event(f"e{number}", timestamp=at) for number, at in enumerate(times)])
    batch, pending = IngestBatch.objects.get(), PendingBatch.objects.get()
    assert (pending.customer_id, pending.batch_id, pending.events) == (acme.pk, batch.pk, 3)
    assert pending.first_at.isoformat() == "2026-03-14T09:30:00+00:00"
    assert pending.last_at.isoformat() == "2026-03-15T08:00:00+00:00"
    digests = Event.objects.values_list("customer_id", "digest", "timestamp")
    assert set(digests) == set(EventKey.objects.values_list("customer_id", "digest", "timestamp"))


def test_a_batch_that_brings_nothing_new_leaves_nothing_for_the_aggregator(acme: Customer) -> None:
    report([event("a")])
    PendingBatch.objects.all().delete()
    report([event("a"), event("b", type="")])
    assert not PendingBatch.objects.exists()


def test_the_batch_row_keeps_what_was_answered(acme: Customer) -> None:
    report([event("a")])
    report([event("a"), event("a", type="x"), event("b"), event("c", type=5)])
    batch = IngestBatch.objects.latest("pk")
    assert (batch.accepted, batch.duplicate, batch.conflict, batch.rejected) == (1, 1, 1, 1)
    assert (batch.source, batch.received_at) == ("api", NOW)


def test_numbers_are_stored_exactly(acme: Customer) -> None:
    body = event("a", properties={"big": 12345678901234567890123, "text": 'x\\y\t\n"é😀'})
    report([body | {"type": "tab\tback\\slash"}])
    stored = Event.objects.get()
    assert stored.type == "tab\tback\\slash"
    assert stored.properties == body["properties"]


def test_an_event_the_database_refuses_is_told_apart_and_spoils_no_other(acme: Customer) -> None:
    documents = [EventDocument(id=f"e{n}", type="t", customer="acme") for n in range(9)]
    # Nothing that came through the decoder is this long.
    documents[4].type = "t" * 101
    result = ingest_events(
        items=documents, principal=OPERATOR, source=IngestBatch.Source.API, at=NOW
    )
    assert counts(result) == (8, 0, 0, 1)
    assert [(each.index, each.reason.code) for each in result.errors] == [(4, "unstorable")]
    assert stored_ids() == [f"e{n}" for n in range(9) if n != 4]


def test_nothing_at_all_is_stored_for_an_empty_batch(acme: Customer) -> None:
    assert counts(report([])) == (0, 0, 0, 0)
    assert not IngestBatch.objects.exists()
