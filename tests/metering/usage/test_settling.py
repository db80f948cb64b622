"""Once a day, what changed is counted by day and compared with the events."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from customers.models import Customer
from customers.principals import Principal
from metering.models import ChangedDay, DailyTotal, UsageBucket, UsageCheck
from metering.selectors.daily_totals import daily_totals, greatest_names
from metering.services.corrections import void_event
from metering.services.folding import fold_pending
from metering.services.settling import settle_days
from metering.services.verification import verify_usage
from tests import factories
from tests.factories import NOW
from tests.metering.ingest.reports import OPERATOR, event, report
from tests.metering.usage.stored import Use, store_batch

MARCH = datetime(2026, 3, 10, 12, tzinfo=UTC)
DAY = timedelta(days=1)
Kind = DailyTotal.Kind


def folded(customer: Customer, *uses: Use) -> None:
    store_batch(customer, uses)
    fold_pending(at=NOW)


def rows(customer: Customer, kind: str) -> list[tuple[int, str, int]]:
    found = daily_totals(customer=customer, kind=kind, start=MARCH - 30 * DAY, end=MARCH + 30 * DAY)
    return [(row.day_start.day, row.name, row.events) for row in found]


@pytest.fixture
def used(acme: Customer) -> Customer:
    """Return acme in Nepal, with three events of two users in two days of UTC."""
    Customer.objects.update(time_zone="Asia/Kathmandu")
    acme.refresh_from_db()
    factories.make_meter("calls", group_by=["endpoint"])
    one = {"endpoint": "/a", "method": "GET", "user_id": "u1"}
    folded(acme, Use(MARCH, one), Use(MARCH, {**one, "user_id": "u2"}), Use(MARCH + DAY, one))
    return acme


def test_events_are_counted_by_day_and_by_each_name(used: Customer) -> None:
    check = settle_days(at=NOW)

    assert (check.days, check.differences) == (2, [])
    assert rows(used, Kind.ALL) == [(10, "", 2), (11, "", 1)]
    assert rows(used, Kind.USER) == [(10, "u1", 1), (10, "u2", 1), (11, "u1", 1)]
    assert rows(used, Kind.METHOD) == [(10, "GET", 2), (11, "GET", 1)]
    assert rows(used, Kind.ENDPOINT) == [(10, "/a", 2), (11, "/a", 1)]


def test_only_days_that_changed_are_looked_at_again(used: Customer) -> None:
    settle_days(at=NOW)
    assert settle_days(at=NOW).days == 0

    folded(used, Use(MARCH + DAY, {"user_id": "u3"}))

    assert settle_days(at=NOW).days == 1
    assert rows(used, Kind.USER) == [
        (10, "u1", 1), (10, "u2", 1), (11, "u1", 1), (11, "u3", 1),
    ]  # fmt: skip


def test_a_corrected_day_is_counted_again(acme: Customer) -> None:
    report([event("e-1", timestamp=MARCH.isoformat())], at=MARCH)
    fold_pending(at=NOW)
    settle_days(at=NOW)

    void_event(customer=acme, event_id="e-1", reason="test", principal=OPERATOR, at=NOW)
    fold_pending(at=NOW)
    settle_days(at=NOW)

    assert rows(acme, Kind.ALL) == []


def test_events_are_counted_by_the_key_that_reported_them(acme: Customer) -> None:
    key = factories.make_key(acme).api_key
    by_key = Principal(customer_ids=frozenset({acme.pk}), api_key_id=key.pk)
    report([event("e-1", timestamp=MARCH.isoformat())], at=MARCH, principal=by_key)
    fold_pending(at=NOW)
    settle_days(at=NOW)

    found = greatest_names(
        customer=acme, kind=Kind.API_KEY, start=MARCH - DAY, end=MARCH + DAY, limit=5
    )
    assert found == [(str(key), 1)]


def test_long_names_are_told_apart_though_cut(acme: Customer) -> None:
    names = ["x" * 5_000 + end for end in "ab"]
    folded(acme, *(Use(MARCH, {"user_id": name}) for name in names))
    settle_days(at=NOW)

    assert [(len(name), events) for _, name, events in rows(acme, Kind.USER)] == [(255, 1)] * 2


def test_wrong_roll_ups_are_named_and_made_anew(used: Customer, client: Client) -> None:
    UsageBucket.objects.filter(dimensions={}).update(events=99)

    check = settle_days(at=NOW)

    assert any('"events": 99' in each for each in check.differences)
    assert list(verify_usage(customer=used)) == []
    client.force_login(factories.make_staff())
    assert "were not what the events say" in client.get(reverse("admin:index")).text


def test_a_check_that_fails_leaves_its_days_for_the_next(
    used: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError

    with monkeypatch.context() as broken:
        broken.setattr("metering.services.settling.mark_settled", fail)
        with pytest.raises(RuntimeError):
            settle_days(at=NOW)

    assert not UsageCheck.objects.exists()
    assert not ChangedDay.objects.filter(is_settled=True).exists()
    assert settle_days(at=NOW).days == 2


def test_staff_read_days_on_a_page_and_as_a_file(used: Customer, client: Client) -> None:
    settle_days(at=NOW)
    client.force_login(factories.make_staff())
    asked = {
        "customer": str(used.pk), "kind": "user", "first_on": "2026-03-01", "last_on": "2026-03-31",
    }  # fmt: skip

    page = client.get(reverse("admin:daily"), asked)
    file = client.get(reverse("admin:daily"), asked | {"format": "csv"})

    assert page.context["report"]["names"] == [("u1", "2"), ("u2", "1")]
    written = list(csv.reader(io.StringIO(file.getvalue().decode())))
    assert written[:2] == [["day", "user", "events"], ["2026-03-10", "u1", "1"]]
