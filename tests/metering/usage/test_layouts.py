"""Roll-ups are cut in the customer's zone, and readers notice when they are cut anew."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from customers.models import Customer
from metering.models import Meter, UsageLayout
from metering.selectors.layouts import cut_alike, layout_of
from metering.selectors.usage import usage, usage_quantity
from metering.selectors.usage_plan import Question, plan_reading
from metering.services.folding import fold_pending, rebuild_usage
from metering.services.verification import verify_usage
from tests.factories import NOW, make_customer, make_meter
from tests.metering.usage.stored import Use, store_batch

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture
def nepal() -> Customer:
    return make_customer("nepal", time_zone="Asia/Kathmandu")


def store_days(customer: Customer) -> None:
    start = datetime(2026, 3, 9, 18, 30, tzinfo=UTC)
    store_batch(customer, [Use(start + DAY * day, {"endpoint": "a"}) for day in range(5)])
    fold_pending(at=NOW)


def days_of(meter: Meter, customer: Customer) -> list[int]:
    start = datetime(2026, 3, 10, tzinfo=customer.zone)
    period: dict[str, Any] = {"start": start, "end": start + 5 * DAY, "window": "day"}
    return [int(row.value) for row in usage(meter=meter, customer=customer, **period)]


def plan(meter: Meter, customer: Customer, **question: Any) -> Any:
    starts = [datetime(2026, 3, day, tzinfo=customer.zone) for day in range(10, 15)]
    layout = layout_of(meter, customer)
    asked: dict[str, Any] = {
        "starts": starts,
        "end": starts[-1] + DAY,
        "limit": 1,
        "layout": layout,
    } | question
    return plan_reading(Question(meter, [customer.pk], zone=customer.zone, **asked))


@pytest.mark.parametrize("question", [{}, {"group_by": ["endpoint"]}])
def test_days_of_nepal_are_read_from_roll_ups_alone(
    nepal: Customer, question: dict[str, Any]
) -> None:
    meter = make_meter(group_by=["endpoint"])
    store_days(nepal)
    planned = plan(meter, nepal, **question)
    assert planned.raw == []
    assert [stretch.grain for stretch in planned.stretches] == ["day" if question else "hour"]
    assert days_of(meter, nepal) == [1, 1, 1, 1, 1]


def test_hours_of_a_peak_in_nepal_are_read_from_roll_ups_alone(nepal: Customer) -> None:
    meter = make_meter(aggregation="peak", window="hour", of="count")
    store_days(nepal)
    assert plan(meter, nepal).raw == []


def test_a_customer_who_moves_gets_buckets_of_the_new_zone(nepal: Customer) -> None:
    meter = make_meter(group_by=["endpoint"])
    store_days(nepal)
    Customer.objects.filter(pk=nepal.pk).update(time_zone="Europe/Paris")
    moved = Customer.objects.get(pk=nepal.pk)
    assert days_of(meter, moved) == [1, 1, 1, 1, 0]
    fold_pending(at=NOW)
    assert UsageLayout.objects.get(customer=moved).time_zone == "Europe/Paris"
    assert plan(meter, moved, group_by=["endpoint"]).raw == []
    assert days_of(meter, moved) == [1, 1, 1, 1, 0]
    assert list(verify_usage()) == []


def test_a_reader_asks_again_when_buckets_were_cut_anew_meanwhile(
    nepal: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    meter = make_meter()
    store_days(nepal)
    name = "metering.selectors.usage.cut_alike"

    def look_then_move(meter: Meter, customer_ids: Any) -> Any:
        found = cut_alike(meter, customer_ids)
        monkeypatch.setattr(name, cut_alike)
        Customer.objects.filter(pk=nepal.pk).update(time_zone="Europe/Paris")
        rebuild_usage(meter=meter, customer=Customer.objects.get(pk=nepal.pk))
        return found

    monkeypatch.setattr(name, look_then_move)
    start = datetime(2026, 3, 9, 18, 15, tzinfo=UTC)
    period: dict[str, Any] = {"start": start, "end": start + timedelta(minutes=45)}
    assert usage_quantity(meter=meter, customer=nepal, **period) == 1


def test_a_customer_who_comes_after_the_filling_has_roll_ups_at_once(nepal: Customer) -> None:
    meter = make_meter()
    store_days(nepal)
    late = make_customer("late")
    store_batch(late, [Use(NOW)])
    fold_pending(at=NOW)
    assert {layout.customer_id for each in (nepal, late) if (layout := layout_of(meter, each))} == {
        nepal.pk,
        late.pk,
    }
    assert list(verify_usage()) == []


def test_folding_leaves_meters_of_other_types_alone(nepal: Customer) -> None:
    make_meter("calls")
    make_meter("others", event_type="other")
    store_days(nepal)
    with CaptureQueriesContext(connection) as queries:
        store_days(nepal)
    written = [query for query in queries if "INSERT INTO metering_usagebucket" in query["sql"]]
    assert len(written) == 1
