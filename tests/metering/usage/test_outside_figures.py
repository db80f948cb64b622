"""Figures that others published or worked out by hand, through the HTTP API."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from customers.models import Customer
from metering.services.folding import fold_pending
from tests.factories import NOW

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
NUMBERS = {"event_type": "sample", "value_property": "v"}


def make(operator: APIClient, aggregation: str, **fields: Any) -> None:
    document = {"key": "m", "name": "M", "aggregation": aggregation} | fields
    response = operator.post(
        "/api/v1/meters", json.dumps(document), content_type="application/json"
    )
    assert response.status_code == 201, response.json()


def report(operator: APIClient, values: dict[datetime, Any]) -> None:
    events = [
        {"id": f"e{n}", "type": "sample", "customer": "acme", "timestamp": at.isoformat()}
        | {"properties": {"v": value}}
        for n, (at, value) in enumerate(values.items())
    ]
    response = operator.post(
        "/api/v1/events?backfill=true", json.dumps(events), content_type="application/json"
    )
    assert response.json()["accepted"] == len(events)


def value(operator: APIClient, start: datetime, end: datetime) -> str:
    query: dict[str, Any] = {"meter": "m", "customer": "acme", "start": start, "end": end}
    [row] = operator.get("/api/v1/usage", query).json()["data"]
    answer: str = row["value"]
    return answer


@pytest.mark.parametrize("is_folded", [False, True])
def test_a_level_is_weighted_by_how_long_it_stood(
    operator: APIClient, acme: Customer, is_folded: bool
) -> None:
    make(operator, "weighted_sum", **NUMBERS)
    report(operator, {MARCH.replace(day=16): 20, MARCH.replace(day=17): 10})
    if is_folded:
        fold_pending(at=NOW)
    answer = value(operator, MARCH, MARCH.replace(month=4))
    assert answer == "15.161290322580645"
    assert value(operator, MARCH.replace(month=4), MARCH.replace(month=5)) == "30"


@pytest.mark.parametrize("is_folded", [False, True])
@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [
        ("count", "4"),
        ("sum", "90"),
        ("min", "10"),
        ("max", "30"),
        ("unique_count", "3"),
        ("latest", "30"),
        ("running_peak", "90"),
    ],
)
def test_values_10_20_30_30(
    operator: APIClient, acme: Customer, aggregation: str, expected: str, is_folded: bool
) -> None:
    fields = NUMBERS | ({"value_property": None} if aggregation == "count" else {})
    make(operator, aggregation, **fields)
    report(operator, {MARCH + timedelta(days=n): v for n, v in enumerate((10, 20, 30, 30))})
    if is_folded:
        fold_pending(at=NOW)
    assert value(operator, MARCH, MARCH.replace(month=4)) == expected


@pytest.mark.parametrize("is_folded", [False, True])
def test_the_95th_percentile_of_five_minute_samples(
    operator: APIClient, acme: Customer, is_folded: bool
) -> None:
    make(operator, "percentile", percentile="95", window="5minute", of="sum", **NUMBERS)
    report(operator, {MARCH + timedelta(minutes=5 * n): n + 1 for n in range(8640)})
    if is_folded:
        fold_pending(at=NOW)
    assert value(operator, MARCH, MARCH + timedelta(days=30)) == "8208"
