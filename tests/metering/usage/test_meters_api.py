"""/api/v1/meters, and the service behind it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from config.errors import DomainError
from customers.models import Customer
from metering.models import Meter
from metering.selectors.usage import usage_quantity
from metering.services.folding import fold_pending
from metering.services.meters import update_meter
from metering.tasks import fill_meter
from tests.factories import NOW, make_key, make_meter
from tests.metering.usage.stored import Use, store_batch

URL = "/api/v1/meters"
CALLS = {
    "key": "calls",
    "name": "Calls",
    "event_type": "api.request",
    "aggregation": "count",
    "value_property": None,
    "filters": [{"property": "status", "op": "lt", "value": "500"}],
    "group_by": ["endpoint", "method"],
    "window": None,
    "of": None,
    "percentile": None,
}
PERCENTILE = {"aggregation": "percentile", "window": "hour", "of": "count", "percentile": "95"}
PEAK = {"aggregation": "peak", "window": "hour", "of": "count"}


def post(client: APIClient, **fields: Any) -> Any:
    return client.post(URL, json.dumps(CALLS | fields), content_type="application/json")


def test_a_meter_is_made_and_read_back_as_it_was_written(operator: APIClient) -> None:
    response = post(operator)
    assert response.status_code == 201
    document = operator.get(f"{URL}/calls").json()
    assert {name: document[name] for name in CALLS} == CALLS
    assert document == response.json()
    assert operator.get(URL).json() == {"next": None, "results": [document]}


@pytest.mark.parametrize(
    ("fields", "field", "sentence"),
    [
        ({"aggregation": "avg"}, "aggregation", "'avg' is none of count, sum, unique_count"),
        ({"aggregation": "\ud800"}, "aggregation", "half of a surrogate pair"),
        ({"aggregation": "sum"}, "value_property", "Sum needs the event property to read"),
        ({"value_property": "bytes"}, "value_property", "Count takes no value_property"),
        ({"window": "day"}, "window", "Count takes no window"),
        ({"of": "sum"}, "of", "Count takes no of"),
        ({"percentile": "95"}, "percentile", "Count takes no percentile"),
        (PERCENTILE | {"percentile": None}, "percentile", "needs the percentile to take"),
        (PERCENTILE | {"percentile": "100.5"}, "percentile", "greater than 0 and at most 100"),
        (PERCENTILE | {"percentile": "-1"}, "percentile", "greater than 0 and at most 100"),
        (PERCENTILE | {"percentile": "many"}, "percentile", "valid number"),
        (PERCENTILE | {"window": None}, "window", "Percentile needs a window"),
        ({"aggregation": "peak", "of": "count"}, "window", "Peak needs a window"),
        (PEAK | {"of": None}, "of", "Peak needs what to measure in each window"),
        (PEAK | {"of": "sum"}, "value_property", "Peak needs the event property"),
        (PEAK | {"of": "max"}, "of", "'max' is none of count, sum"),
        (PEAK | {"value_property": "x"}, "value_property", "Peak takes no value_property"),
        (PEAK | {"window": "week"}, "window", "is none of minute, 5minute, hour, day"),
        ({"filters": {}}, "filters", "a list of conditions"),
        ({"filters": [{}]}, "filters.0", "A filter has property, op and value"),
        ({"filters": ["x"]}, "filters.0", "A filter has property, op and value"),
        ({"group_by": ["a", "a"]}, "group_by", "each named once"),
        ({"group_by": list("abcdef")}, "group_by", "at most 5"),
        ({"key": "a b"}, "key", "A key is 1 to 100 letters"),
        ({"name": ""}, "name", "may not be blank"),
        ({"event_type": ""}, "event_type", "may not be blank"),
        ({"colour": "red"}, "colour", "There is no such field"),
    ],
)
def test_a_wrong_meter_is_422_with_a_sentence(
    operator: APIClient, fields: dict[str, Any], field: str, sentence: str
) -> None:
    response = post(operator, **fields)
    error = response.json()["error"]
    assert response.status_code == 422, error
    assert sentence in error["message"]
    assert field in error["details"]
    assert not Meter.objects.exists()


@pytest.mark.parametrize(
    ("path", "condition"),
    [
        ("property", {"property": "", "op": "eq", "value": "a"}),
        ("property", {"property": "a\0", "op": "eq", "value": "a"}),
        ("property", {"property": 5, "op": "eq", "value": "a"}),
        ("op", {"property": "a", "op": "like", "value": "a"}),
        ("op", {"property": "a", "op": [], "value": "a"}),
        ("value", {"property": "a", "op": "eq", "value": None}),
        ("value", {"property": "a", "op": "eq", "value": "\0"}),
        ("value", {"property": "a", "op": "eq", "value": "\ud800"}),
        ("value", {"property": "a", "op": "eq", "value": 0.5}),
        ("value", {"property": "a", "op": "in", "value": "a"}),
        ("value", {"property": "a", "op": "in", "value": []}),
        ("value", {"property": "a", "op": "exists", "value": "yes"}),
        ("value", {"property": "a", "op": "lt", "value": "many"}),
        ("value", {"property": "a", "op": "lt", "value": True}),
    ],
)
def test_a_wrong_filter_is_named_by_its_path(
    operator: APIClient, path: str, condition: dict[str, Any]
) -> None:
    good = CALLS["filters"]
    assert isinstance(good, list)
    response = post(operator, filters=[*good, condition])
    assert response.status_code == 422
    assert list(response.json()["error"]["details"]) == [f"filters.1.{path}"]


def test_a_percentile_is_read_back_as_a_decimal_text(operator: APIClient) -> None:
    document = post(operator, **PERCENTILE | {"percentile": "99.90"}).json()
    assert (document["percentile"], document["window"]) == ("99.9", "hour")


def test_a_taken_key_is_a_conflict(operator: APIClient) -> None:
    post(operator)
    response = post(operator)
    assert response.status_code == 409
    assert response.json()["error"]["code"] == "already_exists"


def test_a_new_meter_counts_older_events_too(
    operator: APIClient, acme: Customer, django_capture_on_commit_callbacks: Any
) -> None:
    store_batch(acme, [Use(NOW, {"status": status}) for status in (200, 404, 500, None)])
    fold_pending(at=NOW)
    with django_capture_on_commit_callbacks() as queued:
        post(operator)
    meter = Meter.objects.get()
    assert len(queued) == 1
    assert meter.filled_at is None
    fill_meter(meter.pk)
    filled = Meter.objects.get()
    assert filled.filled_at is not None
    for each in (meter, filled):
        assert usage_quantity(meter=each, customer=acme, start=NOW, end=filled.filled_at) == 2


def test_a_meter_without_usage_may_be_redefined(
    operator: APIClient, acme: Customer, django_capture_on_commit_callbacks: Any
) -> None:
    make_meter("calls")
    store_batch(acme, [Use(NOW, type="other")])
    with django_capture_on_commit_callbacks() as queued:
        response = operator.patch(f"{URL}/calls", {"event_type": "other"}, format="json")
    assert response.json()["event_type"] == "other"
    assert len(queued) == 1
    assert Meter.objects.get().filled_at is None


@pytest.mark.parametrize("is_folded", [False, True])
def test_a_meter_with_usage_gets_a_next_version(
    operator: APIClient, acme: Customer, is_folded: bool
) -> None:
    first = make_meter("calls")
    store_batch(acme, [Use(NOW)])
    if is_folded:
        fold_pending(at=NOW)
    changes = {"group_by": ["endpoint"], "name": "Requests"}
    document = operator.patch(f"{URL}/calls", changes, format="json").json()
    assert (document["version"], document["group_by"]) == (2, ["endpoint"])
    assert operator.get(f"{URL}/calls").json() == document
    assert operator.get(URL).json()["results"] == [document]
    first.refresh_from_db()
    assert (first.name, first.group_by, first.superseded_at is None) == ("Calls", [], False)


def test_both_versions_go_on_counting(operator: APIClient, acme: Customer) -> None:
    first = make_meter("calls")
    store_batch(acme, [Use(NOW)])
    operator.patch(f"{URL}/calls", {"event_type": "other"}, format="json")
    fold_pending(at=NOW)
    store_batch(acme, [Use(NOW), Use(NOW, type="other")])
    fold_pending(at=NOW)
    second = Meter.objects.current().get()
    period: dict[str, Any] = {"customer": acme, "start": NOW, "end": second.created_at}
    assert usage_quantity(meter=Meter.objects.get(pk=first.pk), **period) == 2
    assert usage_quantity(meter=second, **period) == 1
    asked: dict[str, Any] = {
        "meter": "calls",
        "customer": "acme",
        "start": NOW,
        "end": second.created_at,
    }
    assert operator.get("/api/v1/usage", asked).json()["data"][0]["value"] == "1"


def test_name_and_unit_of_a_used_meter_change_in_place(operator: APIClient, acme: Customer) -> None:
    make_meter("calls")
    store_batch(acme, [Use(NOW)])
    renamed = {"name": "Requests", "unit": "requests", "event_type": "api.request"}
    document = operator.patch(f"{URL}/calls", renamed, format="json").json()
    assert (document["version"], document["unit"]) == (1, "requests")
    assert Meter.objects.get().filled_at is not None


def test_a_meter_being_filled_gets_a_next_version(operator: APIClient) -> None:
    make_meter("calls", filled_at=None)
    response = operator.patch(f"{URL}/calls", {"event_type": "other"}, format="json")
    assert response.json()["version"] == 2


def test_a_wrong_next_version_changes_nothing(operator: APIClient, acme: Customer) -> None:
    make_meter("calls")
    store_batch(acme, [Use(NOW)])
    response = operator.patch(f"{URL}/calls", {"aggregation": "sum"}, format="json")
    assert (response.status_code, Meter.objects.get().superseded_at) == (422, None)


def test_an_older_version_is_not_changed(acme: Customer) -> None:
    first = make_meter("calls")
    store_batch(acme, [Use(NOW)])
    update_meter(meter=first, at=NOW, event_type="other")
    with pytest.raises(DomainError, match="not the newest version of the meter 'calls'"):
        update_meter(meter=first, at=NOW, event_type="third")


def test_a_key_never_changes(operator: APIClient) -> None:
    make_meter("calls")
    response = operator.patch(f"{URL}/calls", {"key": "other"}, format="json")
    assert response.status_code == 422
    assert "never changes" in response.json()["error"]["message"]


def test_customers_read_meters_and_change_none(
    acme: Customer, api: Callable[[str], APIClient]
) -> None:
    make_meter("calls")
    client = api(make_key(acme).secret)
    assert client.get(f"{URL}/calls").status_code == 200
    assert client.get(f"{URL}/none").status_code == 404
    assert client.patch(f"{URL}/calls", {"name": "Mine"}, format="json").status_code == 403
    assert post(client).status_code == 403
