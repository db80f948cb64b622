"""With months away: what is still answered, as before, and what is refused with a way out."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from itertools import chain, repeat
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connection
from rest_framework.test import APIClient

from config.errors import DomainError, InvalidInputError
from metering.models import DailyTotal, Event, RefusedEvent, UsageBucket, UsageLayout
from metering.selectors.archive import archived_ranges
from metering.selectors.cutoffs import current_cutoff
from metering.selectors.exports import usage_export
from metering.selectors.usage import usage, usage_by_customer
from metering.selectors.values import event_values
from metering.services import folding, storing
from metering.services.folding import fold_pending, rebuild_usage
from metering.services.meters import create_meter, update_meter
from metering.services.settling import settle_days
from tests.factories import make_customer
from tests.metering.archive.months import (
    AT,
    DECEMBER,
    JANUARY,
    NOVEMBER,
    OCTOBER,
    TIMES,
    detach,
    populate,
    restore,
    used,
)
from tests.metering.history.corrected import amend, void
from tests.metering.ingest.reports import counts, event, report, stored_ids

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


def refused(call: Any, **arguments: Any) -> InvalidInputError:
    with pytest.raises(InvalidInputError, match="restore") as caught:
        call(**arguments)
    assert caught.value.code == "month_archived"
    return caught.value


def test_whole_buckets_are_answered_as_before(tmp_path: Path) -> None:
    customer, meter = populate()
    asked: dict[str, Any] = {"meter": meter, "customer": customer, "window": "day"}
    asked |= {"start": OCTOBER, "end": JANUARY, "group_by": ["endpoint"]}
    before = usage(**asked)
    detach(tmp_path)
    assert usage(**asked) == before
    assert used(meter, customer, NOVEMBER, DECEMBER) == 3
    assert used(meter, customer, NOVEMBER + 10 * HOUR, JANUARY) == 4
    period: dict[str, Any] = {"start": NOVEMBER, "end": DECEMBER}
    assert usage_by_customer(meter=meter, customers=[customer], **period) == {customer.pk: 3}


def test_raw_edges_and_other_groups_are_refused_in_archived_months_alone(tmp_path: Path) -> None:
    customer, meter = populate()
    detach(tmp_path)
    asked: dict[str, Any] = {
        "meter": meter,
        "customer": customer,
        "start": NOVEMBER,
        "end": DECEMBER,
    }
    edge = {"start": NOVEMBER + timedelta(minutes=5)}
    assert "2024-11" in refused(usage, **asked | edge).message
    refused(usage, **asked, group_by=["n"])
    refused(usage, **asked, filters={"n": "1.5"})
    refused(usage_export, **asked, group_by=["n"])
    later = {"start": DECEMBER + timedelta(minutes=5), "end": JANUARY}
    assert usage(**asked | later)[0].value == 2
    assert len(usage(**asked | later, group_by=["n"])) == 1
    restore(tmp_path)
    assert usage(**asked | edge)[0].value == 2


def test_an_answer_as_of_a_cutoff_needs_the_events(tmp_path: Path) -> None:
    customer, meter = populate()
    cutoff = current_cutoff()
    detach(tmp_path)
    asked: dict[str, Any] = {"meter": meter, "customer": customer, "end": JANUARY, "cutoff": cutoff}
    refused(usage, **asked, start=NOVEMBER)
    assert usage(**asked, start=DECEMBER)[0].value == 2


def test_other_customers_and_other_types_are_answered(tmp_path: Path) -> None:
    _, meter = populate()
    detach(tmp_path)
    period: dict[str, Any] = {"start": NOVEMBER + timedelta(minutes=5), "end": JANUARY}
    assert usage(meter=meter, customer=make_customer("globex"), **period)[0].value == 0


def test_the_api_says_to_restore_the_month(tmp_path: Path, operator: APIClient) -> None:
    populate()
    detach(tmp_path)
    query = {"meter": "calls", "customer": "acme", "start": "2024-11-01T00:05:00Z"}
    answer = operator.get("/api/v1/usage", query | {"end": "2024-12-01T00:00:00Z"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "month_archived")


def test_an_archived_event_is_still_a_duplicate_or_a_conflict(tmp_path: Path) -> None:
    populate()
    sent = [event("7", timestamp=TIMES[2]), event("8", timestamp=TIMES[5])]
    report(sent, is_backfill=True)
    fold_pending(at=AT)
    detach(tmp_path)
    assert counts(report(sent, is_backfill=True)) == (0, 2, 0, 0)
    other = [event("7", timestamp=TIMES[2], properties={"n": 2})]
    assert counts(report(other, is_backfill=True)) == (0, 0, 1, 0)
    moved = [event("7", timestamp=TIMES[5])]
    assert counts(report(moved, is_backfill=True)) == (0, 0, 1, 0)


def test_new_events_of_an_archived_month_are_refused_one_by_one(tmp_path: Path) -> None:
    populate()
    detach(tmp_path)
    mixed = [event("new", timestamp=TIMES[2]), event("now", timestamp=TIMES[5])]
    result = report(mixed, is_backfill=True)
    assert counts(result) == (1, 0, 0, 1)
    assert result.errors[0].reason.code == "month_archived"
    assert "now" in stored_ids()
    assert RefusedEvent.objects.get().message.startswith("The events of 2024-11 are archived")
    restore(tmp_path)
    assert counts(report(mixed, is_backfill=True)) == (1, 1, 0, 0)


def test_a_month_archived_while_a_batch_is_stored_takes_none_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    populate()
    detach(tmp_path)
    looks = chain([[]], repeat(archived_ranges()))
    monkeypatch.setattr(storing, "archived_ranges", lambda: next(looks))
    assert counts(report([event("new", timestamp=TIMES[2])], is_backfill=True)) == (0, 0, 0, 1)
    assert not Event.objects.filter(timestamp__lt=DECEMBER).exists()


def test_archived_events_and_their_neighbours_cannot_be_corrected(tmp_path: Path) -> None:
    customer, meter = populate("Europe/Paris")
    detach(tmp_path)
    moves: list[Callable[[], Any]] = [
        lambda: void(customer, "2"),
        lambda: amend(customer, "2", properties={}),
        lambda: amend(customer, "5", timestamp=NOVEMBER),
        # A day of Paris that November, by UTC, has an hour of.
        lambda: void(customer, "4"),
    ]
    for move in moves:
        with pytest.raises(DomainError, match="archived") as caught:
            move()
        assert caught.value.code == "event_archived"
    void(customer, "5")
    fold_pending(at=AT)
    assert used(meter, customer, OCTOBER + 24 * HOUR, JANUARY) == 5


def test_roll_ups_of_archived_months_are_not_made_anew(tmp_path: Path) -> None:
    customer, meter = populate()
    detach(tmp_path)
    with pytest.raises(DomainError, match="2024-10, 2024-11 and cannot be made anew"):
        rebuild_usage(meter=meter, customer=customer)
    customer.time_zone = "Asia/Tokyo"
    customer.save()
    fold_pending(at=AT)
    assert used(meter, customer, NOVEMBER, DECEMBER) == 3
    restore(tmp_path)
    restore(tmp_path, "metering_event_2024_10")
    assert UsageLayout.objects.get().time_zone == "Asia/Tokyo"
    assert used(meter, customer, NOVEMBER, DECEMBER) == 3


@pytest.mark.parametrize("aggregation", ["count", "weighted_sum", "running_peak"])
def test_a_new_meter_counts_what_is_there_and_refuses_the_rest(
    tmp_path: Path, aggregation: str
) -> None:
    customer, _ = populate()
    detach(tmp_path)
    value = {} if aggregation == "count" else {"value_property": "value"}
    fields = {"event_type": "api.request", "aggregation": aggregation, **value}
    meter = create_meter(at=AT, key="new", name="New", **fields)
    fold_pending(at=AT)
    asked: dict[str, Any] = {"meter": meter, "customer": customer, "end": JANUARY}
    meter.refresh_from_db()
    refused(usage, **asked, start=NOVEMBER)
    if aggregation == "count":
        assert usage(**asked, start=DECEMBER)[0].value == 2
    else:
        refused(usage, **asked, start=DECEMBER)
    restore(tmp_path)
    restore(tmp_path, "metering_event_2024_10")
    assert UsageLayout.objects.get(meter=meter).lacks == []
    assert usage(**asked, start=OCTOBER)[0].value > 0


@pytest.mark.parametrize("aggregation", ["weighted_sum", "running_peak"])
def test_a_level_carries_in_from_archived_months(tmp_path: Path, aggregation: str) -> None:
    customer, meter = populate(aggregation=aggregation, value_property="value")
    periods = [(NOVEMBER, DECEMBER), (DECEMBER, JANUARY), (JANUARY, JANUARY + 24 * HOUR)]
    before = [used(meter, customer, *period) for period in periods]
    detach(tmp_path)
    assert [used(meter, customer, *period) for period in periods] == before
    report([event("more", timestamp=TIMES[5], properties={"value": 1})], is_backfill=True)
    assert used(meter, customer, JANUARY, JANUARY + HOUR) == Decimal(16)


def test_a_bucket_torn_by_the_end_of_the_month_is_told(tmp_path: Path) -> None:
    fields = {"aggregation": "running_peak", "value_property": "value"}
    customer, meter = populate("Asia/Kolkata", **fields)
    detach(tmp_path)
    more = event("more", timestamp="2024-12-01T00:20:00Z", properties={"value": 1})
    report([more], is_backfill=True)
    fold_pending(at=AT)
    assert UsageLayout.objects.get().lacks == [NOVEMBER]
    refused(usage, meter=meter, customer=customer, start=NOVEMBER, end=DECEMBER)
    restore(tmp_path)
    call_command("verify_usage")
    restore(tmp_path, "metering_event_2024_10")
    assert UsageLayout.objects.get().lacks == []
    call_command("verify_usage")
    assert used(meter, customer, NOVEMBER, DECEMBER) > 0


def test_values_of_single_events_are_refused(tmp_path: Path) -> None:
    customer, meter = populate(aggregation="sum", value_property="value")
    detach(tmp_path)
    asked: dict[str, Any] = {"meter": meter, "customer": customer, "end": JANUARY}
    for in_order in (True, False):
        refused(event_values, **asked, start=NOVEMBER, in_order=in_order)
    read = event_values(**asked, start=DECEMBER, in_order=True)
    assert read == [(Decimal(4), 1), (Decimal(5), 1)]


def test_daily_totals_and_crowded_dimensions_of_archived_months_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer, meter = populate()
    detach(tmp_path)
    days = DailyTotal.objects.filter(kind="all", day_start__lt=DECEMBER)
    assert days.count() == 4
    monkeypatch.setattr(folding, "crowded_dimensions", lambda *args: ["endpoint"])
    report([event("more", timestamp=TIMES[4])], is_backfill=True)
    fold_pending(at=AT)
    UsageBucket.objects.filter(bucket_start__gte=DECEMBER).update(events=9)
    assert settle_days(at=AT).differences
    assert days.count() == 4
    assert used(meter, customer, NOVEMBER, DECEMBER + 24 * HOUR) == 5


def test_a_redefined_meter_becomes_a_version_of_its_own(tmp_path: Path) -> None:
    populate()
    detach(tmp_path)
    unused = create_meter(at=AT, key="none", name="None", event_type="other", aggregation="count")
    fold_pending(at=AT)
    unused.refresh_from_db()
    assert update_meter(meter=unused, at=AT, event_type="api.request").version == 2
    fold_pending(at=AT)


def test_verification_leaves_archived_months_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    populate("Europe/Paris")
    detach(tmp_path)
    call_command("verify_usage")
    assert "equal the events" in capsys.readouterr().out


def test_a_reader_never_misses_events_that_went_away_meanwhile(tmp_path: Path) -> None:
    """The statement itself says so: nothing was looked up before it."""
    customer, meter = populate()
    detach(tmp_path)
    UsageLayout.objects.update(revision=uuid4())
    refused(usage, meter=meter, customer=customer, start=NOVEMBER + HOUR / 2, end=DECEMBER)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM metering_usagelayout WHERE customer_id = %s", [customer.pk])
    refused(usage, meter=meter, customer=customer, start=NOVEMBER, end=DECEMBER)
