"""Usage is what its definition says after every report, correction and fold, in any order."""

import json
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.errors import DomainError
from customers.models import Customer
from metering import aggregations
from metering.models import Meter
from metering.selectors.cutoffs import Cutoff, current_cutoff
from metering.selectors.usage import usage
from metering.services.folding import fold_pending
from metering.services.verification import verify_usage
from tests.factories import NOW, make_customer, make_meter
from tests.metering.history.corrected import amend, store, void
from tests.metering.usage.definition import DEFINITIONS, Period, counted
from tests.metering.usage.stored import Use
from tests.metering.usage.stories import (
    CLOCK_CHANGES,
    LENGTHS,
    OFFSETS,
    PROPERTIES,
    ZONES,
    meter_fields,
)

CENTER = CLOCK_CHANGES[1]
IDS = st.sampled_from(["e1", "e2", "e3", "e4", "e5", "e6"])
INSTANTS = st.sampled_from(OFFSETS).map(lambda offset: CENTER + offset)
STEPS = st.one_of(
    st.tuples(st.just("report"), IDS, INSTANTS, PROPERTIES),
    st.tuples(st.just("report"), IDS, INSTANTS, PROPERTIES),
    st.tuples(st.just("amend"), IDS, INSTANTS | st.none(), PROPERTIES | st.none()),
    st.tuples(st.just("void"), IDS, st.none(), st.none()),
    st.tuples(st.just("fold"), st.none(), st.none(), st.none()),
)


@dataclass
class Ledger:
    """What a customer's events say, kept in plain Python beside the database.

    `latest` is what each event says or said last, `current` holds the ids of those that count.
    """

    customer: Customer
    latest: dict[str, Use] = field(default_factory=dict)
    current: set[str] = field(default_factory=set)

    @property
    def uses(self) -> list[Use]:
        return [self.latest[event_id] for event_id in sorted(self.current)]

    def take(self, step: str, event_id: str, at: Any, properties: Any) -> None:
        """Do a step in both; corrections that must be refused are."""
        code = self.refusal_of(step, event_id, at, properties)
        if code is None:
            getattr(self, step)(event_id, at, properties)
            return
        with pytest.raises(DomainError) as refused:
            getattr(self, step)(event_id, at, properties)
        assert refused.value.code == code

    def refusal_of(self, step: str, event_id: str, at: Any, properties: Any) -> str | None:
        """Return the code with which a correction must be refused, or None."""
        known, is_current = self.latest.get(event_id), event_id in self.current
        if step not in {"void", "amend"}:
            return None
        if step == "amend" and at is None and properties is None:
            return "invalid"
        if known is None:
            return "not_found"
        if step == "void":
            return None if is_current else "already_void"
        changes = (at or known.at, written(known.properties if properties is None else properties))
        is_same = changes == (known.at, written(known.properties))
        return "nothing_amended" if is_same and is_current else None

    def report(self, event_id: str, at: datetime, properties: dict[str, Any]) -> None:
        store(self.customer, event_id, at, **properties)
        if event_id not in self.latest:
            self.latest[event_id] = Use(at, properties, id=event_id)
            self.current.add(event_id)

    def amend(self, event_id: str, at: datetime | None, properties: dict[str, Any] | None) -> None:
        amend(self.customer, event_id, timestamp=at, properties=properties)
        known = self.latest[event_id]
        said = known.properties if properties is None else properties
        self.latest[event_id] = Use(at or known.at, said, id=event_id)
        self.current.add(event_id)

    def void(self, event_id: str, at: None, properties: None) -> None:
        void(self.customer, event_id)
        self.current.remove(event_id)

    def fold(self, event_id: None, at: None, properties: None) -> None:
        fold_pending(at=NOW)


def written(properties: dict[str, Any]) -> str:
    return json.dumps(properties, sort_keys=True)


def check(
    ledger: Ledger,
    meter: Meter,
    start: datetime,
    end: datetime,
    group: str | None,
    cutoff: Cutoff | None = None,
) -> None:
    rows = usage(
        meter=meter,
        customer=ledger.customer,
        start=start,
        end=end,
        window="day",
        filters={} if group is None else {"endpoint": group},
        cutoff=cutoff,
    )
    only = {} if group is None else {"endpoint": group}
    for row in rows:
        uses = counted(meter, ledger.uses, only)
        period = Period(row.start, row.end, ledger.customer.zone)
        expected = DEFINITIONS[meter.aggregation](meter, uses, period)
        assert row.value == expected, (row, uses)


@pytest.mark.parametrize("key", aggregations.REGISTRY)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    zone=st.sampled_from(ZONES),
    steps=st.lists(STEPS, min_size=4, max_size=12),
    length=st.sampled_from(LENGTHS),
    before=st.sampled_from(OFFSETS),
    group=st.sampled_from([None, None, "a"]),
    fields=st.data(),
)
def test_usage_is_what_the_events_say_now(
    db: None, key: str, zone: str, steps: Any, length: Any, before: Any, group: Any, fields: Any
) -> None:
    with transaction.atomic():
        meter = make_meter(**fields.draw(meter_fields(key)))
        ledger = Ledger(make_customer(time_zone=zone))
        asked = (meter, CENTER - abs(before), CENTER + length, group)
        then = [(deepcopy(ledger), current_cutoff())]
        for step in steps:
            ledger.take(*step)
            check(ledger, *asked)
            then.append((deepcopy(ledger), current_cutoff()))
        fold_pending(at=NOW)
        assert list(verify_usage()) == []
        check(ledger, *asked)
        for earlier, cutoff in then:
            check(earlier, *asked, cutoff=cutoff)
        transaction.set_rollback(True)
