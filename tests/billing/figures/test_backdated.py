"""What becomes known after nights that would have billed it."""

from decimal import Decimal

import pytest
from django.db.models import Sum
from rest_framework.test import APIClient

from billing.models import CreditNote
from tests.billing.figures.outsider import Outsider

pytestmark = pytest.mark.django_db

FEE = {"key": "base", "model": "flat", "amount": "31", "timing": "advance"}
SEATS = {"key": "seats", "model": "per_unit", "unit_amount": "3.10", "timing": "advance"}


@pytest.fixture
def outsider(operator: APIClient) -> Outsider:
    outsider = Outsider(operator)
    outsider.customer(consolidate_invoices=True)
    return outsider


def asked(outsider: Outsider) -> Decimal:
    given_back = CreditNote.objects.aggregate(total=Sum("total"))["total"] or 0
    return sum(map(Decimal, outsider.totals()), Decimal(0)) - given_back


def test_a_subscription_from_an_instant_that_was_billed_has_an_invoice_of_its_own(
    outsider: Outsider,
) -> None:
    """From the next period on all is on one again."""
    outsider.plan(FEE)
    outsider.plan(FEE | {"amount": "5"}, key="support")
    outsider.subscribe("2026-01-01T00:00:00Z")
    outsider.night("2026-01-01T02:00:00Z")
    outsider.subscribe("2026-01-01T00:00:00Z", "support")
    outsider.night("2026-01-02T02:00:00Z")
    outsider.night("2026-02-01T02:00:00Z")
    assert outsider.totals() == ["31.00", "5.00", "36.00"]


def test_fewer_seats_another_plan_and_the_end_known_at_once_give_back_what_was_prepaid(
    outsider: Outsider,
) -> None:
    """Two documents of one night give back of the same fee, the first in a credit note."""
    outsider.plan(FEE, SEATS)
    outsider.plan(FEE | {"amount": "3.10"}, key="small")
    subscription = outsider.subscribe("2026-01-01T00:00:00Z", quantities={"seats": "2"})
    outsider.night("2026-01-01T02:00:00Z")
    outsider.change(subscription, "2026-01-11T00:00:00Z", quantities={"seats": "1"})
    outsider.change(subscription, "2026-01-16T00:00:00Z", plan="small")
    outsider.post(f"subscriptions/{subscription}/cancel", at="2026-01-21T00:00:00Z")
    outsider.night("2026-01-22T00:00:00Z")
    # 15 days of the fee, 10 of two seats and 5 of one, 5 of the small plan.
    assert asked(outsider) == Decimal("15.00") + Decimal("2.00") + Decimal("0.50") + Decimal("0.50")
