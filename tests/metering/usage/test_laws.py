"""For every aggregation usage is what its definition says, whatever happened before."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from customers.models import Customer
from metering import aggregations
from metering.models import Meter
from metering.selectors.usage import UsageRow, usage, usage_by_customer, usage_quantity
from metering.services.folding import fold_pending
from metering.services.verification import verify_usage
from tests.factories import NOW, make_customer, make_meter
from tests.metering.usage.definition import (
    CARRYING,
    DEFINITIONS,
    Period,
    add,
    counted,
    inside,
    numbers,
    text_of,
    window_start,
)
from tests.metering.usage.stored import Use, store_batch
from tests.metering.usage.stories import Story, meter_fields, stories


def ask(story: Story, meter: Meter, customer: Customer, **changes: Any) -> list[UsageRow]:
    question = {
        "window": story.window,
        "zone": ZoneInfo(story.asked_zone),
        "group_by": story.group_by,
        "filters": story.only,
    }
    return usage(
        meter=meter, customer=customer, start=story.start, end=story.end, **question | changes
    )


def defined(story: Story, meter: Meter, start: datetime, end: datetime) -> dict[Any, Decimal]:
    """Return what the definition says of each group with something to aggregate."""
    period = Period(start, end, ZoneInfo(story.zone))
    uses = [use for use in counted(meter, story.uses, story.only) if use.at < end]
    if aggregations.of_meter(meter).measure(meter).reads is aggregations.Reads.TEXT:
        uses = [use for use in uses if text_of(use, meter.value_property) is not None]
    groups: dict[Any, list[Use]] = {} if story.group_by else {(): []}
    for use in uses:
        groups.setdefault(tuple(text_of(use, name) for name in story.group_by), []).append(use)
    define = DEFINITIONS[meter.aggregation]
    return {
        group: define(meter, found, period)
        for group, found in groups.items()
        if group == () or inside(found, period) or carries(meter, found, period)
    }


def carries(meter: Meter, uses: Sequence[Use], period: Period) -> bool:
    before = [use for use in uses if use.at < period.start]
    return meter.aggregation in CARRYING and add(numbers(meter, before)) != 0


def check_answer(story: Story, meter: Meter, customer: Customer) -> None:
    """Compare windows, groups and values with the definition."""
    spans = [(row.start, row.end) for row in ask(story, meter, customer, group_by=())]
    check_windows(story, spans)
    answer = {
        (row.start, tuple(row.group[name] for name in story.group_by)): row.value
        for row in ask(story, meter, customer)
    }
    assert answer == {
        (start, group): value
        for start, end in spans
        for group, value in defined(story, meter, start, end).items()
    }


def check_windows(story: Story, spans: Sequence[tuple[datetime, datetime]]) -> None:
    """Windows cover the period without a gap, and each is one window of the calendar."""
    assert (spans[0][0], spans[-1][1]) == (story.start, story.end)
    assert all(first[1] == second[0] for first, second in pairwise(spans))
    if story.window is None:
        assert len(spans) == 1
        return
    zone = ZoneInfo(story.asked_zone)
    for start, end in spans:
        begun = window_start(start, story.window, zone)
        assert begun == window_start(end - timedelta(microseconds=1), story.window, zone)
        assert start in {begun, story.start}


def check_total(story: Story, meter: Meter, customer: Customer) -> None:
    [row] = ask(story, meter, customer, window=None, group_by=(), filters={})
    period: dict[str, Any] = {"meter": meter, "start": story.start, "end": story.end}
    assert usage_quantity(customer=customer, **period) == row.value
    everybody = usage_by_customer(customers=Customer.objects.all(), **period)
    assert everybody.get(customer.pk, 0) == row.value


def store(story: Story, customer: Customer, other: Customer) -> None:
    """Store the batches, and the same events for somebody else, whose usage must not mix in."""
    for number, uses in enumerate(story.batches):
        store_batch(customer, uses)
        store_batch(other, uses)
        if number in story.folded:
            fold_pending(at=NOW)


def test_every_aggregation_is_defined() -> None:
    assert set(DEFINITIONS) == set(aggregations.REGISTRY)


@pytest.mark.parametrize("key", aggregations.REGISTRY)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(story=stories(), fields=st.data())
def test_usage_is_what_the_definition_says(
    db: None, key: str, story: Story, fields: st.DataObject
) -> None:
    meter_of = fields.draw(meter_fields(key))
    with transaction.atomic():
        meter, raw = make_meter(**meter_of), make_meter(**meter_of, filled_at=None)
        customer = make_customer(time_zone=story.zone)
        store(story, customer, make_customer(time_zone="Asia/Kathmandu"))
        for each in (meter, raw):
            check_answer(story, each, customer)
        fold_pending(at=NOW)
        for each in (meter, Meter.objects.get(pk=raw.pk)):
            check_answer(story, each, customer)
        check_total(story, meter, customer)
        assert list(verify_usage()) == []
        transaction.set_rollback(True)
