"""What a meter would count, shown while staff write it."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from customers.models import Customer
from metering.models import Meter
from tests.factories import make_meter
from tests.metering.usage.stored import Use, store_batch

ADD = reverse("admin:metering_meter_add")
TRAFFIC = {
    "key": "traffic",
    "name": "Traffic",
    "unit": "bytes",
    "event_type": "api.request",
    "aggregation": "sum",
    "value_property": "bytes",
    "filters": '[{"property": "status", "op": "lt", "value": "500"}]',
    "_preview": "",
}


@pytest.fixture
def used(acme: Customer) -> Customer:
    """Return a customer with three successful requests, one without bytes, and a failed one."""
    at = timezone.now() - timedelta(hours=2)
    kinds: list[tuple[int, Any]] = [(200, 1000), (200, 500), (200, "many"), (503, 7)]
    store_batch(acme, [Use(at, {"status": status, "bytes": size}) for status, size in kinds])
    return acme


def text(response: Any) -> str:
    return " ".join(response.content.decode().split())


def test_a_new_meter_is_tried_on_recent_events(desk: Client, used: Customer) -> None:
    shown = text(desk.post(ADD, TRAFFIC))

    assert "3 of the 4 newest events of this type count; 1 of them have no value" in shown
    assert "In the last 24 hours acme used <strong>1,500</strong> bytes" in shown
    assert "This is a preview; nothing is saved yet." in shown
    assert not Meter.objects.exists()


def test_a_changed_meter_is_tried_and_stays_as_it_is(desk: Client, used: Customer) -> None:
    meter = make_meter("calls")
    change = reverse("admin:metering_meter_change", args=[meter.pk])
    form = TRAFFIC | {"aggregation": "count", "value_property": "", "filters": "[]"}

    shown = text(desk.post(change, form))

    assert "4 of the 4 newest events of this type count." in shown
    assert Meter.objects.get().name == meter.name


@pytest.mark.parametrize("wrong", [{"value_property": ""}, {"event_type": ""}, {"filters": "[1]"}])
def test_a_wrong_meter_is_told_and_not_tried(
    desk: Client, used: Customer, wrong: dict[str, str]
) -> None:
    shown = text(desk.post(ADD, TRAFFIC | wrong))

    assert 'id="preview"' not in shown
    assert not Meter.objects.exists()


def test_without_events_there_is_nothing_to_try(desk: Client, acme: Customer) -> None:
    assert "There was no event of this type." in text(desk.post(ADD, TRAFFIC))
