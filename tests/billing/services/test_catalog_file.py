"""The catalogue as code: all of it or nothing, the difference first, every mistake by its path."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from django.db import connection

from billing.models import Plan, PlanVersion
from billing.rating.price_models import PRICE_MODELS
from billing.rating.prices import parse_price
from billing.services.catalog import create_plan, draft_plan, publish_new_version
from billing.services.catalog_file.applying import (
    CatalogRefusedError,
    apply_catalog,
    export_catalog,
)
from billing.services.catalog_file.brevity import brief_document
from billing.services.catalog_file.differences import differences, price_list
from billing.services.catalog_file.sections import Change
from billing.services.catalog_file.yaml_text import read_yaml, write_yaml
from config.errors import InvalidInputError
from customers.models import Customer
from metering.models import Meter
from tests.billing.plans import CALLS, FEE, publish_plan
from tests.billing.rating.golden import GOLDEN_CASES
from tests.factories import NOW

CATALOG = """
meters:
  - {key: calls, name: API calls, event_type: api.request, aggregation: count, group_by: [endpoint]}
plans:
  - key: pro
    name: Pro
    grace_hours: 48
    prices:
      - {key: base, name: Base fee, model: flat, amount: 31}
      - key: calls
        meter: calls
        model: graduated
        tiers: [{up_to: 10, unit_amount: 0.020}, {up_to: null, unit_amount: 0.01}]
  - key: pro
    name: Pro
    currency: EUR
    prices: [{key: base, model: flat, amount: "29.50"}]
