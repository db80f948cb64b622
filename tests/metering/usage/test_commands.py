"""aggregate, verify_usage and describe_aggregations."""

import os
import signal
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from config.errors import DomainError
from customers.models import Customer
from metering.aggregations import REGISTRY
from metering.management.commands import aggregate
from metering.models import FoldingRound, UsageBucket, UsageMembers
from metering.models.usage import NO_DIMENSIONS
from metering.services import folding
from tests.factories import NOW, make_customer, make_meter
from tests.metering.usage.stored import Use, store_batch

REFERENCE = Path(__file__).parents[3] / "docs" / "aggregations.md"


def run(command: str, **options: Any) -> str:
    output = StringIO()
    call_command(command, stdout=output, **options)
    return output.getvalue()


@pytest.fixture
def folded(acme: Customer) -> Customer:
    """Return acme with folded events of a meter that keeps totals, dimensions and members."""
    make_meter("users", aggregation="unique_count", value_property="user", group_by=["endpoint"])
    store_batch(acme, [Use(NOW, {"user": user, "endpoint": "a"}) for user in ("u", "v", "v")])
    assert run("aggregate") == "Folded 3 events.\n"
    return acme


def test_roll_ups_that_equal_the_events_are_verified(folded: Customer) -> None:
    store_batch(folded, [Use(NOW, {"user": "w"})])
    assert run("verify_usage") == "The roll-ups equal the events.\n"
    assert run("aggregate") == "Folded 1 events.\n"
    assert run("verify_usage", customer="acme") == "The roll-ups equal the events.\n"


def test_every_row_that_differs_is_named(folded: Customer) -> None:
    UsageBucket.objects.filter(dimensions={}).update(events=4)
    UsageBucket.objects.exclude(dimensions={}).delete()
    UsageMembers.objects.filter(dimensions_digest=NO_DIMENSIONS).update(members="{}", size=0)
    output = StringIO()
    with pytest.raises(CommandError, match="4 rows of the roll-ups differ from the events"):
        call_command("verify_usage", stdout=output)
    text = output.getvalue()
    assert text.count("acme, users: roll-ups hold") == 4
    assert text.count("roll-ups hold no row") == 3
    assert '"events": 4' in text
    assert '"events": 3' in text


def test_a_row_without_events_differs_too(folded: Customer) -> None:
    bucket = UsageBucket.objects.filter(dimensions={}).get()
    UsageBucket.objects.filter(pk=bucket.pk).update(grain="hour")
    with pytest.raises(CommandError, match="2 rows"):
        run("verify_usage")


def test_one_customer_can_be_verified_alone(folded: Customer) -> None:
    make_customer("globex")
    UsageBucket.objects.all().delete()
    assert run("verify_usage", customer="globex") == "The roll-ups equal the events.\n"
    with pytest.raises(CommandError, match="There is no customer 'none'"):
        run("verify_usage", customer="none")


def test_the_reference_of_aggregations_is_up_to_date() -> None:
    text = run("describe_aggregations")
    hint = "Run: manage.py describe_aggregations > docs/aggregations.md"
    assert REFERENCE.read_text() == text, hint
    assert all(aggregation.definition in text for aggregation in REGISTRY.values())


def test_following_goes_on_after_failures_until_it_is_told_to_stop(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    troubles = [DomainError("not all", code="folding_failed"), OperationalError("away"), None]
    before = signal.getsignal(signal.SIGTERM)

    def fold_pending(*, at: datetime) -> int:
        if trouble := troubles.pop(0):
            raise trouble
        os.kill(os.getpid(), signal.SIGTERM)
        return 0

    monkeypatch.setattr(aggregate, "fold_pending", fold_pending)
    run("aggregate", follow=True, pause=1)

    assert troubles == []
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("text", ["0", "61", "1.5", "often"])
def test_a_pause_is_some_seconds(text: str) -> None:
    with pytest.raises(CommandError, match="from 1 to 60"):
        call_command("aggregate", "--follow", f"--pause={text}")


def test_a_round_that_ended_well_is_noted_and_one_that_failed_is_not(
    acme: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_batch(acme, [Use(NOW)])
    monkeypatch.setattr(folding, "fold_customer", Mock(side_effect=ValueError))
    with pytest.raises(CommandError):
        run("aggregate")
    assert not FoldingRound.objects.exists()

    monkeypatch.undo()
    run("aggregate")
    run("aggregate")

    assert FoldingRound.objects.get().events == 0
