"""aggregate, verify_usage and describe_aggregations."""

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from customers.models import Customer
from metering.aggregations import REGISTRY
from metering.models import UsageBucket, UsageMember
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
    UsageMember.objects.filter(grain="day").first().delete()  # type: ignore[union-attr]
    output = StringIO()
    with pytest.raises(CommandError, match="3 rows of the roll-ups differ from the events"):
        call_command("verify_usage", stdout=output)
    text = output.getvalue()
    assert text.count("acme, users: roll-ups hold") == 3
    assert text.count("roll-ups hold no row") == 2
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