"""

pytestmark = pytest.mark.django_db


def apply(text: str = CATALOG, **options: Any) -> list[Change]:
    announced: list[Change] = []

    def announce(changes: Sequence[Change]) -> None:
        announced.extend(changes)

    apply_catalog(document=read_yaml(text), at=NOW, announce=announce, **options)
    return announced


def problems(text: str, **options: Any) -> dict[str, str]:
    before = (Meter.objects.count(), PlanVersion.objects.count())
    with pytest.raises(CatalogRefusedError) as refused:
        apply(text, **options)
    assert (Meter.objects.count(), PlanVersion.objects.count()) == before
    return dict(refused.value.problems)


def outcomes(changes: list[Change]) -> list[str]:
    return [change.outcome for change in changes]


def test_a_catalogue_makes_what_it_describes() -> None:
    assert outcomes(apply()) == ["created"] * 3
    dollars = Plan.objects.get(key="pro").current_version("USD")
    assert dollars is not None
    assert (dollars.grace_hours, dollars.published_at) == (48, NOW)
    document = dollars.prices.get(key="calls").document
    assert document["tiers"][0]["unit_amount"] == "0.020"
    assert Meter.objects.get().group_by == ["endpoint"]


def test_the_second_time_nothing_changes() -> None:
    apply()
    assert outcomes(apply()) == ["unchanged"] * 3
    assert PlanVersion.objects.count() == 2


def test_a_dry_run_shows_all_and_changes_nothing() -> None:
    assert outcomes(apply(dry_run=True)) == ["created"] * 3
    assert not Plan.objects.exists()
    assert not Meter.objects.exists()


def test_a_change_of_what_is_published_is_refused_and_a_version_offered() -> None:
    apply()
    found = problems(CATALOG.replace("0.01}", "0.005}"))
    assert list(found) == ["plans.0"]
    assert "Apply with --new-versions to publish version 3" in found["plans.0"]


def test_the_next_version_is_published_when_asked_for() -> None:
    apply()
    changes = apply(CATALOG.replace("0.01}", "0.005}"), new_versions=True)
    assert outcomes(changes) == ["unchanged", "changed", "unchanged"]
    assert changes[1].differences == ("prices.calls.tiers.1.unit_amount: 0.01 -> 0.005",)
    assert changes[1].note == "version 3 follows version 1"
    assert PlanVersion.objects.get(number=1).prices.count() == 2


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        ("grace_hours: 48", "trial_days: 0", ["grace_hours: 48 -> 24"]),
        ("amount: 31", "amount: 31, proration: none", ["prices.base.proration: day -> none"]),
        ("name: Base fee, ", "", ["prices.base.name: Base fee -> base"]),
        (
            "- {key: base, name: Base fee, model: flat, amount: 31}\n      - key: calls",
            "- key: calls",
            ["prices.base.model: flat -> nothing", "prices: base, calls -> calls"],
        ),
    ],
)
def test_differences_are_told_value_by_value(old: str, new: str, lines: list[str]) -> None:
    apply()
    assert old in CATALOG
    changed = apply(CATALOG.replace(old, new, 1), new_versions=True)[1]
    assert set(lines) <= set(changed.differences)


def test_a_number_written_otherwise_is_no_difference() -> None:
    apply()
    same = CATALOG.replace("amount: 31", 'amount: "31.00"').replace("0.020", "2e-2")
    assert outcomes(apply(same)) == ["unchanged"] * 3


def test_a_name_alone_makes_no_version() -> None:
    apply()
    changes = apply(CATALOG.replace("name: Pro\n", "name: Professional\n"))
    assert [change.differences for change in changes][1] == ("name: Pro -> Professional",)
    assert (Plan.objects.get().name, PlanVersion.objects.count()) == ("Professional", 2)


@pytest.mark.parametrize(
    ("old", "new", "path", "sentence"),
    [
        ("amount: 31", "amount: -1", "plans.0.prices.0.amount", "zero or more"),
        ("amount: 31", "amuont: 31", "plans.0.prices.0.amuont", 'Did you mean "amount"?'),
        ("grace_hours: 48", "grace_hours: 1.5", "plans.0.grace_hours", "a whole number"),
        ("grace_hours: 48", "grace_hours: x", "plans.0.grace_hours", "a whole number"),
        ("grace_hours: 48", "gracehours: 1", "plans.0.gracehours", "grace_hours"),
        ("grace_hours: 48", "minimum_amount: ten", "plans.0.minimum_amount", "decimal"),
        ("grace_hours: 48", "customer: nobody", "plans.0.customer", "create it first"),
        ("grace_hours: 48", "interval: fortnight", "plans.0.interval", "fortnight"),
        ("meter: calls", "meter: cals", "plans.0.prices.1.meter", "create it first"),
        ("up_to: 10,", "up_to: null,", "plans.0.prices.1.tiers.0.up_to", "last tier"),
        ("aggregation: count", "aggregation: cuont", "meters.0.aggregation", "cuont"),
        ("aggregation: count", "agregation: count", "meters.0.agregation", "aggregation"),
        ("[endpoint]", "endpoint", "meters.0.group_by", "a list"),
        ("[endpoint]", "[7]", "meters.0.group_by", "Name event properties"),
        (
            "[endpoint]",
            "[], filters: [{property: status, op: lt, value: 5.5}]",
            "meters.0.filters.0.value",
            "text",
        ),
        ("currency: EUR", "currency: USD", "plans.1", "describes the same"),
        ("name: Pro\n    currency", "name: Pro 2\n    currency", "plans.1.name", "one name"),
        ("meters:", "metres:", "metres", 'Did you mean "meters"?'),
    ],
)
def test_a_mistake_is_told_by_its_path(old: str, new: str, path: str, sentence: str) -> None:
    assert old in CATALOG
    found = problems(CATALOG.replace(old, new, 1))
    assert sentence in found[path]


def test_a_mistake_in_a_change_comes_before_the_refusal_to_change() -> None:
    apply()
    found = problems(CATALOG.replace("grace_hours: 48", "grace_hours: -1"))
    assert list(found) == ["plans.0.grace_hours"]


def test_all_mistakes_of_a_section_are_told_at_once() -> None:
    found = problems(CATALOG.replace("amount: 31", "amount: x").replace('"29.50"', "y"))
    assert list(found) == ["plans.0.prices.0.amount", "plans.1.prices.0.amount"]


@pytest.mark.parametrize(
    "text", ["plans: [", "plans: [{key: a, key: b}]", "plans: !!python/object:os.x {}", "a: b: c"]
)
def test_what_is_no_yaml_is_told_with_its_place(text: str) -> None:
    with pytest.raises(InvalidInputError, match=r"no YAML that can be read.* line 1, column"):
        read_yaml(text)


@pytest.mark.parametrize("text", ["", "[]", "7", "plans: {}", "plans: [7]"])
def test_a_document_of_another_shape_is_refused(text: str) -> None:
    assert problems(text)


def test_words_and_numbers_mean_what_is_written() -> None:
    read = read_yaml("{a: no, b: on, c: 010, d: 1:30, e: 2026-01-01, f: 0.10, g: true, h: ~}")
    assert (read["a"], read["b"], read["c"], read["d"]) == ("no", "on", 10, "1:30")
    assert (read["e"], str(read["f"]), read["g"], read["h"]) == ("2026-01-01", "0.10", True, None)


def test_an_export_is_read_back_as_the_same_catalogue(acme: Customer) -> None:
    plan = publish_plan(FEE, CALLS, trial_days=0, is_addon=True, interval="quarter").plan
    publish_new_version(plan=plan, at=NOW, customer=acme, prices=[FEE | {"amount": "9.00"}])
    publish_new_version(plan=plan, at=NOW, currency="EUR", prices=[FEE])
    draft_plan(key="unfinished", name="Unfinished")
    text = write_yaml(export_catalog(own_versions=True))
    assert outcomes(apply(text)) == ["unchanged"] * 4
    assert write_yaml(export_catalog(own_versions=True)) == text
    assert "unfinished" not in text


def test_an_exported_catalogue_makes_the_same_elsewhere() -> None:
    apply()
    apply(CATALOG.replace("31", "32"), new_versions=True)
    text = write_yaml(export_catalog())
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        # The trigger that keeps tables of documents does not fire on a replica.
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("TRUNCATE billing_plan, metering_meter CASCADE")
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")
    assert outcomes(apply(text)) == ["created"] * 3
    assert write_yaml(export_catalog()) == text


def test_customers_own_versions_are_exported_only_when_asked_for(acme: Customer) -> None:
    create_plan(key="deal", name="Deal", prices=[FEE], customer=acme, at=NOW)
    assert export_catalog() == {}
    [entry] = export_catalog(own_versions=True)["plans"]
    assert entry["customer"] == "acme"


def test_what_says_nothing_is_left_out_of_an_export() -> None:
    price = publish_plan(CALLS).prices.get()
    assert len(price.document) > len(CALLS)
    assert brief_document(price.document) == CALLS


def test_the_prices_in_a_matrix_are_compared_value_by_value() -> None:
    def matrix(rate: str) -> dict[str, Any]:
        cell = {"match": {"endpoint": "/a"}, "price": {"unit_amount": rate}}
        document = {"key": "calls", "model": "matrix", "dimensions": ["endpoint"], "cells": [cell]}
        return price_list([parse_price(document)])

    [line] = differences(matrix("0.1"), matrix("0.2"))
    assert line == "prices.calls.cells.0.price.unit_amount: 0.1 -> 0.2"


@pytest.mark.parametrize("model", PRICE_MODELS)
def test_a_brief_document_reads_as_the_same_price(model: str) -> None:
    for case in GOLDEN_CASES:
        for document in case["quote"]["prices"]:
            price = parse_price(document)
            if price.model.key == model:
                full: dict[str, Any] = json.loads(json.dumps(price.as_document()))
                assert parse_price(brief_document(full)) == price
