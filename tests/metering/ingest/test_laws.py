"""I1: an accepted event counts exactly once, however reports are mixed, split and repeated."""

from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metering.models import Event, EventKey, PendingBatch
from tests.factories import make_customer
from tests.metering.ingest.reports import counts, event, report

pytestmark = pytest.mark.django_db

CONTENTS: list[dict[str, Any]] = [
    {},
    {"type": "other"},
    {"timestamp": "2026-03-14T10:00:00Z"},
    {"timestamp": "2026-02-28T23:59:59.999999Z", "properties": {"n": 0.25}},
    {"properties": {"text": "\\u0000 \\ \n", "list": [1, {"x": None}]}},
]
FAULTS: list[dict[str, Any]] = [
    {"customer": "nobody"},
    {"timestamp": "2026-03-14T10:00:00"},
    {"properties": {"text": "\0"}},
    {"properties": {"n": 10**40}},
    {"type": None},
]
runs = count()

# An event is a number, one of two customers, and what it says or what is wrong with it.
events = st.tuples(st.integers(0, 9), st.sampled_from("xy"), st.sampled_from([*CONTENTS, *FAULTS]))
batches = st.lists(st.lists(events, max_size=12), max_size=6)

type Told = tuple[int, str, dict[str, Any]]


def first_valid(sent: list[list[Told]]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return what must stand: of each customer and id the first valid report."""
    standing: dict[tuple[str, str], dict[str, Any]] = {}
    for number, customer, content in (told for batch in sent for told in batch):
        if content in CONTENTS:
            standing.setdefault((customer, f"e{number}"), content)
    return standing


@given(sent=batches)
@settings(deadline=None, max_examples=60)
def test_what_is_stored_is_the_set_of_distinct_valid_events(sent: list[list[Told]]) -> None:
    # Rows of earlier runs stay where they are, so each has customers of its own.
    names = {letter: f"{letter}{next(runs)}" for letter in "xy"}
    owners = {make_customer(key).pk: letter for letter, key in names.items()}
    results = [
        report(
            event(f"e{number}", **{"customer": names[letter]} | content)
            for number, letter, content in batch
        )
        for batch in sent
    ]

    standing = first_valid(sent)
    stored = Event.objects.filter(customer__in=owners)
    assert {(owners[each.customer_id], each.event_id) for each in stored} == set(standing)
    for each in stored:
        content = standing[owners[each.customer_id], each.event_id]
        assert each.properties == content.get("properties", {})
        assert each.type == content.get("type", "api.request")
    assert len(stored) == len(standing)
    assert sum(result.accepted for result in results) == len(standing)
    assert [sum(counts(result)) for result in results] == [len(batch) for batch in sent]
    assert EventKey.objects.filter(customer__in=owners).count() == len(standing)
    pending = PendingBatch.objects.filter(customer__in=owners).values_list("events", flat=True)
    assert sum(pending) == len(standing)
