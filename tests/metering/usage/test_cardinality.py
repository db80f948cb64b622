"""A dimension with too many values is capped: totals stay exact, and so does every exact question."""

from datetime import timedelta
from typing import Any

import pytest

from customers.models import Customer
from metering.models import Meter, UsageBucket, UsageLayout
from metering.selectors import cardinality
from metering.selectors.cardinality import capped_dimensions
from metering.selectors.usage import usage
from metering.services.folding import fold_pending, rebuild_usage
from metering.services.verification import verify_usage
from tests.factories import NOW, make_meter
from tests.metering.usage.stored import Use, store_batch

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture
def crowded(acme: Customer, monkeypatch: pytest.MonkeyPatch) -> Meter:
    """Return a meter of acme with six endpoints in a day, where five are too many to keep apart."""
    monkeypatch.setattr(cardinality, "MOST_VALUES", 5)
    monkeypatch.setattr(cardinality, "KEPT_VALUES", 2)
    meter = make_meter("calls", group_by=["endpoint", "method"])
    for number in range(6):
        store_batch(acme, [Use(NOW, {"endpoint": f"/{number}"})] * (number + 1))
    fold_pending(at=NOW)
    return meter


def groups(meter: Meter, customer: Customer, **question: Any) -> dict[str | None, int]:
    period = {"start": NOW - 3 * DAY, "end": NOW + 3 * DAY}
    asked: dict[str, Any] = period | {"group_by": ["endpoint"]} | question
    rows = usage(meter=meter, customer=customer, **asked)
    return {row.group.get("endpoint"): int(row.value) for row in rows}


def test_the_greatest_values_are_kept_and_the_rest_is_other(crowded: Meter, acme: Customer) -> None:
    assert groups(crowded, acme, takes_others=True) == {"/5": 6, "/4": 5, "other": 10}
    assert groups(crowded, acme, group_by=[]) == {None: 21}
    assert UsageBucket.objects.exclude(dimensions={}).count() == 3
    assert capped_dimensions(crowded, acme) == ["endpoint"]
    assert list(verify_usage()) == []


def test_whoever_asks_exactly_is_answered_from_the_events(crowded: Meter, acme: Customer) -> None:
    assert groups(crowded, acme) == {f"/{number}": number + 1 for number in range(6)}
    for endpoint, calls in (("/5", 6), ("/1", 2), ("other", 0)):
        assert groups(crowded, acme, group_by=[], filters={"endpoint": endpoint}) == {None: calls}


def test_what_comes_later_is_mapped_alike_folded_or_not(crowded: Meter, acme: Customer) -> None:
    store_batch(acme, [Use(NOW, {"endpoint": "/9"}), Use(NOW, {"endpoint": "/5"}), Use(NOW)])
    expected = {"/5": 7, "/4": 5, "other": 11, None: 1}
    assert groups(crowded, acme, takes_others=True) == expected
    fold_pending(at=NOW)
    assert groups(crowded, acme, takes_others=True) == expected
    assert list(verify_usage()) == []


def test_what_was_kept_stays_when_roll_ups_are_made_anew(crowded: Meter, acme: Customer) -> None:
    rebuild_usage(meter=crowded, customer=acme)
    assert UsageLayout.objects.get().kept == {"endpoint": ["/5", "/4"]}
    assert list(verify_usage()) == []


def test_a_dimension_with_few_values_is_not_capped(acme: Customer) -> None:
    meter = make_meter("calls", group_by=["endpoint"])
    store_batch(acme, [Use(NOW, {"endpoint": f"/{number}"}) for number in range(6)])
    fold_pending(at=NOW)
    assert capped_dimensions(meter, acme) == []
    assert len(groups(meter, acme, takes_others=True)) == 6
