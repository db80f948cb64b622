"""The recurring tasks."""

from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils.module_loading import import_string
from django_q.models import Schedule

from config.schedules import RECURRING, Recurring, setup_schedules
from tests.config.conftest import ROOT

AFTERNOON = datetime(2026, 3, 15, 14, 30, tzinfo=UTC)


def test_each_recurring_task_is_created_once(db: None) -> None:
    assert setup_schedules(at=AFTERNOON) == [recurring.name for recurring in RECURRING]
    assert setup_schedules(at=AFTERNOON) == []
    assert Schedule.objects.count() == len(RECURRING)


def test_the_nightly_run_waits_for_the_night_and_the_others_begin_at_once(db: None) -> None:
    setup_schedules(at=AFTERNOON)
    runs = dict(Schedule.objects.values_list("func", "next_run"))
    assert runs["billing.tasks.nightly"] == datetime(2026, 3, 16, 2, tzinfo=UTC)
    assert runs["metering.tasks.aggregate"] == AFTERNOON
    assert runs["metering.tasks.make_partitions"] == AFTERNOON


def test_before_two_in_the_morning_the_nightly_run_is_today(db: None) -> None:
    setup_schedules(at=AFTERNOON.replace(hour=1))
    nightly = Schedule.objects.get(func="billing.tasks.nightly")
    assert nightly.next_run == datetime(2026, 3, 15, 2, tzinfo=UTC)


def test_what_staff_changed_is_kept_and_a_moved_task_is_followed(db: None) -> None:
    setup_schedules(at=AFTERNOON)
    aggregation = Schedule.objects.filter(func="metering.tasks.aggregate")
    aggregation.update(minutes=30, func="metering.tasks.moved")

    setup_schedules(at=AFTERNOON + timedelta(days=1))

    assert aggregation.get().minutes == 30


def test_the_page_on_running_it_lists_what_runs_by_itself() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    assert [recurring.name for recurring in RECURRING if f"| {recurring.name} |" not in page] == []


def test_the_command_says_what_it_did(db: None) -> None:
    first, second = StringIO(), StringIO()
    call_command("setup_schedules", stdout=first)
    call_command("setup_schedules", stdout=second)
    assert first.getvalue().count("created: ") == len(RECURRING)
    assert second.getvalue().count("kept: ") == len(RECURRING)


@pytest.mark.parametrize("recurring", RECURRING, ids=lambda recurring: recurring.task)
def test_every_recurring_task_is_there_to_be_called(recurring: Recurring) -> None:
    assert callable(import_string(recurring.task))
