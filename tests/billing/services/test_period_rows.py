"""The database itself lets no period overlap another of its subscription, nor leave a gap."""

from datetime import UTC, datetime

import pytest
from django.db import Error, transaction

from billing.models import Subscription, SubscriptionPeriod
from customers.models import Customer
from tests.billing.plans import subscribe

pytestmark = pytest.mark.django_db


def stored(subscription: Subscription, *months: tuple[int, int]) -> None:
    """Store periods from the first of a month of 2026 to that of another, in one statement."""
    bounds = [[datetime(2026, month, 1, tzinfo=UTC) for month in pair] for pair in months]
    with transaction.atomic():
        SubscriptionPeriod.objects.bulk_create(
            SubscriptionPeriod(
                subscription=subscription,
                period_start=start,
                period_end=end,
                full_start=start,
                full_end=end,
                time_zone="UTC",
            )
            for start, end in bounds
        )


@pytest.mark.parametrize(
    ("months", "words"),
    [
        ([(7, 8)], "begins where the one before ends"),
        ([(6, 7), (8, 9)], "begins where the one before ends"),
        ([(1, 2)], "begins where the one before ends"),
        ([(5, 6)], "conflicting key value"),
        ([(6, 8), (7, 8)], "conflicting key value"),
    ],
)
def test_periods_follow_one_another(
    acme: Customer, months: list[tuple[int, int]], words: str
) -> None:
    subscription = subscribe(acme, "2026-01-01")
    stored(subscription, (3, 4), (4, 5))
    stored(subscription, (5, 6))
    with pytest.raises(Error, match=words):
        stored(subscription, *months)
    stored(subscription, (6, 7), (7, 8))
