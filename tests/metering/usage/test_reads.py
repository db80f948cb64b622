"""Single questions whose answers anybody can count."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from config.errors import InvalidInputError
from customers.models import Customer
from metering.models import Meter
from metering.selectors.usage import usage, usage_by_customer, usage_quantity
from metering.services.folding import fold_pending
from tests.factories import NOW, make_customer, make_meter
from tests.metering.usage.stored import Use, store_batch

pytestmark = pytest.mark.django_db
KATHMANDU = ZoneInfo("Asia/Kathmandu")
START, END = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def store_values(customer: Customer, *values: object) -> None:
    store_batch(customer, [Use(NOW + HOUR * hour, {"v": v}) for hour, v in enumerate(values)])
    fold_pending(at=NOW)


@pytest.mark.parametrize(
    ("aggregation", "fields", "value"),
    [
        ("count", {}, 4),
        ("sum", {"value_property": "v"}, 90),
        ("max", {"value_property": "v"}, 30),
        ("unique_count", {"value_property": "v"}, 3),
        ("peak", {"window": "day", "of": "sum", "value_property": "v"}, 90),
        ("peak", {"window": "hour", "of": "count"}, 1),
    ],
)
def test_values_10_20_30_30(
    acme: Customer, aggregation: str, fields: dict[str, str], value: int
) -> None:
    meter = make_meter(aggregation=aggregation, **fields)
    store_values(acme, 10, 20, 30, 30)
    assert usage_quantity(meter=meter, customer=acme, start=START, end=END) == value


@pytest.mark.parametrize(("window", "value"), [("minute", 2), ("hour", 3), ("day", 4)])
def test_a_peak_is_the_greatest_of_its_windows(acme: Customer, window: str, value: int) -> None:
    meter = make_meter(aggregation="peak", window=window, of="count")
    store_batch(acme, [Use(NOW + timedelta(minutes=minute)) for minute in (1, 2, 2, 70)])
    fold_pending(at=NOW)
    assert usage_quantity(meter=meter, customer=acme, start=START, end=END) == value


def test_a_user_of_ten_days_is_one_user_of_the_month(acme: Customer) -> None:
    meter = make_meter(aggregation="unique_count", value_property="user", group_by=["plan"])
    uses = [Use(START + timedelta(days=day), {"user": "u", "plan": "a"}) for day in range(10)]
    store_batch(acme, uses)
    fold_pending(at=NOW)
    store_batch(acme, uses)
    assert usage_quantity(meter=meter, customer=acme, start=START, end=END) == 1
    [row] = usage(meter=meter, customer=acme, start=START, end=END, group_by=["plan"])
    assert row.group == {"plan": "a"}
    assert row.value == 1


def test_midnight_in_kathmandu_cuts_an_hour_in_two(acme: Customer) -> None:
    meter = make_meter()
    minutes = (0, 14, 15, 59)
    store_batch(acme, [Use(datetime(2026, 3, 10, 18, m, tzinfo=UTC), {}) for m in minutes])
    fold_pending(at=NOW)
    start = datetime(2026, 3, 10, tzinfo=KATHMANDU)
    end = start + timedelta(days=3)
    rows = usage(meter=meter, customer=acme, start=start, end=end, window="day", zone=KATHMANDU)
    assert [row.value for row in rows] == [2, 2, 0]


def test_hours_of_kathmandu_begin_at_its_midnight() -> None:
    customer = make_customer(time_zone="Asia/Kathmandu")
    meter = make_meter(aggregation="peak", window="hour", of="count")
    six = datetime(2026, 3, 10, 18, tzinfo=UTC)
    store_batch(customer, [Use(six + timedelta(minutes=m)) for m in (10, 20, 50, 65, 70, 80)])
    fold_pending(at=NOW)
    assert usage_quantity(meter=meter, customer=customer, start=START, end=END) == 4


def test_dimensions_are_read_from_whole_days_and_from_events_at_the_edges(acme: Customer) -> None:
    meter = make_meter(group_by=["endpoint", "method"])
    for endpoint, day in (("a", 1), ("a", 2), ("b", 2), ("a", 3)):
        at = datetime(2026, 3, day, 12, tzinfo=UTC)
        store_batch(acme, [Use(at, {"endpoint": endpoint, "method": str(day)})])
    fold_pending(at=NOW)
    start, end = START + 6 * HOUR, START + timedelta(days=2, hours=13)
    rows = usage(meter=meter, customer=acme, start=start, end=end, group_by=["endpoint"])
    assert {row.group["endpoint"]: int(row.value) for row in rows} == {"a": 3, "b": 1}
    [row] = usage(meter=meter, customer=acme, start=start, end=end, filters={"method": "2"})
    assert row.value == 2


def test_sums_are_exact_whatever_their_size(acme: Customer) -> None:
    meter = make_meter(aggregation="sum", value_property="v")
    store_values(acme, "0.1", "0.2", "99999999999999999999999999999.9", "1e-30")
    total = usage_quantity(meter=meter, customer=acme, start=START, end=END)
    assert total == Decimal("100000000000000000000000000000.200000000000000000000000000001")


def test_everybody_is_answered_in_their_own_zone() -> None:
    customers = [make_customer(time_zone=zone) for zone in ("UTC", "Asia/Kathmandu", "UTC")]
    meter = make_meter(aggregation="peak", window="day", of="count")
    for customer in customers[:2]:
        store_batch(customer, [Use(datetime(2026, 3, 10, 18, m, tzinfo=UTC)) for m in (0, 5, 20)])
    values = usage_by_customer(meter=meter, customers=customers, start=START, end=END)
    assert values == {customers[0].pk: 3, customers[1].pk: 2}


def test_nobody_is_asked_for_nobody() -> None:
    assert usage_by_customer(meter=make_meter(), customers=[], start=START, end=END) == {}


@pytest.mark.parametrize(
    ("question", "field", "sentence"),
    [
        ({"end": START}, "end", "The end must be later"),
        ({"end": datetime(2300, 1, 1, tzinfo=UTC)}, "end", "between the years 1970 and 2200"),
        ({"window": "year"}, "window", "There is no window 'year'; use hour, day, week, month"),
        ({"window": "hour", "end": START + 10_001 * HOUR}, "window", "More than 10,000 windows"),
        ({"group_by": ["a", "a"]}, "group_by", "each named once"),
        ({"group_by": list("abcdef")}, "group_by", "at most 5"),
        ({"group_by": [""]}, "group_by", "in 1 to 100 characters"),
        ({"filters": {"a\0": "x"}}, "filter", "in 1 to 100 characters"),
        ({"filters": {"a": "\0"}}, "filter", "zero character"),
    ],
)
def test_a_question_without_an_answer_is_told_why(
    acme: Customer, question: dict[str, object], field: str, sentence: str
) -> None:
    meter = make_meter()
    arguments: dict[str, object] = {"start": START, "end": END} | question
    with pytest.raises(InvalidInputError, match=sentence) as caught:
        usage(meter=meter, customer=acme, **arguments)  # type: ignore[arg-type]
    assert caught.value.field == field


def test_an_answer_that_is_too_long_is_refused(
    acme: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metering.selectors.usage.MOST_ROWS", 3)
    meter = make_meter(group_by=["v"])
    store_values(acme, 1, 2, 3)
    assert len(usage(meter=meter, customer=acme, start=START, end=END, group_by=["v"])) == 3
    store_values(acme, 4)
    with pytest.raises(InvalidInputError, match="more than 3 rows"):
        usage(meter=meter, customer=acme, start=START, end=END, group_by=["v"])


def test_ten_thousand_windows_are_answered(acme: Customer) -> None:
    meter = make_meter()
    store_values(acme, 1, 2)
    rows = usage(meter=meter, customer=acme, start=START, end=START + 10_000 * HOUR, window="hour")
    assert len(rows) == 10_000
    assert sum(row.value for row in rows) == 2


def test_a_meter_that_is_not_filled_reads_the_events(acme: Customer) -> None:
    store_values(acme, 1, 2)
    meter = Meter.objects.get(pk=make_meter(filled_at=None).pk)
    assert usage_quantity(meter=meter, customer=acme, start=START, end=END) == 2
