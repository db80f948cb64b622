"""Events are voided and amended without losing what they said, and usage follows at once."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from config.errors import DomainError, InvalidInputError, NotFoundError
from customers.models import Customer
from metering.models import Correction, Event, EventKey, Meter, PendingCorrection, UsageBucket
from metering.selectors.event_versions import event_versions
from metering.selectors.events import EventFilters, event_by_id, events_page
from metering.selectors.usage import usage
from metering.services.folding import fold_pending, rebuild_usage
from metering.services.verification import verify_usage
from tests.factories import NOW, make_customer, make_meter
from tests.metering.history.corrected import END, START, amend, store, used, void
from tests.metering.ingest.reports import counts, event, report

DAY = timedelta(days=1)


@pytest.fixture
def bytes_sent(db: None) -> Meter:
    return make_meter("bytes", aggregation="sum", value_property="bytes", group_by=["endpoint"])


@pytest.fixture(params=["pending", "folded"])
def wrong(request: pytest.FixtureRequest, bytes_sent: Meter, acme: Customer) -> str:
    """An event of 5 bytes, still to be folded or folded, beside one of 100."""
    store(acme, "good", bytes=100, endpoint="a")
    store(acme, "wrong", bytes=5, endpoint="a")
    if request.param == "folded":
        fold_pending(at=NOW)
    return "wrong"


def test_a_void_event_counts_no_more_and_stays(
    acme: Customer, bytes_sent: Meter, wrong: str
) -> None:
    assert used(bytes_sent, acme) == 105
    correction = void(acme, wrong)
    assert used(bytes_sent, acme) == 100
    [version] = event_versions(customer=acme, event_id=wrong)
    assert version.voided_batch_id == correction.batch_id
    assert version.properties == {"bytes": 5, "endpoint": "a"}
    assert correction.ended_batch_id == version.batch_id
    assert (correction.new_timestamp, correction.new_properties) == (None, None)


def test_an_amended_event_counts_as_it_says_since(
    acme: Customer, bytes_sent: Meter, wrong: str
) -> None:
    correction = amend(acme, wrong, properties={"bytes": Decimal("7.50"), "endpoint": "b"})
    assert used(bytes_sent, acme) == Decimal("107.50")
    first, second = event_versions(customer=acme, event_id=wrong)
    assert first.voided_batch_id == second.batch_id == correction.batch_id
    assert (first.timestamp, first.digest) == (second.timestamp, second.digest)
    assert second.voided_batch_id is None
    correction.refresh_from_db()
    assert repr(correction.new_properties) == "{'bytes': Decimal('7.50'), 'endpoint': 'b'}"
    assert correction.old_properties == {"bytes": 5, "endpoint": "a"}


def test_roll_ups_follow_when_the_aggregator_runs(
    acme: Customer, bytes_sent: Meter, wrong: str
) -> None:
    amend(acme, wrong, properties={"bytes": 1, "endpoint": "b"}, timestamp=NOW - DAY)
    assert list(verify_usage()) == []
    fold_pending(at=NOW)
    assert not PendingCorrection.objects.exists()
    days = UsageBucket.objects.filter(grain="day").order_by("bucket_start")
    assert [(day.dimensions["endpoint"], day.total) for day in days] == [
        ("b", Decimal(1)),
        ("a", Decimal(100)),
    ]
    assert list(verify_usage()) == []


def test_usage_by_group_and_by_day_follows_at_once(
    acme: Customer, bytes_sent: Meter, wrong: str
) -> None:
    amend(acme, wrong, properties={"bytes": 1, "endpoint": "b"}, timestamp=NOW - DAY)
    rows = usage(
        meter=bytes_sent, customer=acme, start=START, end=END, window="day", group_by=["endpoint"]
    )
    found = [(row.start.date(), row.group["endpoint"], row.value) for row in rows]
    assert found == [
        ((NOW - DAY).date(), "b", Decimal(1)),
        (NOW.date(), "a", Decimal(100)),
    ]


def test_an_event_moved_by_a_microsecond_is_another_version(
    acme: Customer, bytes_sent: Meter, wrong: str
) -> None:
    amend(acme, wrong, timestamp=NOW + timedelta.resolution)
    assert used(bytes_sent, acme, end=NOW + timedelta.resolution) == 100
    assert used(bytes_sent, acme) == 105
    found = event_by_id(customer=acme, event_id=wrong)
    assert found is not None
    assert found.timestamp == NOW + timedelta.resolution


def test_a_corrected_event_is_corrected_again(
    acme: Customer, bytes_sent: Meter, wrong: str
) -> None:
    for value in (6, 7, 8):
        amend(acme, wrong, properties={"bytes": value})
        assert used(bytes_sent, acme) == 100 + value
    amend(acme, wrong, properties={"bytes": 9}, timestamp=NOW - DAY)
    amend(acme, wrong, timestamp=NOW)
    assert used(bytes_sent, acme, start=NOW) == 109
    fold_pending(at=NOW)
    void(acme, wrong)
    assert used(bytes_sent, acme) == 100
    versions = event_versions(customer=acme, event_id=wrong)
    assert [version.properties["bytes"] for version in versions] == [5, 6, 7, 8, 9, 9]
    assert all(version.voided_batch_id for version in versions)
    assert Event.objects.filter(customer=acme).count() == 7


def test_only_an_amendment_brings_a_void_event_back(
    acme: Customer, bytes_sent: Meter, wrong: str
) -> None:
    void(acme, wrong)
    with pytest.raises(DomainError, match="void already; amend it to bring it back") as refused:
        void(acme, wrong)
    assert refused.value.code == "already_void"
    correction = amend(acme, wrong, properties={"bytes": 5, "endpoint": "a"})
    assert used(bytes_sent, acme) == 105
    assert correction.ended_batch_id is None
    fold_pending(at=NOW)
    assert used(bytes_sent, acme) == 105


def test_a_repeated_report_of_a_corrected_event_counts_for_nothing(
    acme: Customer, bytes_sent: Meter
) -> None:
    sent = event("wrong", timestamp=NOW.isoformat(), properties={"bytes": 5})
    assert counts(report([sent, sent])) == (1, 1, 0, 0)
    amend(acme, "wrong", properties={"bytes": 7})
    assert counts(report([sent])) == (0, 1, 0, 0)
    void(acme, "wrong")
    assert counts(report([sent])) == (0, 1, 0, 0)
    assert counts(report([sent | {"properties": {"bytes": 7}}])) == (0, 0, 1, 0)
    assert used(bytes_sent, acme) == 0


def test_the_explorer_shows_what_counts(acme: Customer, bytes_sent: Meter, wrong: str) -> None:
    amend(acme, wrong, properties={"bytes": 7})
    shown = [each.properties["bytes"] for each in events_page(customer=acme).events]
    assert sorted(shown) == [7, 100]
    counted = events_page(customer=acme, filters=EventFilters(meter=bytes_sent))
    assert len(counted.events) == 2
    void(acme, wrong)
    assert [each.event_id for each in events_page(customer=acme).events] == ["good"]
    assert event_by_id(customer=acme, event_id=wrong) is None


def test_a_meter_filled_later_leaves_out_what_no_longer_counts(
    acme: Customer, bytes_sent: Meter, wrong: str
) -> None:
    void(acme, wrong)
    meter = make_meter(aggregation="sum", value_property="bytes", filled_at=None)
    assert used(meter, acme) == 100
    fold_pending(at=NOW)
    meter.refresh_from_db()
    assert used(meter, acme) == 100
    rebuild_usage(meter=bytes_sent, customer=acme)
    assert list(verify_usage()) == []


@pytest.mark.parametrize("event_id", ["nobody", "", "\ud800", "good"])
def test_an_event_that_is_not_the_customers_is_not_found(acme: Customer, event_id: str) -> None:
    store(acme, "good")
    stranger = make_customer()
    for correct in (void, amend):
        changes: dict[str, Any] = {} if correct is void else {"properties": {}}
        with pytest.raises(NotFoundError):
            correct(stranger, event_id, **changes)
    assert not Correction.objects.exists()


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({}, "properties", "invalid"),
        ({"properties": {"n": Decimal("NaN")}}, "properties", "invalid_number"),
        ({"properties": {"n": 10**40}}, "properties", "number_out_of_range"),
        ({"properties": {"t": "a\0b"}}, "properties", "invalid_character"),
        ({"properties": {"t": "\ud800"}}, "properties", "invalid_character"),
        ({"properties": {"t": "x" * 70_000}}, "properties", "properties_too_large"),
        ({"timestamp": NOW.replace(year=1969)}, "timestamp", "timestamp_out_of_range"),
        ({"timestamp": NOW.replace(year=2300)}, "timestamp", "timestamp_out_of_range"),
        ({"properties": {}, "reason": " "}, "reason", "invalid"),
        ({"properties": {}, "reason": "x" * 501}, "reason", "invalid"),
        ({"properties": {}, "reason": "a\0b"}, "reason", "invalid"),
    ],
)
def test_an_amendment_that_no_event_may_say_is_refused(
    acme: Customer, changes: dict[str, Any], field: str, code: str
) -> None:
    store(acme, "good", n=1)
    with pytest.raises(InvalidInputError) as refused:
        amend(acme, "good", **changes)
    assert (refused.value.field, refused.value.code) == (field, code)
    assert Event.objects.get().voided_batch_id is None


def test_an_amendment_that_changes_nothing_is_refused(acme: Customer) -> None:
    store(acme, "good", n=1)
    with pytest.raises(DomainError) as refused:
        amend(acme, "good", properties={"n": 1}, timestamp=NOW)
    assert refused.value.code == "nothing_amended"


def test_an_archived_event_is_restored_before_it_is_corrected(acme: Customer) -> None:
    store(acme, "good")
    Event.objects.filter(customer=acme).delete()
    for correct, changes in ((void, {}), (amend, {"properties": {"n": 2}})):
        with pytest.raises(DomainError, match="archived; restore that month first") as refused:
            correct(acme, "good", **changes)
        assert refused.value.code == "event_archived"
    assert EventKey.objects.get().timestamp == NOW
