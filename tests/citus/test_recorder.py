"""The recorder sees every statement of a request, and tells good ones from faulty ones."""

import pytest
from django.test import Client
from pytest_django import Settings

from metering.models import Event
from tests.recorder import RequestRecorder, faults

GOOD = [
    'SELECT "metering_event"."customer_id" FROM "metering_event" '
    'WHERE "metering_event"."customer_id" = 5 FOR UPDATE',
    "SELECT 1 FROM metering_event_2026_03 WHERE customer_id IN (5, 6)",
    "SELECT 1 FROM metering_event e JOIN metering_eventkey k "
    "ON k.customer_id = e.customer_id AND k.digest = e.digest WHERE e.customer_id = 5",
    "SELECT 1 FROM metering_event JOIN metering_eventkey USING (customer_id, digest) "
    "WHERE customer_id = 5",
    "DELETE FROM metering_usagebucket WHERE (customer_id, meter_id) IN ((1, 2))",
    "UPDATE metering_usagebucket SET value = 1 WHERE customer_id = ANY('{1}')",
    "COPY metering_event (customer_id, digest) FROM STDIN",
    'INSERT INTO "metering_eventkey" ("customer_id", "digest") VALUES (1, %s)',
    "SELECT 1 FROM metering_eventlike",
    "SELECT 1 FROM customers_customer WHERE id = 5 FOR UPDATE",
]
FAULTY = [
    (
        'SELECT "metering_event"."customer_id" FROM "metering_event" WHERE "event_id" = 5',
        "does not name customer_id in a condition",
    ),
    (
        "SELECT 1 FROM metering_event_default WHERE digest = %s FOR NO KEY UPDATE",
        "does not name customer_id in a condition and locks rows",
    ),
    (
        "SELECT 1 FROM metering_event e JOIN metering_eventkey k ON k.digest = e.digest "
        "WHERE e.customer_id = 5",
        "does not name customer_id in a condition",
    ),
    ("COPY metering_event (digest) FROM STDIN", "writes rows without customer_id"),
    (
        "WITH made AS (INSERT INTO metering_eventkey (digest) VALUES (1) RETURNING 1) TABLE made",
        "writes rows without customer_id",
    ),
    (
        "SELECT 1 FROM metering_event WHERE customer_id = 5 GROUP BY GROUPING SETS ((type), ())",
        "uses GROUPING SETS",
    ),
    (
        "SELECT 1 FROM metering_event WHERE customer_id = 5 GROUP BY ROLLUP (type)",
        "uses GROUPING SETS",
    ),
    (
        "WITH RECURSIVE r AS (SELECT 1 FROM metering_event WHERE customer_id = 5) TABLE r",
        "uses WITH RECURSIVE",
    ),
    (
        "MERGE INTO metering_event USING metering_eventkey USING (customer_id) "
        "ON customer_id = customer_id WHEN MATCHED THEN DELETE",
        "uses MERGE",
    ),
    (
        'SELECT (SELECT count(*) FROM "metering_event" U0 '
        'WHERE U0."customer_id" = ("customers_customer"."id")) FROM "customers_customer"',
        "asks them in a subquery for each row of an ordinary table",
    ),
]


@pytest.mark.parametrize("statement", GOOD)
def test_a_statement_that_names_its_customer_passes(statement: str) -> None:
    assert faults(statement) == []


@pytest.mark.parametrize(("statement", "fault"), FAULTY)
def test_a_faulty_statement_is_told(statement: str, fault: str) -> None:
    assert faults(statement) == [fault]


@pytest.mark.parametrize("page", ["orm", "copy", "stream"])
def test_a_page_that_asks_for_events_of_everybody_is_caught(
    db: None,
    client: Client,
    settings: Settings,
    request_recorder: RequestRecorder,
    page: str,
) -> None:
    settings.ROOT_URLCONF = "tests.citus.urls"
    list(client.get(f"/planted/{page}/"))
    caught = list(request_recorder.violations)
    request_recorder.violations.clear()
    assert caught
    assert all(line.startswith("does not name customer_id") for line in caught)


def test_a_page_that_names_its_customer_is_not_caught(
    db: None, client: Client, settings: Settings, request_recorder: RequestRecorder
) -> None:
    settings.ROOT_URLCONF = "tests.citus.urls"
    client.get("/planted/good/")
    assert request_recorder.violations == []
    assert request_recorder.statements > 0


def test_what_runs_outside_a_request_may_ask_for_everybody(
    db: None, request_recorder: RequestRecorder
) -> None:
    assert not Event.objects.filter(event_id="req-1").exists()
    assert request_recorder.violations == []
